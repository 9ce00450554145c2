/**
 * The one door to `node:sqlite`: a connection with the settings the store relies on, prepared statements that answer
 * rows as arrays, and the classification of its errors.
 *
 * Blocks its thread while it works, so only the workers (and, for the directory's lock, the opening) use it.
 * `DatabaseSync` is the class's name today; nothing outside this module knows it.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite';

export type Value = null | number | string | Uint8Array;

/** A prepared statement whose rows are tuples `R`. */
export interface Statement<R extends readonly unknown[] = never> {
  get(...values: Value[]): R | undefined;
  all(...values: Value[]): R[];
  /** Rows one at a time; the statement is reset when the loop ends early. */
  iterate(...values: Value[]): Iterable<R>;
  /** Executes and answers how many rows changed. */
  run(...values: Value[]): number;
}

class NodeStatement<R extends readonly unknown[]> implements Statement<R> {
  readonly #statement: StatementSync;

  constructor(statement: StatementSync) {
    statement.setReturnArrays(true);
    this.#statement = statement;
  }

  get(...values: Value[]): R | undefined {
    return this.#statement.get(...values) as R | undefined;
  }

  all(...values: Value[]): R[] {
    return this.#statement.all(...values) as unknown as R[];
  }

  iterate(...values: Value[]): Iterable<R> {
    return this.#statement.iterate(...values) as unknown as Iterable<R>;
  }

  run(...values: Value[]): number {
    return Number(this.#statement.run(...values).changes);
  }
}

export interface DatabaseOptions {
  /** Page cache of this connection, in KiB. */
  readonly cacheKib: number;
  /** How long a statement waits for a lock that another process holds, in milliseconds. */
  readonly busyTimeoutMs: number;
  /** True for a connection that must never write. */
  readonly queryOnly?: boolean;
}

/** An open connection. */
export class Database {
  readonly #handle: DatabaseSync;
  readonly #begin: StatementSync;
  readonly #beginWrite: StatementSync;
  readonly #commit: StatementSync;

  /** Opens or creates the file. @throws the driver's error. */
  static open(path: string, options: DatabaseOptions): Database {
    const handle = new DatabaseSync(path, { timeout: options.busyTimeoutMs });
    try {
      return new Database(handle, options);
    } catch (error) {
      handle.close();
      throw error;
    }
  }

  private constructor(handle: DatabaseSync, options: DatabaseOptions) {
    handle.exec(`
      PRAGMA cache_size = -${options.cacheKib};
      PRAGMA mmap_size = 0;
      PRAGMA temp_store = MEMORY;
      PRAGMA secure_delete = FAST;
      ${options.queryOnly ? 'PRAGMA query_only = 1;' : ''}
    `);
    this.#handle = handle;
    this.#begin = handle.prepare('BEGIN');
    this.#beginWrite = handle.prepare('BEGIN IMMEDIATE');
    this.#commit = handle.prepare('COMMIT');
  }

  prepare<R extends readonly unknown[] = never>(sql: string): Statement<R> {
    return new NodeStatement<R>(this.#handle.prepare(sql));
  }

  exec(sql: string): void {
    this.#handle.exec(sql);
  }

  /** The value of a pragma or of any query that answers one column of one row. */
  scalar(sql: string): unknown {
    return this.prepare<readonly unknown[]>(sql).get()?.[0];
  }

  /** Begins a transaction that sees one state of the file. */
  begin(): void {
    this.#begin.run();
  }

  /** Begins a transaction that holds the write lock. */
  beginWrite(): void {
    this.#beginWrite.run();
  }

  /** Durable when it returns. */
  commit(): void {
    this.#commit.run();
  }

  /** Ends the transaction, if there is one; never throws. */
  rollback(): void {
    try {
      this.#handle.exec('ROLLBACK');
    } catch {
      // SQLite has rolled back by itself, or the file is in a state in which closing is all that is left.
    }
  }

  /** Idempotent; never throws. */
  close(): void {
    try {
      this.#handle.close();
    } catch {
      // Closed before.
    }
  }
}

/** Result codes (https://sqlite.org/rescode.html) that say something about one statement's values only. */
const ITEM_CODES: ReadonlySet<number> = new Set([
  18 /* TOOBIG */, 19 /* CONSTRAINT */, 20 /* MISMATCH */, 25 /* RANGE */,
]);
const BUSY = 5;
const LOCKED = 6;
const NOT_A_DATABASE = 26;

function primaryCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined;
  return error.errcode & 0xff;
}

/** True if the error condemns one item; false if it says that the file, the disk or the connection is in trouble. */
export function isItemError(error: unknown): boolean {
  const code = primaryCode(error);
  return code === undefined || ITEM_CODES.has(code);
}

/** True if another connection holds a lock; the own connection is in order. */
export function isBusy(error: unknown): boolean {
  const code = primaryCode(error);
  return code === BUSY || code === LOCKED;
}

export function isNotADatabase(error: unknown): boolean {
  return primaryCode(error) === NOT_A_DATABASE;
}
