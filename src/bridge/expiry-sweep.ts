/**
 * Ends things when their time has come, with one timer for all of them: it waits for the earliest end, at most an hour,
 * because the wall clock may be put right meanwhile.
 */
import type { Clock, Timer } from '../time/clock.ts';

/** Ends that fall within this time of each other are done in one go. */
const GRAIN_MS = 1000;
const MAX_WAIT_MS = 3_600_000;

export class ExpirySweep<T> {
  readonly #clock: Clock;
  readonly #onEnd: (item: T) => void;
  readonly #ends = new Map<T, number>();
  #timer: Timer | undefined;
  #dueMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, onEnd: (item: T) => void) {
    this.#clock = clock;
    this.#onEnd = onEnd;
  }

  /** Items whose time has not come. */
  get size(): number {
    return this.#ends.size;
  }

  /** @param endsAtMs milliseconds since the Unix epoch; a time that has passed means soon. */
  add(item: T, endsAtMs: number): void {
    this.#ends.set(item, endsAtMs);
    if (endsAtMs < this.#dueMs) this.#wait(endsAtMs, 0);
  }

  /** Idempotent. The timer goes with the last item. */
  delete(item: T): void {
    if (!this.#ends.delete(item) || this.#ends.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#dueMs = Number.POSITIVE_INFINITY;
  }

  #wait(untilMs: number, atLeastMs: number): void {
    this.#timer?.cancel();
    this.#dueMs = untilMs;
    const delayMs = Math.min(MAX_WAIT_MS, Math.max(atLeastMs, untilMs - this.#clock.now()));
    this.#timer = this.#clock.schedule(delayMs, () => this.#sweep());
  }

  #sweep(): void {
    const nowMs = this.#clock.now();
    let earliestMs = Number.POSITIVE_INFINITY;
    const ended: T[] = [];
    for (const [item, endsAtMs] of this.#ends) {
      if (endsAtMs <= nowMs) ended.push(item);
      else earliestMs = Math.min(earliestMs, endsAtMs);
    }
    for (const item of ended) this.#ends.delete(item);
    this.#timer = undefined;
    this.#dueMs = Number.POSITIVE_INFINITY;
    if (earliestMs < Number.POSITIVE_INFINITY) this.#wait(earliestMs, GRAIN_MS);
    for (const item of ended) this.#onEnd(item);
  }
}
