/**
 * What one subscriber has not taken yet: a queue that is pulled by one consumer and bounded in bytes and in age.
 *
 * Invariants: items leave in the order they came; after an overflow or `close` nothing is held and nothing is handed out;
 * a waiting `next` always settles when the queue ends. The consumer learns only that it is over (`done`); why is the
 * owner's to know, who is told by `onOverflow` or called `finish` or `close` itself.
 */
import type { Clock, Timer } from '../time/clock.ts';

export interface OutboundQueueOptions {
  readonly clock: Clock;
  /** Most bytes that may wait, paced items not counted. An item that finds the queue empty is always taken. */
  readonly maxBytes: number;
  /** Longest time an item may wait, in milliseconds. */
  readonly maxAgeMs: number;
  /** The consumer is too slow: the queue has closed and dropped what it held. Called at most once. */
  readonly onOverflow: () => void;
}

interface Entry<T> {
  readonly item: T;
  readonly bytes: number;
  readonly paced: boolean;
  readonly atMs: number;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Taken slots at the front are given back to the array when there are this many. */
const COMPACT_AT = 256;

export class OutboundQueue<T> implements AsyncIterableIterator<T, undefined> {
  readonly #options: OutboundQueueOptions;
  #state: 'open' | 'finishing' | 'closed' = 'open';
  #entries: (Entry<T> | undefined)[] = [];
  #head = 0;
  #bytes = 0;
  #pacedBytes = 0;
  #pull: ((result: IteratorResult<T, undefined>) => void) | undefined;
  #waiters: Waiter[] = [];
  #ageTimer: Timer | undefined;

  constructor(options: OutboundQueueOptions) {
    this.#options = options;
  }

  /** Items that wait. */
  get length(): number {
    return this.#entries.length - this.#head;
  }

  /** Bytes that wait, paced items included. */
  get bytes(): number {
    return this.#bytes + this.#pacedBytes;
  }

  /**
   * Adds an item.
   * @param bytes what it costs to keep, as the owner estimates it.
   * @param paced true if the producer waits for `drained` between pages: the size of its page is the bound then, so
   * that a page of large items is not mistaken for a slow consumer.
   * @returns false if the queue takes nothing any more.
   */
  push(item: T, bytes: number, paced = false): boolean {
    if (this.#state !== 'open') return false;
    if (this.#pull !== undefined) {
      const pull = this.#pull;
      this.#pull = undefined;
      pull({ done: false, value: item });
      return true;
    }
    if (!paced && this.#bytes > 0 && this.#bytes + bytes > this.#options.maxBytes) {
      this.#overflow();
      return false;
    }
    this.#entries.push({ item, bytes, paced, atMs: this.#options.clock.monotonicMs() });
    if (paced) this.#pacedBytes += bytes;
    else this.#bytes += bytes;
    this.#watchAge(this.#options.maxAgeMs);
    return true;
  }

  /** Resolves when at most a quarter of the bound waits; rejects when the queue is closed. */
  drained(): Promise<void> {
    if (this.#state === 'closed') return Promise.reject(closedError());
    if (this.#isDrained()) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /** Takes nothing more; what waits is still handed out. Idempotent. */
  finish(): void {
    if (this.#state !== 'open') return;
    this.#state = 'finishing';
    if (this.length === 0) this.close();
  }

  /** Drops what waits. Idempotent. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#entries = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#pacedBytes = 0;
    this.#ageTimer?.cancel();
    this.#ageTimer = undefined;
    const { waiters, pull } = { waiters: this.#waiters, pull: this.#pull };
    this.#waiters = [];
    this.#pull = undefined;
    for (const waiter of waiters) waiter.reject(closedError());
    pull?.({ done: true, value: undefined });
  }

  /** The next item, when there is one. Only one call may wait at a time. */
  next(): Promise<IteratorResult<T, undefined>> {
    const entry = this.#shift();
    if (entry !== undefined) {
      if (this.#state === 'finishing' && this.length === 0) this.close();
      return Promise.resolve({ done: false, value: entry.item });
    }
    if (this.#state === 'closed') return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      this.#pull = resolve;
    });
  }

  /** The consumer has gone. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #shift(): Entry<T> | undefined {
    const entry = this.#entries[this.#head];
    if (entry === undefined) return undefined;
    this.#entries[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === this.#entries.length) {
      this.#entries = [];
      this.#head = 0;
    } else if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    if (entry.paced) this.#pacedBytes -= entry.bytes;
    else this.#bytes -= entry.bytes;
    if (this.#waiters.length > 0 && this.#isDrained()) {
      const waiters = this.#waiters;
      this.#waiters = [];
      for (const waiter of waiters) waiter.resolve();
    }
    return entry;
  }

  #isDrained(): boolean {
    return this.bytes <= this.#options.maxBytes / 4;
  }

  #overflow(): void {
    this.close();
    this.#options.onOverflow();
  }

  /** One timer for all items, not one each: when it fires it looks at the oldest and waits for the rest of its time. */
  #watchAge(delayMs: number): void {
    this.#ageTimer ??= this.#options.clock.schedule(delayMs, () => {
      this.#ageTimer = undefined;
      const oldest = this.#entries[this.#head];
      if (oldest === undefined) return;
      const leftMs = oldest.atMs + this.#options.maxAgeMs - this.#options.clock.monotonicMs();
      if (leftMs <= 0) this.#overflow();
      else this.#watchAge(leftMs);
    });
  }
}

function closedError(): Error {
  return new Error('The outbound queue was closed');
}
