/**
 * A short memory of sends by sender, receiver and text: in order of their arrival, bounded in age, in number per sender
 * and in all, and in characters. Where a bound is reached the oldest is forgotten, which at worst turns a very late retry
 * into a message of its own.
 */
import type { Clock } from '../time/clock.ts';

/** What makes two sends look the same. */
export interface RecentSend {
  readonly senderId: string;
  readonly receiverId: string;
  /** As the client sent it. */
  readonly text: string;
  /** When it arrived, in the clock's monotonic milliseconds. */
  readonly sinceMs: number;
}

export interface RecentSendsOptions {
  /** How long a send is remembered, in milliseconds. */
  readonly maxAgeMs: number;
  /** Most sends of one sender. */
  readonly maxPerSender: number;
  /** Most sends in all. */
  readonly maxSends: number;
  /** Most characters of text in all. */
  readonly maxCharacters: number;
}

/** Two minutes, as the page's retries need. */
export const DEFAULT_RECENT_SENDS: RecentSendsOptions = {
  maxAgeMs: 120_000,
  maxPerSender: 1000,
  maxSends: 100_000,
  maxCharacters: 32_000_000,
};

const TRIM_INTERVAL_MS = 1000;

export class RecentSends<S extends RecentSend> {
  readonly #clock: Clock;
  readonly #options: RecentSendsOptions;
  /** Oldest first. */
  readonly #all = new Set<S>();
  readonly #bySender = new Map<string, Set<S>>();
  #characters = 0;
  #nextTrimMs = 0;

  constructor(clock: Clock, options: RecentSendsOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  /** Sends remembered. */
  get size(): number {
    return this.#all.size;
  }

  add(send: S): void {
    let own = this.#bySender.get(send.senderId);
    if (own === undefined) {
      own = new Set();
      this.#bySender.set(send.senderId, own);
    } else if (own.size >= this.#options.maxPerSender) {
      this.#evict(own, this.#options.maxPerSender);
    }
    own.add(send);
    this.#all.add(send);
    this.#characters += send.text.length;
    const { maxCharacters, maxSends } = this.#options;
    const isFull = this.#all.size > maxSends || this.#characters > maxCharacters;
    if (isFull || send.sinceMs >= this.#nextTrimMs) this.#trim(send.sinceMs);
  }

  /** Forgets a send. Idempotent. */
  delete(send: S): void {
    const own = this.#bySender.get(send.senderId);
    if (own === undefined || !this.#forget(send, own)) return;
    if (own.size === 0) this.#bySender.delete(send.senderId);
  }

  /** The oldest send that is like this one and that `accept` takes. */
  find(senderId: string, receiverId: string, text: string, accept?: (send: S) => boolean): S | undefined {
    const own = this.#bySender.get(senderId);
    if (own === undefined) return undefined;
    const oldestMs = this.#clock.monotonicMs() - this.#options.maxAgeMs;
    for (const send of own) {
      if (send.receiverId !== receiverId || send.text !== text || send.sinceMs < oldestMs) continue;
      if (accept === undefined || accept(send)) return send;
    }
    return undefined;
  }

  /** Forgets the oldest eighth. */
  #evict(own: Set<S>, size: number): void {
    let left = Math.ceil(size / 8);
    for (const oldest of own) {
      this.#forget(oldest, own);
      left -= 1;
      if (left === 0) return;
    }
  }

  /**
   * Forgets what is too old, and where a bound is passed an eighth more than needed. Seldom, because the first element of
   * a Set is found only by passing over all that were deleted before it.
   */
  #trim(nowMs: number): void {
    const { maxAgeMs, maxCharacters, maxSends } = this.#options;
    const sends = this.#all.size > maxSends ? maxSends * 0.875 : maxSends;
    const characters = this.#characters > maxCharacters ? maxCharacters * 0.875 : maxCharacters;
    this.#nextTrimMs = nowMs + TRIM_INTERVAL_MS;
    for (const send of this.#all) {
      const isKept = send.sinceMs >= nowMs - maxAgeMs;
      if (isKept && this.#all.size <= sends && this.#characters <= characters) return;
      this.delete(send);
    }
  }

  #forget(send: S, own: Set<S>): boolean {
    if (!own.delete(send)) return false;
    this.#all.delete(send);
    this.#characters -= send.text.length;
    return true;
  }
}
