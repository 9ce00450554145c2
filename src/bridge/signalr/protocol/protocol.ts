/**
 * What a hub protocol is to the rest: a pure codec. It cuts bytes into records, reads a record into a message and
 * writes messages into records. It keeps no state and knows no connection, so one instance serves all of them.
 */
import type { CloseContent, InboundMessage } from './messages.ts';
import type { MethodTable } from './method-table.ts';

/** A record ready to be sent, its separator included. */
export type EncodedRecord = string;

/**
 * A record that the protocol does not allow; it ends the connection. The message is for logs and, with detailed errors
 * on, for the client. What is merely wrong with the arguments of a call is not an error but a `bindingFailure`.
 */
export class InvalidRecordError extends Error {
  override readonly name = 'InvalidDataException';
}

export interface HubProtocol {
  /** Lower case, as in the handshake. */
  readonly name: string;
  /** Handshakes up to this version are accepted. */
  readonly maximumVersion: number;
  /** The record of a Ping, the same for everybody. */
  readonly ping: EncodedRecord;
  /** Where the record that begins at `start` ends (the index behind its separator), or -1 when it is not all there. */
  recordEnd(data: Buffer, start: number): number;
  /** Reads the record in `data[start, end)`. Throws InvalidRecordError. */
  parse(data: Buffer, start: number, end: number, methods: MethodTable): InboundMessage;
  /** A call of the client's `target` that wants no answer. Throws when an argument cannot be serialised. */
  writeInvocation(target: string, args: readonly unknown[]): EncodedRecord;
  /** undefined is written as null. Throws when the result cannot be serialised. */
  writeResult(invocationId: string, result: unknown): EncodedRecord;
  writeError(invocationId: string, error: string): EncodedRecord;
  writeClose(content: CloseContent): EncodedRecord;
}
