/**
 * What a hub protocol is to the rest: a pure codec. It cuts bytes into records, reads a record into a message and
 * writes messages into records. It keeps no state and knows no connection, so one instance serves all of them.
 */
import type { CloseContent, InboundMessage } from './messages.ts';
import type { MethodEntry } from './method-table.ts';
import type { ParameterKind } from './parameters.ts';

/** A record ready to be sent, whole with its separator or length: text or bytes, as the protocol's transfer format says. */
export type EncodedRecord = string | Buffer;

/** How a protocol's records travel: `Binary` ones need a transport that carries bytes. */
export type TransferFormat = 'Text' | 'Binary';

/**
 * A record that the protocol does not allow; it ends the connection. The message is for logs and, with detailed errors
 * on, for the client. What is merely wrong with the arguments of a call is not an error but a `bindingFailure`.
 */
export class InvalidRecordError extends Error {
  override readonly name = 'InvalidDataException';
}

/** What a codec must know of the connection to check values while it still sees how they were written. */
export interface Binder {
  /** The method a client calls `target`, or undefined. */
  method(target: string): MethodEntry | undefined;
  /** What the items of that upload stream must be; undefined: there is no such stream. */
  itemKind(streamId: string): ParameterKind | undefined;
  /** What the client's answer to that invocation must be; undefined: nobody waits for it. */
  resultKind(invocationId: string): ParameterKind | undefined;
}

export interface HubProtocol {
  /** Lower case, as in the handshake. */
  readonly name: string;
  readonly transferFormat: TransferFormat;
  /** Handshakes up to this version are accepted. */
  readonly maximumVersion: number;
  /** The record of a Ping, the same for everybody. */
  readonly ping: EncodedRecord;
  /**
   * Where the record that begins at `start` ends (the index behind it), or -1 when it is not all there. A protocol whose records tell
   * their length may answer an end beyond `data`, as soon as it is known. What stands before `from`, by default `start`, is known not
   * to hold the end. Throws InvalidRecordError when no record can begin so.
   */
  recordEnd(data: Buffer, start: number, from?: number): number;
  /** Reads the record in `data[start, end)`. Throws InvalidRecordError. The message holds no part of `data`. */
  parse(data: Buffer, start: number, end: number, binder: Binder): InboundMessage;
  /**
   * A call of the client's `target`; it wants an answer if it has an id. Throws TypeError when an argument cannot be
   * serialised; so do the others that carry a value.
   */
  writeInvocation(target: string, args: readonly unknown[], invocationId?: string): EncodedRecord;
  writeStreamItem(invocationId: string, item: unknown): EncodedRecord;
  /** The answer to a call. undefined is written as null. */
  writeResult(invocationId: string, result: unknown): EncodedRecord;
  /** The end of a stream: a completion with neither result nor error. */
  writeStreamEnd(invocationId: string): EncodedRecord;
  writeError(invocationId: string, error: string): EncodedRecord;
  writeClose(content: CloseContent): EncodedRecord;
  /** Protocol version 2: all counted records up to this one have been received. */
  writeAck(sequenceId: number): EncodedRecord;
  /** Protocol version 2: the number of the counted record that follows. */
  writeSequence(sequenceId: number): EncodedRecord;
}
