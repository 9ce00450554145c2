/**
 * The one table from core's errors to the wire, with google.rpc details. Whatever is not a `ChatError` (or an error of
 * the protocol itself) is `internal` outside; its cause goes to the log and nowhere else.
 */
import { create } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  type BadRequest,
  BadRequestSchema,
  type ErrorInfo,
  ErrorInfoSchema,
  type RetryInfo,
  RetryInfoSchema,
} from '../../gen/google/rpc/error_details_pb.ts';
import { type Status, StatusSchema } from '../../gen/google/rpc/status_pb.ts';
import { ChatError, type ChatErrorCode, type ChatErrorReason } from '../core/errors.ts';
import type { TokenFailure } from '../core/identity.ts';
import { toDuration } from './convert.ts';

/** `ErrorInfo.domain` of every error. */
export const ERROR_DOMAIN = 'chat.carepro';

const CODES: Readonly<Record<ChatErrorCode, Code>> = {
  invalidArgument: Code.InvalidArgument,
  unauthenticated: Code.Unauthenticated,
  permissionDenied: Code.PermissionDenied,
  notFound: Code.NotFound,
  alreadyExists: Code.AlreadyExists,
  failedPrecondition: Code.FailedPrecondition,
  resourceExhausted: Code.ResourceExhausted,
  unavailable: Code.Unavailable,
  internal: Code.Internal,
};

/** Names of the codes as logs and metrics have them. */
const CODE_NAMES: Readonly<Record<Code, string>> = {
  [Code.Canceled]: 'canceled',
  [Code.Unknown]: 'unknown',
  [Code.InvalidArgument]: 'invalid_argument',
  [Code.DeadlineExceeded]: 'deadline_exceeded',
  [Code.NotFound]: 'not_found',
  [Code.AlreadyExists]: 'already_exists',
  [Code.PermissionDenied]: 'permission_denied',
  [Code.ResourceExhausted]: 'resource_exhausted',
  [Code.FailedPrecondition]: 'failed_precondition',
  [Code.Aborted]: 'aborted',
  [Code.OutOfRange]: 'out_of_range',
  [Code.Unimplemented]: 'unimplemented',
  [Code.Internal]: 'internal',
  [Code.Unavailable]: 'unavailable',
  [Code.DataLoss]: 'data_loss',
  [Code.Unauthenticated]: 'unauthenticated',
};

export function codeName(code: Code): string {
  return CODE_NAMES[code];
}

function errorInfo(reason: ChatErrorReason): ErrorInfo {
  return create(ErrorInfoSchema, { reason, domain: ERROR_DOMAIN });
}

function badRequest(error: ChatError): BadRequest | undefined {
  if (error.violations.length === 0) return undefined;
  return create(BadRequestSchema, { fieldViolations: error.violations.map((violation) => ({ ...violation })) });
}

function retryInfo(error: ChatError): RetryInfo | undefined {
  if (error.retryAfterMs === undefined) return undefined;
  return create(RetryInfoSchema, { retryDelay: toDuration(error.retryAfterMs) });
}

/** What ends a call that failed with `error`. Errors of the protocol stay as they are. */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  const chat = ChatError.from(error);
  const bad = badRequest(chat);
  const retry = retryInfo(chat);
  return new ConnectError(
    chat.message,
    CODES[chat.code],
    undefined,
    [
      { desc: ErrorInfoSchema, value: errorInfo(chat.reason) },
      ...(bad === undefined ? [] : [{ desc: BadRequestSchema, value: bad }]),
      ...(retry === undefined ? [] : [{ desc: RetryInfoSchema, value: retry }]),
    ],
    chat.cause,
  );
}

/** The same as a message, for the answer to one frame of a stream. */
export function toStatus(error: unknown): Status {
  const chat = ChatError.from(error);
  const bad = badRequest(chat);
  const retry = retryInfo(chat);
  return create(StatusSchema, {
    code: CODES[chat.code],
    message: chat.message,
    details: [
      anyPack(ErrorInfoSchema, errorInfo(chat.reason)),
      ...(bad === undefined ? [] : [anyPack(BadRequestSchema, bad)]),
      ...(retry === undefined ? [] : [anyPack(RetryInfoSchema, retry)]),
    ],
  });
}

/** What the log should be told of `error`: its cause if it is nobody's fault but ours, else undefined. */
export function internalCause(error: unknown): unknown {
  if (error instanceof ChatError) return error.code === 'internal' ? (error.cause ?? error) : undefined;
  if (error instanceof ConnectError) return undefined;
  return error;
}

/** A token that was refused. */
export function tokenError(failure: TokenFailure): ChatError {
  if (failure.code === 'keysUnavailable') {
    return new ChatError('unavailable', 'KEYS_UNAVAILABLE', failure.description, { retryAfterMs: 1000 });
  }
  const reason =
    failure.code === 'missing' ? 'TOKEN_MISSING' : failure.code === 'expired' ? 'TOKEN_EXPIRED' : 'TOKEN_INVALID';
  return new ChatError('unauthenticated', reason, failure.description);
}

/** A deadline that ran out here, not in the client. */
export function deadlineError(message: string, reason?: ChatErrorReason): ConnectError {
  const details = reason === undefined ? [] : [{ desc: ErrorInfoSchema, value: errorInfo(reason) }];
  return new ConnectError(message, Code.DeadlineExceeded, undefined, details);
}

/** The error of a call whose signal was aborted: the deadline's own, else canceled. */
export function abortError(signal: AbortSignal): ConnectError {
  const { reason } = signal;
  return reason instanceof ConnectError ? reason : new ConnectError('The call was canceled', Code.Canceled);
}
