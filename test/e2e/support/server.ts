/** Servers for end-to-end tests: in this process (quick), or as a child process (to be killed). */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mintToken } from '../../../src/auth/mint.ts';
import { type App, createApp, type Replacements } from '../../../src/compose.ts';
import { loadConfig } from '../../../src/config.ts';

/** Signs the tokens of tests. */
export const SECRET = 'end-to-end-tests-sign-their-tokens-with-this';
const root = join(import.meta.dirname, '../../..');

/** Environment of a test server: a secret, no noise, no rate limit unless asked for. */
export function testEnv(dataDir: string, extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    HOST: '127.0.0.1',
    PORT: '0',
    DATA_DIR: dataDir,
    AUTH_HS256_SECRET: SECRET,
    LOG_LEVEL: 'error',
    SEND_RATE_PER_SECOND: '1000000',
    SEND_BURST: '1000000',
    ...extra,
  };
}

/** A token of a user. */
export function tokenFor(
  userId: string,
  options: { role?: string; name?: string; ttlMs?: number } = {},
): Promise<string> {
  return mintToken({
    secret: new TextEncoder().encode(SECRET),
    userId,
    issuer: 'CarePro',
    audience: 'CarePro',
    ttlMs: 3_600_000,
    ...options,
  });
}

export async function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'carepro-chat-'));
}

export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly dataDir: string;
  readonly app: App;
}

/** A server in this process on a free port, with a folder of its own that is removed at the end. */
export async function startServer(
  env: Readonly<Record<string, string>> = {},
  replacements: Replacements = {},
): Promise<TestServer> {
  const dataDir = env.DATA_DIR ?? (await temporaryFolder());
  const app = await createApp(loadConfig(testEnv(dataDir, env)), replacements);
  return {
    app,
    url: app.url,
    port: app.port,
    dataDir,
    async [Symbol.asyncDispose]() {
      await app.close();
      if (env.DATA_DIR === undefined) await rm(dataDir, { recursive: true, force: true });
    },
  };
}

export interface ServerProcess extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly child: ChildProcess;
  /** What it wrote to standard output and error so far. */
  output(): string;
  /** Sends a signal and waits for the end. @returns the exit code, or null after a signal. */
  stop(signal: NodeJS.Signals): Promise<number | null>;
}

/** The server as a process of its own, started the way `npm start` starts it; ready when it answers. */
export async function startProcess(env: Readonly<Record<string, string>>): Promise<ServerProcess> {
  const port = env.PORT === undefined || env.PORT === '0' ? await freePort() : Number(env.PORT);
  const child = spawn(process.execPath, ['bin/start.mjs'], {
    cwd: root,
    env: { PATH: process.env.PATH ?? '', ...env, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  await new Promise<void>((resolve, reject) => {
    const collect = (chunk: Buffer): void => {
      output += chunk.toString();
      if (output.includes('is ready on')) resolve();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    void ended.then((code) => reject(new Error(`The server ended with ${code}: ${output}`)));
  });
  const stop = (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal);
    return ended;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    child,
    output: () => output,
    stop,
    async [Symbol.asyncDispose]() {
      await stop('SIGKILL');
    },
  };
}

/** A port that was free a moment ago, for a server that must come back on the same one. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('No port');
  return address.port;
}
