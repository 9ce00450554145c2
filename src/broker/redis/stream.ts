/**
 * What this instance knows of one user's stream while somebody here listens to it.
 *
 * Two marks tell a loss that Redis does not report. `floor`: everything up to here was handed to the listeners, or they
 * were told to doubt. `expected`: where the stream stood when a listener first read it; used until there is a floor.
 */

import type { StreamPosition, TransientEvent } from '../../core/events.ts';
import type { StreamEntry, StreamListener } from '../../core/ports.ts';
import type { RedisClient } from './link.ts';
import type { StreamNames } from './names.ts';

/** What a look at the stream's place says about what was heard of it. */
export type Finding = 'whole' | 'lost' | 'rolledBack';

export class LocalStream {
  readonly names: StreamNames;
  readonly slot: number;
  readonly listeners = new Set<StreamListener>();
  readonly #onError: (error: unknown) => void;
  /** The connection that the stream is subscribed on, or about to be. */
  client: RedisClient | undefined;
  live = false;
  /** True if the listeners must be told to doubt once the stream is live. */
  doubtDue = false;
  /** When the place's time to live was last renewed, by the monotonic clock. */
  touchedAtMs: number;
  #floor: StreamPosition | undefined;
  #expected: StreamPosition | undefined;
  #waiting: (() => void)[] = [];

  constructor(names: StreamNames, slot: number, nowMs: number, onError: (error: unknown) => void) {
    this.names = names;
    this.slot = slot;
    this.touchedAtMs = nowMs;
    this.#onError = onError;
  }

  get known(): StreamPosition | undefined {
    return this.#floor ?? this.#expected;
  }

  /** Resolves when the stream is live, or when it cannot be for now: a doubt is due then. */
  settled(): Promise<void> {
    if (this.live || this.doubtDue) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The subscription is live. */
  begin(): void {
    this.live = true;
    this.#floor = undefined;
    this.#expected = undefined;
    if (this.doubtDue) this.doubt();
    this.#wake();
  }

  /** There is no subscription for now. */
  interrupt(): void {
    this.live = false;
    this.client = undefined;
    this.doubtDue = true;
    this.#wake();
  }

  /** A listener has read the stream and found it here. */
  noteRead(top: StreamPosition): void {
    if (this.live && this.known === undefined) this.#expected = top;
  }

  /** Hands entries to the listeners. @returns false if they are older than what was heard: the log was rolled back. */
  hear(entries: readonly StreamEntry[]): boolean {
    const [first, last] = [entries[0], entries.at(-1)];
    if (first === undefined || last === undefined) return true;
    if (this.#floor?.epoch === first.position.epoch && first.position.offset <= this.#floor.offset) return false;
    this.#floor = last.position;
    for (const entry of entries) this.#tell((listener) => listener.onEntry(entry));
    return true;
  }

  hearTransient(event: TransientEvent): void {
    this.#tell((listener) => listener.onTransient(event));
  }

  /** Tells the listeners to read again; what was known of the stream is void. */
  doubt(): void {
    this.doubtDue = false;
    this.#floor = undefined;
    this.#expected = undefined;
    this.#tell((listener) => listener.onDoubt());
  }

  /**
   * Compares what was heard with where the stream stood.
   *
   * @param before `known` before the place was read
   * @param top the place; undefined if there is none
   * @pre everything that was published before the place was read has been heard
   */
  compare(before: StreamPosition | undefined, top: StreamPosition | undefined): Finding {
    if (before === undefined) {
      if (top !== undefined && this.#floor === undefined) this.#floor = top;
      return 'whole';
    }
    if (top === undefined) return 'lost';
    if (top.epoch === before.epoch && top.offset < before.offset) return 'rolledBack';
    const now = this.known;
    // Another epoch that was heard of, or one that has begun since.
    if (now?.epoch !== top.epoch) return now?.epoch === before.epoch ? 'lost' : 'whole';
    if (now.offset < top.offset) return 'lost';
    this.#floor ??= top;
    return 'whole';
  }

  #tell(tell: (listener: StreamListener) => void): void {
    for (const listener of this.listeners) {
      try {
        tell(listener);
      } catch (error) {
        this.#onError(error);
      }
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
