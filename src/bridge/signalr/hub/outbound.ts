/**
 * The sending side of a connection: its queue, the evidence of what arrived, and, if it is stateful, what is kept for a replay.
 *
 * Survives the transport: between `suspend` and `restart` records are numbered and kept, and nothing is proven. Nothing is allocated for
 * receipts or replay until they are used.
 */
import type { Transport } from '../endpoint/transport.ts';
import type { EncodedRecord } from '../protocol/protocol.ts';
import type { ConnectionError } from './errors.ts';
import type { OutboundFlusher } from './outbound-flusher.ts';
import { OutboundQueue } from './outbound-queue.ts';
import { type ProbePacer, type ProbeTarget, ReceiptTracker } from './receipts.ts';
import type { StatefulLink } from './stateful-link.ts';

/** What the sending side needs of its connection. */
export interface OutboundOwner {
  readonly isOpen: boolean;
  /** All that was queued is with the transport. */
  onFlushed(): void;
  /** More waits for the client than may: the connection must end now. */
  onOverflow(failure: ConnectionError['failure'], message: string): void;
}

/** What all connections of a server share. */
export interface OutboundHost {
  readonly flusher: OutboundFlusher;
  readonly pacer: ProbePacer;
}

export class Outbound implements ProbeTarget {
  readonly #owner: OutboundOwner;
  readonly #host: OutboundHost;
  readonly #maximumBytes: number;
  readonly #queue: OutboundQueue;
  #transport: Transport;
  #link: StatefulLink | undefined;
  #receipts: ReceiptTracker | undefined;
  /** Present while somebody waits for the queue to empty. */
  #draining: PromiseWithResolvers<void> | undefined;

  constructor(owner: OutboundOwner, host: OutboundHost, transport: Transport, maximumBytes: number) {
    this.#owner = owner;
    this.#host = host;
    this.#transport = transport;
    this.#maximumBytes = maximumBytes;
    this.#queue = new OutboundQueue(transport, host.flusher, maximumBytes, this);
  }

  /** From now on counted records are kept for a replay. */
  set link(link: StatefulLink) {
    this.#link = link;
  }

  get isHalfFull(): boolean {
    return this.#queue.isHalfFull;
  }

  /** Whether streams should wait until what waits is with a transport. */
  get isCongested(): boolean {
    return this.#queue.isCongested;
  }

  /** Queues a record that carries a call; answers its mark, or 0 when there is no room for it and the connection is over. */
  add(record: EncodedRecord, isShared: boolean, isPaced?: boolean): number {
    const link = this.#link;
    if (link === undefined) return this.addUncounted(record, isShared, isPaced);
    link.onSent(record);
    if (link.suspendedSinceMs === undefined || link.canResume) return this.addUncounted(record, isShared, isPaced);
    this.#owner.onOverflow('connection-lost', 'More was sent than is kept for a client that is away');
    return 0;
  }

  /** As `add`, for a record that belongs to the transport and is not repeated on another one. */
  addUncounted(record: EncodedRecord, isShared: boolean, isPaced?: boolean): number {
    const mark = this.#queue.add(record, isShared, isPaced);
    if (mark === 0) {
      this.#owner.onOverflow('slow-consumer', `More than ${this.#maximumBytes} characters wait for the client`);
    }
    return mark;
  }

  /** Resolves when all that was sent is with a transport. */
  drained(): Promise<void> {
    if (this.#queue.isEmpty) return Promise.resolve();
    this.#draining ??= Promise.withResolvers();
    return this.#draining.promise;
  }

  onWritable(): void {
    this.#queue.onWritable();
  }

  onFlushed(): void {
    this.#draining?.resolve();
    this.#draining = undefined;
    this.#owner.onFlushed();
  }

  /** Writes what can be written now. */
  flush(): void {
    this.#queue.flush(undefined);
  }

  // Receipts

  /** Asks for proof of the record with this mark, if the transport can give it. */
  want(mark: number, callback?: () => void): void {
    if (!this.#transport.canProve) return;
    this.#receipts ??= new ReceiptTracker(this.#host.pacer, this);
    this.#receipts.want(mark, callback);
  }

  /** A probe was answered: the callbacks of what is proven by it, or undefined if it is no news. */
  takeProven(mark: number): (() => void)[] | undefined {
    return this.#receipts?.onProof(mark) === true ? this.#receipts.takeProven() : undefined;
  }

  /** Whether a probe has waited for its answer that long. */
  isUnanswered(nowMs: number, timeoutMs: number): boolean {
    const sinceMs = this.#receipts?.unansweredSinceMs;
    return sinceMs !== undefined && nowMs - sinceMs >= timeoutMs;
  }

  flushedMark(): number {
    this.flush();
    return this.#queue.writtenMark;
  }

  probe(mark: number): void {
    if (this.#owner.isOpen) this.#transport.probe(mark);
  }

  // Another transport, and the end

  /** The transport is gone, and with it what is not counted. */
  suspend(): void {
    this.#queue.suspend();
    this.#receipts?.forgetProbe();
  }

  /** There is a new transport; `records` go first. */
  restart(transport: Transport, records: readonly EncodedRecord[]): void {
    this.#transport = transport;
    this.#queue.restart(transport, records);
  }

  /** Drops what waits. */
  clear(): void {
    this.#queue.clear();
  }

  /** Nothing is proven any more, and nothing drained. */
  end(): void {
    this.#receipts?.end();
    this.#draining?.reject(new Error('The connection has ended'));
    this.#draining = undefined;
  }
}
