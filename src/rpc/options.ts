/** Limits and times of the RPC door, and what it asks of its surroundings. */

export interface RpcOptions {
  /** Largest message that is read, in bytes, after decompression. Default 256 KiB. Beyond it: RESOURCE_EXHAUSTED. */
  readonly readMaxBytes: number;
  /** A stream on which nothing was sent for this long gets a heartbeat, in milliseconds. Default 15,000. */
  readonly heartbeatIntervalMs: number;
  /** How long a stream may take to send its `open`, in milliseconds. Default 10,000. Beyond it: DEADLINE_EXCEEDED. */
  readonly openTimeoutMs: number;
  /** Most bytes that may wait for one stream. Default 1 MiB. Beyond it: RESOURCE_EXHAUSTED (SLOW_CONSUMER). */
  readonly queueMaxBytes: number;
  /** Longest time a frame may wait for one stream, in milliseconds. Default 30,000. Beyond it as above. */
  readonly queueMaxAgeMs: number;
  /** How long an ended stream may take to hand out its last frames before it is cut, in milliseconds. Default 1,000. */
  readonly cutGraceMs: number;
  /** Frames of one stream that may be in work; then the stream is not read until one is answered. Default 64. */
  readonly maxPendingFrames: number;
  /** Deadline of a unary call whose client names none, in milliseconds. Default 30,000. */
  readonly defaultDeadlineMs: number;
  /** How long past its expiry a stream's token still counts, in milliseconds. Default 30,000 (clocks differ). */
  readonly expiryToleranceMs: number;
}

export const DEFAULT_RPC_OPTIONS: RpcOptions = {
  readMaxBytes: 256 * 1024,
  heartbeatIntervalMs: 15_000,
  openTimeoutMs: 10_000,
  queueMaxBytes: 1024 * 1024,
  queueMaxAgeMs: 30_000,
  cutGraceMs: 1000,
  maxPendingFrames: 64,
  defaultDeadlineMs: 30_000,
  expiryToleranceMs: 30_000,
};

/** One call that has ended. Holds nothing that a user wrote. */
export interface RpcLogEntry {
  readonly requestId: string;
  /** Service and method, as in the path: `carepro.chat.v1.ChatService/SendMessage`. */
  readonly method: string;
  /**
   * `ok`, or the code's name in lower case with underscores, as `invalid_argument`; `rejected` if the request could not
   * be read (its body, content type or HTTP method was wrong).
   */
  readonly code: string;
  readonly durationMs: number;
  /** Who called; absent if the call was refused before that was known. */
  readonly userId?: string;
}

/** Where the door writes what happened. */
export interface RpcLog {
  /** A call has ended. */
  rpc(entry: RpcLogEntry): void;
  /** Something failed inside; the client was told only "internal". */
  error(entry: { readonly requestId: string; readonly method: string; readonly error: unknown }): void;
}

export type HealthStatus = 'serving' | 'notServing';

/** Tells whether the server serves. */
export interface HealthSource {
  status(): HealthStatus;
  /** Calls `listener` after each change. The returned function ends that. */
  onChange(listener: () => void): () => void;
}
