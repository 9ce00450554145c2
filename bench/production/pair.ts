/** The servers of the production pair for the bench: MongoDB, or what stands in for it here, and Redis. */
import { randomUUID } from 'node:crypto';
import {
  chooseMongoServers,
  type MongoServerChoice,
  type MongoServerKind,
  type RunningMongo,
} from '../../test/servers/mongo-servers.ts';
import { RedisServer, redisSkipReason } from '../../test/servers/redis-server.ts';

function isMain({ kind }: MongoServerChoice): boolean {
  return kind !== 'FerretDB';
}

/** The server by its name, and that it is not MongoDB if so. */
export function describeServer(kind: MongoServerKind): string {
  return kind === 'MongoDB' ? kind : `${kind}, a stand-in server, not MongoDB`;
}

/** Those that can be started here. */
export async function availableMongoServers(): Promise<readonly MongoServerChoice[]> {
  return (await chooseMongoServers()).filter(({ missing }) => missing === undefined);
}

/** Why the scenarios of the production pair cannot run here; undefined if they can. */
export async function missingServers(): Promise<string | undefined> {
  const servers = await availableMongoServers();
  if (!servers.some(isMain)) return 'there is no MongoDB here, and mongo-java-server cannot be built';
  return redisSkipReason;
}

/** One whose updates are atomic and that finds by index: a real one, else the stand-in in memory. */
export async function mainMongoServer(): Promise<MongoServerChoice> {
  const found = (await availableMongoServers()).find(isMain);
  if (found === undefined) throw new Error('no server is at hand');
  return found;
}

export interface ProductionServers extends AsyncDisposable {
  readonly kind: MongoServerKind;
  readonly mongo: RunningMongo;
  /** Settings of an instance: of instances with the same name the database and the keys are the same. */
  env(name: string, settings: { readonly withRedis: boolean }): Readonly<Record<string, string>>;
}

export async function startProductionServers(): Promise<ProductionServers> {
  const choice = await mainMongoServer();
  await using stack = new AsyncDisposableStack();
  const mongo = stack.use(await choice.start());
  const redis = stack.use(await RedisServer.start());
  const run = randomUUID().slice(0, 8);
  const held = stack.move();
  return {
    kind: choice.kind,
    mongo,
    env: (name, { withRedis }) => ({
      MONGODB_URI: mongo.uri,
      MONGODB_DATABASE: `bench-${run}-${name}`,
      PRESENCE_AUDIENCE: 'contacts',
      // The default: with the bench's short one, an instance would sweep five times a second.
      PRESENCE_GRACE_MS: '5000',
      ...(withRedis && { REDIS_URL: redis.url, REDIS_PREFIX: `bench_${run}_${name}_` }),
    }),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}
