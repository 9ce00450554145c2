/**
 * Keeps a second process away from the data directory. The lock is SQLite's own, on a small file beside the data: the
 * operating system drops it when the process ends, however it ends, so a killed server never blocks the next start.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Database, isBusy } from './database.ts';
import { UnusableFileError } from './schema.ts';

export class DirectoryLock implements Disposable {
  readonly #database: Database;

  private constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Makes the directory if need be, and takes it.
   * @throws UnusableFileError if another process has it, or it cannot be written.
   */
  static async take(directory: string): Promise<DirectoryLock> {
    try {
      await mkdir(directory, { recursive: true });
    } catch (error) {
      throw new UnusableFileError(`DATA_DIR ${directory} cannot be made; choose a directory that can be written`, {
        cause: error,
      });
    }
    let database: Database | undefined;
    try {
      database = Database.open(join(directory, 'chat.lock'), { cacheKib: 64, busyTimeoutMs: 0 });
      // Without a journal the lock writes nothing, so nothing of it is left behind.
      database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
      return new DirectoryLock(database);
    } catch (error) {
      database?.close();
      if (isBusy(error)) {
        throw new UnusableFileError(
          `DATA_DIR ${directory} is in use by another process; stop that one, or choose another directory`,
          { cause: error },
        );
      }
      throw new UnusableFileError(`DATA_DIR ${directory} cannot be written; check its owner, its mode and the disk`, {
        cause: error,
      });
    }
  }

  /** Gives the directory back. Idempotent. */
  [Symbol.dispose](): void {
    this.#database.close();
  }
}
