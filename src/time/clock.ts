/**
 * The one source of time. Everything that reads the clock or waits takes a `Clock`, so that tests move time by hand.
 *
 * `now` is wall-clock time (it may jump); `monotonicMs` never goes back and is what durations and deadlines use.
 */
export interface Clock {
  /** Wall-clock time in milliseconds since the Unix epoch. */
  now(): number;
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonicMs(): number;
  /** Calls `callback` once after `delayMs`. The timer does not keep the process alive. */
  schedule(delayMs: number, callback: () => void): Timer;
}

/** A scheduled callback. */
export interface Timer {
  /** Prevents the callback from running. Idempotent; does nothing after it ran. */
  cancel(): void;
}

/** The clock of the operating system. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule(delayMs, callback) {
    const handle = setTimeout(callback, delayMs);
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};
