/**
 * Several server processes on one production pair behind a load balancer. Each instance reaches MongoDB and Redis through a
 * proxy of its own, so that the way of one instance can be cut, frozen or made one-way while the others go on.
 */
import type { MongoServerChoice } from '../../servers/mongo-servers.ts';
import { mongoChoice, type ProductionPair, startPair } from './production.ts';
import { RestartableServer } from './restartable.ts';
import { RoundRobin } from './round-robin.ts';
import { TcpProxy } from './tcp-proxy.ts';

export interface Instance {
  readonly server: RestartableServer;
  /** Its way to MongoDB. */
  readonly mongo: TcpProxy;
  /** Its way to Redis. */
  readonly redis: TcpProxy;
}

export interface ClusterOptions {
  /** Default 2. */
  readonly instances?: number;
  /** Settings besides those of the pair, for all. */
  readonly env?: Readonly<Record<string, string>>;
  /** Settings of one instance, by its index. */
  readonly envOf?: (index: number) => Readonly<Record<string, string>>;
  /** Default: one with atomic updates. */
  readonly mongo?: MongoServerChoice;
}

/** Times that make a fault and its end short; what they are in production is many times as long. */
export const QUICK_ENV = {
  INSTANCE_LEASE_MS: '3000',
  PRESENCE_GRACE_MS: '500',
  HEARTBEAT_INTERVAL_MS: '500',
  DRAIN_TIMEOUT_MS: '5000',
} as const;

export class Cluster implements AsyncDisposable {
  readonly pair: ProductionPair;
  readonly balancer: RoundRobin;
  readonly instances: readonly Instance[];

  private constructor(pair: ProductionPair, balancer: RoundRobin, instances: readonly Instance[]) {
    this.pair = pair;
    this.balancer = balancer;
    this.instances = instances;
  }

  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const { envOf = () => ({}), instances: count = 2 } = options;
    const pair = await startPair(options.mongo ?? mongoChoice);
    const instances = await Promise.all(
      Array.from({ length: count }, (_, index) => startInstance(pair, { ...options.env, ...envOf(index) })),
    );
    const balancer = await RoundRobin.open(instances.map(({ server }) => server.port));
    return new Cluster(pair, balancer, instances);
  }

  get url(): string {
    return this.balancer.url;
  }

  instance(index: number): Instance {
    const found = this.instances[index];
    if (found === undefined) throw new Error(`There is no instance ${index}`);
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.balancer[Symbol.asyncDispose]();
    for (const { mongo, redis, server } of this.instances) {
      await server[Symbol.asyncDispose]();
      await Promise.all([mongo[Symbol.asyncDispose](), redis[Symbol.asyncDispose]()]);
    }
    await this.pair[Symbol.asyncDispose]();
  }
}

async function startInstance(pair: ProductionPair, env: Readonly<Record<string, string>>): Promise<Instance> {
  const [mongo, redis] = await Promise.all([
    TcpProxy.open(Number(new URL(pair.mongo.uri).port)),
    TcpProxy.open(pair.redis.port),
  ]);
  const server = await RestartableServer.start({
    ...pair.env,
    ...QUICK_ENV,
    MONGODB_URI: `mongodb://127.0.0.1:${mongo.port}/?directConnection=true`,
    REDIS_URL: `redis://127.0.0.1:${redis.port}`,
    ...env,
  });
  return { server, mongo, redis };
}
