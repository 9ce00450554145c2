/** Errors of the store's threads: what is told about them across threads, and what the callers of the store get. */
import { ChatError } from '../../core/errors.ts';
import { isBusy, isItemError, isNotADatabase } from './database.ts';
import type { Failure } from './protocol.ts';
import { UnusableFileError } from './schema.ts';

/** When a caller may try again, in milliseconds. */
const RETRY_AFTER_MS = 1000;

const NOT_A_DATABASE = 'chat.sqlite in DATA_DIR is not a SQLite database; move it away or restore it from a backup';

/** The error as it is sent to the asking thread. */
export function describeFailure(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error);
  // Thrown for what the caller asked (a page token), not for what the file is.
  if (error instanceof ChatError) return { kind: 'asked', message, error: toParts(error) };
  if (error instanceof UnusableFileError) return { kind: 'unusable', message };
  if (isNotADatabase(error)) return { kind: 'unusable', message: NOT_A_DATABASE };
  if (isBusy(error)) return { kind: 'busy', message };
  return { kind: isItemError(error) ? 'request' : 'damaged', message };
}

/** The error a caller of the store gets. Its cause is for the log and holds nothing that a user wrote. */
export function toChatError(failure: Failure): ChatError {
  if (failure.error !== undefined) {
    const { code, reason, message, violations } = failure.error;
    return new ChatError(code, reason, message, { violations });
  }
  const cause = new Error(failure.message);
  if (failure.kind === 'request') {
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

function toParts(error: ChatError): NonNullable<Failure['error']> {
  const { code, reason, message, violations } = error;
  return { code, reason, message, violations };
}
