/** What goes wrong at the REST door, as status, text and headers. */
import { ChatError, type ChatErrorCode } from '../core/errors.ts';
import type { TokenFailure } from '../core/identity.ts';
import { AUTHENTICATION_REQUIRED, errorText, SEND_FAILED } from './error-texts.ts';

const STATUS: Readonly<Record<ChatErrorCode, number>> = {
  invalidArgument: 400,
  unauthenticated: 401,
  permissionDenied: 403,
  notFound: 404,
  alreadyExists: 400,
  failedPrecondition: 400,
  resourceExhausted: 429,
  unavailable: 503,
  internal: 500,
};

/** When a client may try again if nobody knows better, in seconds. */
const RETRY_AFTER_S = 1;

/** An answer that is not 200. The message is for the caller. */
export class RestError extends Error {
  override readonly name = 'RestError';
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.status = status;
    this.headers = headers;
  }
}

/** The answer to an error of a use case. A failure inside the server keeps its cause, for the log. */
export function restError(error: unknown, isSend: boolean): RestError {
  if (error instanceof RestError) return error;
  if (!(error instanceof ChatError)) {
    const failure = ChatError.from(error);
    return new RestError(500, isSend ? SEND_FAILED : errorText(failure, false), {}, error);
  }
  const status = error.reason === 'OVERLOADED' ? 503 : STATUS[error.code];
  const text = errorText(error, isSend);
  if (status === 401) return new RestError(status, text, { 'WWW-Authenticate': 'Bearer' });
  if (status === 429 || status === 503) {
    const seconds = Math.ceil((error.retryAfterMs ?? RETRY_AFTER_S * 1000) / 1000);
    return new RestError(status, text, { 'Retry-After': String(Math.max(1, seconds)) }, error);
  }
  return new RestError(status, text, {}, status === 500 ? error : undefined);
}

/** The answer to a token that is not good (RFC 6750, section 3). */
export function tokenError(failure: TokenFailure): RestError {
  if (failure.code === 'missing') return new RestError(401, AUTHENTICATION_REQUIRED, { 'WWW-Authenticate': 'Bearer' });
  if (failure.code === 'keysUnavailable') {
    return new RestError(503, failure.description, { 'Retry-After': String(RETRY_AFTER_S) });
  }
  // Printable ASCII without quotes and backslashes: what a quoted string of a header can hold.
  const description = failure.description.replace(/[^\x20-\x7e]|["\\]/g, ' ');
  return new RestError(401, failure.description, {
    'WWW-Authenticate': `Bearer error="invalid_token", error_description="${description}"`,
  });
}
