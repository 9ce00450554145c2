/** File systems that are soon full or cannot be written, for the tests that need a real one. */
import { execFileSync } from 'node:child_process';

export interface SmallFileSystem {
  /** Changes its options: `size=30m`, `ro`. */
  remount(options: string): void;
  unmount(): void;
}

/** Mounts a file system in memory on a directory; undefined where this process may not. */
export function mountSmall(path: string, mebibytes: number): SmallFileSystem | undefined {
  const run = (command: string, ...args: string[]): void => void execFileSync(command, args, { stdio: 'ignore' });
  try {
    run('mount', '-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', path);
  } catch {
    return undefined;
  }
  return {
    remount: (options) => run('mount', '-o', `remount,${options}`, path),
    unmount: () => run('umount', path),
  };
}
