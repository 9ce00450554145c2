/** Errors of the driver as what the callers of the store get. Nothing that a user wrote, and no password, is told on. */
import {
  type AnyBulkWriteOperation,
  type BulkWriteOptions,
  type Collection,
  type Document,
  MongoBulkWriteError,
  MongoError,
  MongoServerError,
  type OptionalUnlessRequiredId,
} from 'mongodb';
import { ChatError } from '../../core/errors.ts';

/** When a caller may try again, in milliseconds. */
const RETRY_AFTER_MS = 1000;
const DUPLICATE_KEY = 11_000;
/** NotImplemented, CommandNotFound, CommandNotSupported: the server has no such thing. */
const NOT_SUPPORTED = new Set([238, 59, 115]);
/** Server codes that say the request was wrong, not that the server is in trouble. */
const REQUEST_CODES = new Set([2, 9, 14, 28, 40, 52, 66, 121, 10_334, 17_280, 17_419, 17_420]);

/** Outcome of an insert of many: what became of each document that was not stored. */
export interface InsertFailures {
  /** By index: true if a unique key was taken, else the error. */
  readonly failed: ReadonlyMap<number, true | Error>;
}

/**
 * Inserts documents, each of which may fail alone.
 * @throws the driver's error if it is not known that all others are durable.
 */
export async function insertAll<T extends Document>(
  collection: Collection<T>,
  documents: readonly T[],
  ordered = false,
): Promise<InsertFailures> {
  if (documents.length === 0) return { failed: new Map() };
  return tolerate(() => collection.insertMany(documents as OptionalUnlessRequiredId<T>[], { ordered }));
}

/**
 * Inserts documents; one whose key is taken is left as it is.
 * @returns how many were inserted.
 * @throws if one failed for another reason.
 */
export async function insertMissing<T extends Document>(
  collection: Collection<T>,
  documents: readonly T[],
): Promise<number> {
  const { failed } = await insertAll(collection, documents);
  for (const failure of failed.values()) if (failure !== true) throw failure;
  return documents.length - failed.size;
}

/**
 * Runs updates, unordered.
 * @throws the driver's error if one failed for another reason than a key that was taken in a race of two upserts.
 */
export async function updateAll<T extends Document>(
  collection: Collection<T>,
  updates: readonly AnyBulkWriteOperation<T>[],
): Promise<void> {
  const options: BulkWriteOptions = { ordered: false };
  let left = updates;
  // A lost upsert finds the document when it is repeated.
  for (let attempt = 0; left.length > 0; attempt += 1) {
    const current = left;
    const { failed } = await tolerate(() => collection.bulkWrite([...current], options));
    for (const failure of failed.values()) if (failure !== true) throw failure;
    if (attempt === 5 && failed.size > 0) throw new TroubleError('An upsert lost every race');
    left = current.filter((_, index) => failed.has(index));
  }
}

async function tolerate(write: () => Promise<unknown>): Promise<InsertFailures> {
  const failed = new Map<number, true | Error>();
  try {
    await write();
  } catch (error) {
    if (!(error instanceof MongoBulkWriteError)) throw error;
    const concern = error.result.getWriteConcernError();
    if (concern !== undefined) throw new TroubleError(`The write concern was not met (code ${concern.code})`);
    const errors = Array.isArray(error.writeErrors) ? error.writeErrors : [error.writeErrors];
    if (errors.length === 0) throw error;
    for (const { code, index } of errors) {
      failed.set(index, code === DUPLICATE_KEY ? true : refusal(Number(code)));
    }
  }
  return { failed };
}

/** A code that does not speak of the document is that of a server in trouble: in an election, or of an unreachable shard. */
function refusal(code: number): Error {
  const error = new Error(`The server refused it (code ${code})`);
  return REQUEST_CODES.has(code) ? error : unavailable(error);
}

/** The store cannot say what became of a write. */
export class TroubleError extends Error {
  override readonly name = 'TroubleError';
}

export function isDuplicateKey(error: unknown): boolean {
  return error instanceof MongoServerError && error.code === DUPLICATE_KEY;
}

export function isNotSupported(error: unknown): boolean {
  return error instanceof MongoServerError && NOT_SUPPORTED.has(Number(error.code));
}

/** Runs a request; its errors become those that the port promises. */
export async function guarded<T>(request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    throw toChatError(error);
  }
}

/** The error a caller of the store gets. Its cause is for the log. */
export function toChatError(error: unknown): ChatError {
  if (error instanceof ChatError) return error;
  const cause = new Error(describe(error));
  const isRequest = error instanceof MongoServerError && REQUEST_CODES.has(Number(error.code));
  if (isRequest || !(error instanceof MongoError || error instanceof TroubleError)) {
    return new ChatError('internal', 'INTERNAL', 'Something went wrong inside the server', { cause });
  }
  return unavailable(cause);
}

/** The store cannot answer now; the same call can succeed later. */
export function unavailable(cause: unknown): ChatError {
  return new ChatError('unavailable', 'STORE_UNAVAILABLE', 'The message store is unavailable, try again', {
    cause,
    retryAfterMs: RETRY_AFTER_MS,
  });
}

/** Servers quote keys and documents in their messages, so of theirs only the code is told. */
function describe(error: unknown): string {
  if (error instanceof MongoServerError) return `${error.name} ${error.code ?? ''} ${error.codeName ?? ''}`.trim();
  if (error instanceof Error) return `${error.name}: ${error.message}`;
  return 'Unknown error';
}
