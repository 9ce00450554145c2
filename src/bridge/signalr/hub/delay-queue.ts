/**
 * Things that are due a fixed time after they were added. Because the delay is the same for all, first in is first due: one
 * array and one timer serve thousands of connections.
 */
import type { Clock, Timer } from '../../../time/clock.ts';

export class DelayQueue<Item> {
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly #onDue: (item: Item) => void;
  #items: Item[] = [];
  #dueMs: number[] = [];
  #head = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, delayMs: number, onDue: (item: Item) => void) {
    this.#clock = clock;
    this.#delayMs = delayMs;
    this.#onDue = onDue;
  }

  add(item: Item): void {
    this.#items.push(item);
    this.#dueMs.push(this.#clock.monotonicMs() + this.#delayMs);
    this.#timer ??= this.#clock.schedule(this.#delayMs, this.#run);
  }

  /** Forgets everything. */
  clear(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#items = [];
    this.#dueMs = [];
    this.#head = 0;
  }

  readonly #run = (): void => {
    this.#timer = undefined;
    const nowMs = this.#clock.monotonicMs();
    // Items added by onDue are due later than now and stay.
    while (this.#head < this.#items.length && (this.#dueMs[this.#head] ?? 0) <= nowMs) {
      const item = this.#items[this.#head] as Item;
      this.#head += 1;
      this.#onDue(item);
    }
    this.#items.splice(0, this.#head);
    this.#dueMs.splice(0, this.#head);
    this.#head = 0;
    const [nextMs] = this.#dueMs;
    if (nextMs !== undefined) this.#timer ??= this.#clock.schedule(Math.max(1, nextMs - nowMs), this.#run);
  };
}
