/**
 * The one error type that use cases throw. Each door maps `code` and `reason` to its protocol in one table; everything
 * else that is thrown counts as `internal` outside and is told in full only to the log.
 */

/** Closed set of codes; the names follow google.rpc.Code. */
export type ChatErrorCode =
  | 'invalidArgument'
  | 'unauthenticated'
  | 'permissionDenied'
  | 'notFound'
  | 'alreadyExists'
  | 'failedPrecondition'
  | 'resourceExhausted'
  | 'unavailable'
  | 'internal';

/** Stable, machine-readable reasons (google.rpc.ErrorInfo.reason). A client may switch on them. */
export type ChatErrorReason =
  | 'INVALID_FIELD'
  | 'TEXT_EMPTY'
  | 'TEXT_TOO_LONG'
  | 'RECEIVER_IS_SENDER'
  | 'TOKEN_MISSING'
  | 'TOKEN_INVALID'
  | 'TOKEN_EXPIRED'
  | 'KEYS_UNAVAILABLE'
  | 'USER_MISSING'
  | 'ACCESS_DENIED'
  | 'NOT_MESSAGE_SENDER'
  | 'NOT_MESSAGE_RECEIVER'
  | 'MESSAGE_NOT_FOUND'
  | 'CONVERSATION_NOT_FOUND'
  | 'USER_NOT_FOUND'
  | 'CLIENT_MESSAGE_ID_REUSED'
  | 'STREAM_NOT_OPEN'
  | 'STREAM_ALREADY_OPEN'
  | 'RATE_LIMITED'
  | 'TOO_MANY_CONNECTIONS'
  | 'OVERLOADED'
  | 'SLOW_CONSUMER'
  | 'STORE_UNAVAILABLE'
  | 'SHUTTING_DOWN'
  | 'INTERNAL';

/** A field of the request that was wrong and what was expected instead. */
export interface FieldViolation {
  /** Name as in the Protobuf request, for example `receiver_id`. */
  readonly field: string;
  /** Sentence that says what was expected; never the value that was sent. */
  readonly description: string;
}

export interface ChatErrorOptions {
  readonly violations?: readonly FieldViolation[];
  /** When a retry can succeed, in milliseconds from now. */
  readonly retryAfterMs?: number;
  /** The cause, for the log only. */
  readonly cause?: unknown;
}

/** An error with a message that is safe to show to the caller. */
export class ChatError extends Error {
  override readonly name = 'ChatError';
  readonly code: ChatErrorCode;
  readonly reason: ChatErrorReason;
  readonly violations: readonly FieldViolation[];
  readonly retryAfterMs: number | undefined;

  constructor(code: ChatErrorCode, reason: ChatErrorReason, message: string, options: ChatErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.reason = reason;
    this.violations = options.violations ?? [];
    this.retryAfterMs = options.retryAfterMs;
  }

  /** The error as a `ChatError`: itself, or `internal` with the original as cause. */
  static from(error: unknown): ChatError {
    if (error instanceof ChatError) return error;
    return new ChatError('internal', 'INTERNAL', 'Something went wrong inside the server', { cause: error });
  }
}

/** `invalidArgument` for one field. */
export function invalidField(field: string, description: string): ChatError {
  return new ChatError('invalidArgument', 'INVALID_FIELD', `${field}: ${description}`, {
    violations: [{ field, description }],
  });
}
