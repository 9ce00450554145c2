/**
 * The two sides of a transport: what a connection needs of it, and what it tells the connection. A transport moves bytes;
 * it knows nothing of records, protocols or hubs.
 */
import type { Batch } from '../hub/outbound-flusher.ts';

export interface Transport {
  /** As negotiate names it. */
  readonly name: string;
  /** Whether `write` makes sense now; when it turns true again the transport calls `onWritable`. */
  readonly isWritable: boolean;
  /** Bytes handed over by `write` that the peer's side has not taken. */
  readonly bufferedBytes: number;
  /** Bytes taken so far; it stands still while the peer takes nothing. */
  readonly takenBytes: number;
  /** Sends the batch as one unit. */
  write(batch: Batch): void;
  /** Stops and starts reading. */
  pause(): void;
  resume(): void;
  /** Ends in good order after all that was written. `onClosed` follows. */
  close(): void;
  /** Ends at once; unsent bytes are dropped. `onClosed` follows. */
  destroy(): void;
  /** Asks the peer for proof that it has all that was written. `onProof` follows with the same `mark`, or nothing ever. */
  probe(mark: number): void;
}

/** Implemented by the connection. */
export interface TransportObserver {
  /** Bytes of any cut. The buffer is only valid during the call. */
  onData(data: Buffer): void;
  onWritable(): void;
  onProof(mark: number): void;
  /**
   * The peer has left or the transport has ended. May come twice, first when the peer announces the end and then when the
   * transport is gone (`isGone`).
   */
  onClosed(reason: TransportEnd, isGone: boolean): void;
}

/**
 * `orderly`: the peer said that it leaves. `unexplained`: it closed in good order without saying why; a client that gives
 * up on a server it no longer hears does that, too.
 */
export type TransportEnd = 'orderly' | 'unexplained' | 'lost' | 'violation';
