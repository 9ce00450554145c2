/** The clock of a machine whose time is wrong. */
import { type Clock, systemClock, type Timer } from '../../../src/time/clock.ts';

export class ShiftedClock implements Clock {
  readonly #byMs: number;

  constructor(byMs: number) {
    this.#byMs = byMs;
  }

  now(): number {
    return systemClock.now() + this.#byMs;
  }

  monotonicMs(): number {
    return systemClock.monotonicMs();
  }

  schedule(delayMs: number, callback: () => void): Timer {
    return systemClock.schedule(delayMs, callback);
  }
}
