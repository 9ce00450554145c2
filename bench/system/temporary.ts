/** Temporary folders and free ports, and what kind of disk the folders are on. */
import { statfsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A fresh folder that is gone when disposed of. */
export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string;
}

export async function makeTemporaryFolder(parent: string | undefined): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(parent ?? tmpdir(), 'carepro-bench-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** The kind of file system, as far as it matters: memory does not commit to a disk. */
export function describeFileSystem(path: string): string {
  const { type } = statfsSync(path);
  if (type === 0x01021994) return 'tmpfs (memory: commits cost nothing there, choose a disk with --temp)';
  const known: Record<number, string> = {
    61267: 'ext4',
    1481003842: 'xfs',
    2435016766: 'btrfs',
    2035054128: 'overlay',
  };
  return known[type] ?? `type 0x${type.toString(16)}`;
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
