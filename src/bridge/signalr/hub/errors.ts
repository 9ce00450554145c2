/**
 * What goes wrong, and the exact words for it. The texts are the reference's: clients show, compare and parse them
 * (transcripts 14 to 22). Nothing of an error but a HubException's message reaches a client unless detailed errors are on.
 */
import type { TransportEnd } from '../endpoint/transport.ts';

/** An error whose message is meant for the client. Any other error thrown by a hub shows only a general text. */
export class HubException extends Error {
  override readonly name: string = 'HubException';
}

/** Why a connection ended, when it did not end in good order. */
export type ConnectionFailure =
  /** A record the protocol does not allow, or one over the size limit. */
  | 'invalid-record'
  /** A WebSocket frame that breaks RFC 6455, or text that is not UTF-8. */
  | 'protocol-violation'
  /** The client pinged once and then sent nothing for the client timeout. */
  | 'client-timeout'
  /** More was waiting for the client than its outbound bound allows. */
  | 'slow-consumer'
  /** The client took nothing of what was written to it for the send timeout. */
  | 'send-timeout'
  /** A probe for receipt was not answered: the connection is half-open. */
  | 'receipt-timeout'
  /** The socket ended without a closing handshake. */
  | 'connection-lost'
  /** `onConnected` failed; `cause` is its error. */
  | 'not-connected';

/** Given to `onDisconnected` when a connection did not end in good order. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
  readonly failure: ConnectionFailure;

  constructor(failure: ConnectionFailure, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.failure = failure;
  }
}

export const METHOD_MISSING = 'HubException: Method does not exist.';
const CLOSED_WITH_ERROR = 'Connection closed with an error.';

/** The call never reached the method: unknown, or its arguments do not fit. `detail` is always shown. */
export function invocationFailed(method: string, detail?: string): string {
  const text = `Failed to invoke '${method}' due to an error on the server.`;
  return detail === undefined ? text : `${text} ${detail}`;
}

/** The method threw. */
export function methodThrew(method: string, error: unknown, detailed: boolean): string {
  return withDetail(`An unexpected error occurred invoking '${method}' on the server.`, error, detailed);
}

/** The text of a Close record. */
export function closedWithError(error: unknown, detailed: boolean): string {
  return withDetail(CLOSED_WITH_ERROR, error, detailed);
}

/** The wrong kind of call: a stream of a method that is none. */
export function notStreaming(method: string): string {
  return `The client attempted to invoke the non-streaming '${method}' method with a streaming invocation.`;
}

/** The wrong kind of call: a plain one of a method that answers a stream. */
export function onlyStreaming(method: string): string {
  return `The client attempted to invoke the streaming '${method}' method with a non-streaming invocation.`;
}

/** A method that is declared to answer a stream has answered something else. */
export function notAStream(method: string): string {
  return `The value returned by the streaming method '${method}' is not a ChannelReader<> or IAsyncEnumerable<>.`;
}

/** A stream failed after it had begun. */
export function streamFailed(error: unknown, detailed: boolean): string {
  return withDetail('An error occurred on the server while streaming results.', error, detailed);
}

/** The connection has as many streams as it may have. */
export function tooManyStreams(method: string, maximum: number): string {
  return methodThrew(
    method,
    new HubException(`The connection has ${maximum} streams already, the most it may have.`),
    false,
  );
}

/** An upload stream under the id of one that has not ended. */
export function streamIdInUse(method: string, streamId: string): string {
  return methodThrew(method, new HubException(`Stream ID '${streamId}' is already in use.`), false);
}

/** What the method of an upload gets when the client sends an item of another type. */
export const UPLOAD_NOT_BOUND = 'Failed to bind Stream message.';
/** What a caller gets whose client answers with neither a result nor an error. */
export const NO_RESULT = "Client didn't provide a result.";

/** Upload streams for a method that takes another number of them. */
export function streamCountDiffers(method: string, sent: number, expected: number): string {
  const error = new HubException(`Client sent ${sent} stream(s), Hub method expects ${expected}.`);
  return methodThrew(method, error, false);
}

function withDetail(text: string, error: unknown, detailed: boolean): string {
  if (error instanceof HubException || (detailed && error instanceof Error)) {
    return `${text} ${error.name}: ${error.message}`;
  }
  return text;
}

/** A record over the limit. The client is told which, for it can do something about it; the reference tells it only with detailed errors. */
export class RecordTooLarge extends HubException {
  override readonly name = 'InvalidDataException';

  constructor(limitBytes: number) {
    super(`The maximum message size of ${limitBytes}B was exceeded.`);
  }
}

/** What the end of a transport means for its connection; undefined: it ended in good order. */
export function failureOf(reason: TransportEnd): ConnectionError | undefined {
  switch (reason) {
    case 'orderly':
    case 'unexplained':
      return undefined;
    case 'lost':
      return new ConnectionError('connection-lost', 'The connection ended without a closing handshake');
    case 'violation':
      return new ConnectionError('protocol-violation', 'The client broke the rules of the transport');
  }
}
