/** Finds, unpacks and starts the incumbent: a self-contained ASP.NET Core SignalR hub that keeps everything in memory. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, makeTemporaryFolder } from '../system/temporary.ts';
import { startChildServer } from './child-server.ts';
import type { ServerUnderTest } from './server-under-test.ts';
import { SECRET } from './tokens.ts';

/** The incumbent, ready to be started. */
export interface Incumbent extends AsyncDisposable {
  readonly executable: string;
  readonly version: string;
}

/** Why there is none. */
export interface NoIncumbent {
  readonly skipped: string;
}

const EXECUTABLE = 'ReferenceHub';
const DEFAULT_PATH = join(
  import.meta.dirname,
  '..',
  '..',
  '..',
  'shared',
  'reference',
  'reference-hub-linux-x64.tar.xz',
);

/** A path that was asked for must be there; the default place may be empty. */
export async function prepareIncumbent(
  asked: string | undefined,
  temporaryFolder: string | undefined,
): Promise<Incumbent | NoIncumbent> {
  const named = asked ?? process.env.REFERENCE_HUB;
  const path = named ?? DEFAULT_PATH;
  if (!existsSync(path)) {
    if (named !== undefined) throw new Error(`the incumbent was asked for, but ${path} does not exist`);
    return { skipped: 'the incumbent is not at hand (--reference PATH or REFERENCE_HUB names its archive or folder)' };
  }
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return { skipped: `the incumbent runs on linux-x64 only, this is ${process.platform}-${process.arch}` };
  }
  if (statSync(path).isDirectory()) return describe(join(path, EXECUTABLE), async () => undefined);
  const folder = await makeTemporaryFolder(temporaryFolder);
  try {
    await promisify(execFile)('tar', ['-xf', path, '-C', folder.path]);
    return describe(join(folder.path, EXECUTABLE), async () => folder[Symbol.asyncDispose]());
  } catch (error) {
    await folder[Symbol.asyncDispose]();
    throw new Error(`cannot unpack the incumbent ${path} (needs tar and xz)`, { cause: error });
  }
}

export async function startIncumbent(
  incumbent: Incumbent,
  options: { readonly statusBroadcast: boolean },
): Promise<ServerUnderTest> {
  const port = await freePort();
  const running = await startChildServer({
    name: 'the incumbent',
    command: incumbent.executable,
    commandLine: [],
    env: {
      PATH: process.env.PATH,
      JWT_KEY: SECRET,
      PORT: String(port),
      STATUS_BROADCAST: options.statusBroadcast ? '1' : '0',
    },
    readyUrl: `http://127.0.0.1:${port}/chathub/negotiate?negotiateVersion=1`,
    readyMethod: 'POST',
    channel: false,
  });
  return {
    contender: 'incumbent',
    host: '127.0.0.1',
    port,
    pid: running.pid,
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

function describe(executable: string, dispose: () => Promise<void>): Incumbent {
  if (!existsSync(executable)) throw new Error(`there is no ${EXECUTABLE} in the incumbent's folder`);
  // A self-contained program carries its runtime configuration as text.
  const text = readFileSync(executable).toString('latin1');
  const version = /"Microsoft\.AspNetCore\.App",\s*"version":\s*"([^"]+)"/.exec(text)?.[1];
  return {
    executable,
    version: version === undefined ? 'ASP.NET Core SignalR, version unknown' : `ASP.NET Core SignalR ${version}`,
    [Symbol.asyncDispose]: dispose,
  };
}
