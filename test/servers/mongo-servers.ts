/**
 * The MongoDB servers that tests run against: the one named by MONGODB_URI, else `mongod` from the PATH as a one-node
 * replica set, else two other servers side by side, so that what one lacks the other shows. One that cannot be had is
 * told with its reason: a named skip for a newcomer, a failure where CI is set.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MongoClient } from 'mongodb';
import { type BuiltServer, buildFerretDb, buildMongoJavaServer } from './mongo-builds.ts';

const run = promisify(execFile);
const START_TIMEOUT_MS = 30_000;

export type MongoServerKind = 'MongoDB' | 'FerretDB' | 'mongo-java-server';

export interface RunningMongo extends AsyncDisposable {
  readonly uri: string;
  /** Ends it as a crash would; undefined where the server is not ours. */
  kill(): Promise<void>;
  /** Starts it again after `kill`, on the same port with the same data. */
  restart(): Promise<void>;
}

/** A server that tests can start, or why it cannot be had. */
export interface MongoServerChoice {
  readonly kind: MongoServerKind;
  /** Why it is not available; absent if it is. */
  readonly missing?: string;
  /** True if the server can be killed and restarted with its data. */
  readonly survivesKill: boolean;
  /** @param folder for its data, where it is one that survives; the caller's to remove. Default: a temporary one. */
  start(folder?: string): Promise<RunningMongo>;
}

/**
 * The servers of this machine in the order of choice; building what has to be built.
 * @throws where the variable CI is set and one of them cannot be had.
 */
export async function chooseMongoServers(): Promise<readonly MongoServerChoice[]> {
  const { CI, MONGODB_URI } = process.env;
  if (MONGODB_URI !== undefined && MONGODB_URI !== '') {
    return [{ kind: 'MongoDB', survivesKill: false, start: async () => foreign(MONGODB_URI) }];
  }
  if (await works('mongod', ['--version'])) {
    return [{ kind: 'MongoDB', survivesKill: true, start: startMongod }];
  }
  const choices = [
    await choice('FerretDB', true, 'go', ['version'], buildFerretDb, (built, folder) => startOwn(built, true, folder)),
    await choice('mongo-java-server', false, 'mvn', ['-version'], buildMongoJavaServer, (built) =>
      startOwn(built, false),
    ),
  ];
  const missing = choices.filter((item) => item.missing !== undefined);
  if (CI !== undefined && missing.length > 0) {
    throw new Error(missing.map((item) => `${item.kind}: ${item.missing}`).join('; '));
  }
  return choices;
}

async function choice(
  kind: MongoServerKind,
  survivesKill: boolean,
  tool: string,
  probe: readonly string[],
  build: () => Promise<BuiltServer>,
  start: (built: BuiltServer, folder?: string) => Promise<RunningMongo>,
): Promise<MongoServerChoice> {
  const unavailable = (missing: string): MongoServerChoice => ({
    kind,
    survivesKill,
    missing,
    start: () => Promise.reject(new Error(missing)),
  });
  if (!(await works(tool, probe))) return unavailable(`there is no ${tool} on this machine to build it with`);
  try {
    const built = await build();
    return { kind, survivesKill, start: (folder) => start(built, folder) };
  } catch (error) {
    return unavailable(`it could not be built: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function works(command: string, args: readonly string[]): Promise<boolean> {
  return run(command, [...args], { timeout: 20_000 }).then(
    () => true,
    () => false,
  );
}

function foreign(uri: string): RunningMongo {
  const refuse = (): Promise<never> => Promise.reject(new Error('The server of MONGODB_URI is not ours to end'));
  return { uri, kill: refuse, restart: refuse, [Symbol.asyncDispose]: async () => undefined };
}

async function startOwn(built: BuiltServer, onDisk: boolean, given?: string): Promise<RunningMongo> {
  if (!onDisk) return supervise(() => launch(built.command, built.args), undefined);
  const folder = given ?? (await mkdtemp(join(tmpdir(), 'mongo-test-')));
  const address = `127.0.0.1:${await freePort()}`;
  const start = () => launch(built.command, [...built.args, folder, address]);
  return supervise(start, given === undefined ? folder : undefined);
}

async function startMongod(given?: string): Promise<RunningMongo> {
  const folder = given ?? (await mkdtemp(join(tmpdir(), 'mongo-test-')));
  const port = await freePort();
  const args = ['--dbpath', folder, '--port', `${port}`, '--bind_ip', '127.0.0.1', '--replSet', 'tests'];
  const running = await supervise(
    async () => {
      const child = spawn('mongod', args, { stdio: 'ignore' });
      const client = new MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true`, {
        serverSelectionTimeoutMS: START_TIMEOUT_MS,
      });
      try {
        const members = [{ _id: 0, host: `127.0.0.1:${port}` }];
        await client
          .db('admin')
          .command({ replSetInitiate: { _id: 'tests', members } })
          .catch((error: { code?: number }) => {
            // After a restart the set is there already.
            if (error.code !== 23) throw error;
          });
      } finally {
        await client.close();
      }
      return { child, port };
    },
    given === undefined ? folder : undefined,
  );
  return { ...running, uri: `mongodb://127.0.0.1:${port}/?replicaSet=tests` };
}

interface Launched {
  readonly child: ChildProcess;
  readonly port: number;
}

async function supervise(launchOnce: () => Promise<Launched>, folder: string | undefined): Promise<RunningMongo> {
  let { child, port } = await launchOnce();
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  };
  return {
    uri: `mongodb://127.0.0.1:${port}/`,
    kill,
    async restart() {
      ({ child, port } = await launchOnce());
    },
    async [Symbol.asyncDispose]() {
      await kill();
      if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Starts a program that prints `ready PORT`. */
async function launch(command: string, args: readonly string[]): Promise<Launched> {
  const child = spawn(command, [...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  const port = await new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${command} was not ready in time`)), START_TIMEOUT_MS);
    let output = '';
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${command} ended with code ${code} before it was ready`)));
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      const ready = /^ready (\d+)$/m.exec(output);
      if (ready === null) return;
      clearTimeout(timer);
      resolve(Number(ready[1]));
    });
  }).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  return { child, port };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('There is no free port');
  return address.port;
}
