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

export class RecentSends<S extends RecentSend> {
  readonly #clock: Clock;
  readonly #options: RecentSendsOptions;
  /** Oldest first. */
  readonly #all = new Set<S>();
  readonly #bySender = new Map<string, Set<S>>();
  #characters = 0;

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
      for (const oldest of own) {
        this.#forget(oldest, own);
        break;
      }
    }
    own.add(send);
    this.#all.add(send);
    this.#characters += send.text.length;
    this.#trim(send.sinceMs - this.#options.maxAgeMs);
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

  #trim(oldestMs: number): void {
    for (const send of this.#all) {
      const { maxCharacters, maxSends } = this.#options;
      if (send.sinceMs >= oldestMs && this.#all.size <= maxSends && this.#characters <= maxCharacters) return;
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
