/**
 * Real Redis servers for tests: `redis-server` from the PATH, on free ports and folders of their own; alone, with TLS and
 * an ACL user, or three of them as a cluster.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from 'redis';

/** Whether this machine has `redis-server`. In CI its absence is a failure. */
export const hasRedisServer = spawnSync('redis-server', ['--version']).status === 0;

/** Why a test on a real server is left out; undefined if it runs. CI never leaves one out. */
export const redisSkipReason =
  hasRedisServer || process.env.CI === 'true' ? undefined : 'no redis-server on the PATH (Debian: redis-server)';

const clientOf = (url: string) => createClient({ url });

export type Client = ReturnType<typeof clientOf>;

export interface RedisServerOptions {
  readonly port?: number;
  readonly dir?: string;
  /** Further settings, as on the command line without the dashes. */
  readonly config?: readonly string[];
  readonly tls?: boolean;
}

const TLS_DIR = join(import.meta.dirname, '../fixtures/tls');
export const TLS_CA = join(TLS_DIR, 'cert.pem');

export class RedisServer implements AsyncDisposable {
  readonly port: number;
  readonly dir: string;
  readonly #args: readonly string[];
  #process: ChildProcess | undefined;

  private constructor(port: number, dir: string, args: readonly string[]) {
    this.port = port;
    this.dir = dir;
    this.#args = args;
  }

  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const port = options.port ?? (await freePort());
    const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'redis-test-')));
    const tls = ['--port', '0', '--tls-port', `${port}`, '--tls-auth-clients', 'no'];
    const files = ['--tls-cert-file', TLS_CA, '--tls-key-file', join(TLS_DIR, 'key.pem'), '--tls-ca-cert-file', TLS_CA];
    const server = new RedisServer(port, dir, [
      ...(options.tls === true ? [...tls, ...files] : ['--port', `${port}`]),
      ...['--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no'],
      ...(options.config ?? []),
    ]);
    await server.run();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts the process; again after `kill`. Resolves when it listens. */
  async run(): Promise<void> {
    const child = spawn('redis-server', this.#args, { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#process = child;
    await new Promise<void>((resolve, reject) => {
      let output = '';
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`redis-server ended with ${code}: ${output.slice(-500)}`)));
      child.stdout?.on('data', (chunk: Buffer) => {
        output = (output + chunk.toString()).slice(-4000);
        if (output.includes('Ready to accept connections')) resolve();
      });
    });
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process?.kill(name);
  }

  /** Ends the process at once; what is only in memory is gone. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  /** Runs commands on a connection of the test's own. */
  async use<T>(run: (client: Client) => Promise<T>): Promise<T> {
    const client = clientOf(this.url);
    client.on('error', () => undefined);
    await client.connect();
    try {
      return await run(client);
    } finally {
      client.destroy();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.dir, { recursive: true, force: true });
  }
}

/** Password of the ACL user; in a URL it must be encoded. */
export const ACL_PASSWORD = 'p@ss/word';

/** A user `chat` that may do what the broker needs and no more, and nobody else. */
export const ACL_USER: readonly string[] = [
  ...['--user', 'default', 'off'],
  ...['--user', 'chat', 'on', `>${ACL_PASSWORD}`, '~carepro_*', '&carepro_*', '-@all'],
  ...['+@read', '+@write', '+@pubsub', '+@connection', '+@scripting', '+info', '+time', '+cluster|slots'],
];

/** Three masters that share the slots. */
export async function startCluster(): Promise<{ readonly servers: readonly RedisServer[] } & AsyncDisposable> {
  const busPorts = new Map<RedisServer, number>();
  for (let index = 0; index < 3; index += 1) {
    const busPort = await freePort();
    busPorts.set(await startClusterNode(busPort), busPort);
  }
  const servers = [...busPorts.keys()];
  const end = async (): Promise<void> => {
    for (const server of servers) await server[Symbol.asyncDispose]();
  };
  try {
    await joinUp(servers, busPorts);
  } catch (error) {
    await end();
    throw error;
  }
  return { servers, [Symbol.asyncDispose]: end };
}

/** Gives each server a third of the slots, makes them known to each other and waits until all agree. */
async function joinUp(servers: readonly RedisServer[], busPorts: ReadonlyMap<RedisServer, number>): Promise<void> {
  const bounds = [0, 5461, 10_923, 16_384];
  for (const [index, server] of servers.entries()) {
    const [from = 0, end = 0] = [bounds[index], bounds[index + 1]];
    await server.use(async (client) => {
      await client.clusterAddSlotsRange({ start: from, end: end - 1 });
      for (const other of servers) {
        if (other === server) continue;
        await client.sendCommand(['CLUSTER', 'MEET', '127.0.0.1', `${other.port}`, `${busPorts.get(other)}`]);
      }
    });
  }
  for (const server of servers) await server.use(isWhole);
}

async function startClusterNode(busPort: number): Promise<RedisServer> {
  const settings = ['--cluster-enabled', 'yes', '--cluster-port', `${busPort}`, '--cluster-node-timeout', '2000'];
  return RedisServer.start({ config: settings });
}

async function isWhole(client: Client): Promise<void> {
  for (let tries = 0; tries < 300; tries += 1) {
    const info = await client.clusterInfo();
    if (/cluster_state:ok/.test(info) && /cluster_known_nodes:3/.test(info) && /slots_ok:16384/.test(info)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('The servers have not become a cluster within 15 s');
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('No port');
  return address.port;
}
