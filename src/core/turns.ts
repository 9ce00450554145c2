/**
 * Lets so many tasks run at a time and the others wait for their turn, in order. For what thousands want in the same moment: the
 * sessions of an instance when the broker is back.
 *
 * A task that takes longer than the patience gives up its place, not its result: one slow part of a store must not stop
 * those who ask another.
 */
import type { Clock } from '../time/clock.ts';

export interface TurnsOptions {
  readonly clock: Clock;
  /** Tasks at a time. */
  readonly places: number;
  /** How long a task keeps its place, in milliseconds. */
  readonly patienceMs: number;
}

export class Turns {
  readonly #options: TurnsOptions;
  #free: number;
  /** Who waits, from `#head` on; shifting a long array would cost its length each time. */
  #waiting: ((() => void) | undefined)[] = [];
  #head = 0;

  constructor(options: TurnsOptions) {
    this.#options = options;
    this.#free = options.places;
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let holds = true;
    const leave = (): void => {
      if (holds) this.#next();
      holds = false;
    };
    const timer = this.#options.clock.schedule(this.#options.patienceMs, leave);
    try {
      return await task();
    } finally {
      timer.cancel();
      leave();
    }
  }

  #next(): void {
    const next = this.#waiting[this.#head];
    if (next === undefined) {
      this.#free += 1;
      return;
    }
    this.#waiting[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === this.#waiting.length) {
      this.#waiting = [];
      this.#head = 0;
    }
    next();
  }
}
