/** Temporary folders and free ports, and what kind of disk the folders are on. */
import { rmSync, type StatsFs, statfsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unlessDone } from './last-resort.ts';

/** A fresh folder that is gone when disposed of. */
export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string;
}

export async function makeTemporaryFolder(parent: string | undefined): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(parent ?? tmpdir(), 'carepro-bench-'));
  const done = unlessDone(() => rmSync(path, { recursive: true, force: true }));
  const remove = async (): Promise<void> => {
    await rm(path, { recursive: true, force: true });
    done();
  };
  return { path, [Symbol.asyncDispose]: remove };
}

/** The kind of file system, as far as it matters: memory does not commit to a disk. */
export function describeFileSystem(path: string): string {
  const { type } = statFileSystem(path);
  if (type === 0x01021994) return 'tmpfs (memory: commits cost nothing there, choose a disk with --temp)';
  const known: Record<number, string> = {
    61267: 'ext4',
    1481003842: 'xfs',
    2435016766: 'btrfs',
    2035054128: 'overlay',
  };
  return known[type] ?? `type 0x${type.toString(16)}`;
}

function statFileSystem(path: string): StatsFs {
  try {
    return statfsSync(path);
  } catch (error) {
    throw new Error(`the folder for temporary data, ${path}, cannot be used`, { cause: error });
  }
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('the system gave no port');
  return address.port;
}
