/**
 * Hub messages as the codecs give them to the dispatcher. Pure data; the numbers are those of the wire
 * (HubProtocol.md, "Message types").
 */
import type { MethodEntry } from './method-table.ts';

/** Message types of the hub protocol. */
export const messageType = {
  invocation: 1,
  streamItem: 2,
  completion: 3,
  streamInvocation: 4,
  cancelInvocation: 5,
  ping: 6,
  close: 7,
  ack: 8,
  sequence: 9,
} as const;

/** A call of a method, with arguments that fit its parameters. */
export interface InvocationMessage {
  readonly type: typeof messageType.invocation | typeof messageType.streamInvocation;
  /** undefined: the client wants no answer. An empty string on the wire counts as none. */
  readonly invocationId: string | undefined;
  /** As the client wrote it. */
  readonly target: string;
  /** undefined: there is no such method. */
  readonly method: MethodEntry | undefined;
  readonly args: readonly unknown[];
  /** Ids of the upload streams that the client announced. */
  readonly streamIds: readonly string[];
  /** Why the arguments do not fit; the call must fail with it, the connection goes on. */
  readonly bindingFailure: string | undefined;
}

/** One item of an upload stream. */
export interface StreamItemMessage {
  readonly type: typeof messageType.streamItem;
  readonly invocationId: string;
  readonly item: unknown;
  /** Why the item does not fit its stream; the stream fails with it. */
  readonly bindingFailure: string | undefined;
}

/** The end of an upload stream, or the client's answer to an invocation. */
export interface CompletionMessage {
  readonly type: typeof messageType.completion;
  readonly invocationId: string;
  readonly error: string | undefined;
  readonly hasResult: boolean;
  readonly result: unknown;
  /** Why the result does not fit what the caller wants. */
  readonly bindingFailure: string | undefined;
}

/** Anything else a client may send. An unknown type is `ignored`. */
export type OtherMessage =
  | { readonly type: typeof messageType.cancelInvocation; readonly invocationId: string }
  | { readonly type: typeof messageType.ping }
  | { readonly type: typeof messageType.close; readonly error: string | undefined }
  | { readonly type: typeof messageType.ack; readonly sequenceId: number }
  | { readonly type: typeof messageType.sequence; readonly sequenceId: number }
  | { readonly type: 'ignored' };

export type InboundMessage = InvocationMessage | StreamItemMessage | CompletionMessage | OtherMessage;

/** What a Close record says. */
export interface CloseContent {
  /** Shown to the client. */
  readonly error?: string;
  /** Whether an automatically reconnecting client may come back. Without it the stock clients give up. */
  readonly allowReconnect?: boolean;
}
