/**
 * A clock that several instances share: this machine's, put right by what a common server says. Messages, leases and cursors
 * of all instances then stand in one time, also where a machine's clock is wrong.
 */
import type { Clock, Timer } from './clock.ts';

export interface SharedClockOptions {
  /** Differences up to this are left alone: they are what two measured clocks always have, in milliseconds. Default 1,000. */
  readonly toleranceMs?: number;
  /** Told when the clock was put right, and by how much in all. Default: nothing happens. */
  readonly onCorrected?: (offsetMs: number) => void;
}

export class SharedClock implements Clock {
  readonly #machine: Clock;
  readonly #toleranceMs: number;
  readonly #onCorrected: (offsetMs: number) => void;
  #offsetMs = 0;

  constructor(machine: Clock, options: SharedClockOptions = {}) {
    this.#machine = machine;
    this.#toleranceMs = options.toleranceMs ?? 1000;
    this.#onCorrected = options.onCorrected ?? (() => undefined);
  }

  now(): number {
    return this.#machine.now() + this.#offsetMs;
  }

  monotonicMs(): number {
    return this.#machine.monotonicMs();
  }

  schedule(delayMs: number, callback: () => void): Timer {
    return this.#machine.schedule(delayMs, callback);
  }

  /** The common server is this many milliseconds ahead of `now`; negative: behind. */
  differs(byMs: number): void {
    if (Math.abs(byMs) <= this.#toleranceMs) return;
    this.#offsetMs += Math.round(byMs);
    this.#onCorrected(this.#offsetMs);
  }
}
