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
  /** Calls `callback` once after `delayMs`; a time that has passed means at once. The timer does not keep the process alive. */
  schedule(delayMs: number, callback: () => void): Timer;
}

/** A scheduled callback. */
export interface Timer {
  /** Prevents the callback from running. Idempotent; does nothing after it ran. */
  cancel(): void;
}

/** Longest delay that Node's timers keep (2^31 - 1 ms, 24.8 days); a longer one would fire at once. */
const MAX_TIMEOUT_MS = 2_147_483_647;

/** The clock of the operating system. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule(delayMs, callback) {
    let handle: NodeJS.Timeout;
    const arm = (leftMs: number): void => {
      const stepMs = Math.min(leftMs, MAX_TIMEOUT_MS);
      handle = setTimeout(() => (leftMs > stepMs ? arm(leftMs - stepMs) : callback()), stepMs);
      handle.unref();
    };
    // Node warns of a negative delay on standard error.
    arm(Math.max(0, delayMs));
    return { cancel: () => clearTimeout(handle) };
  },
};
