/**
 * Waits that end with their call. A client's cancel does not interrupt an `await`, so every wait of a handler goes
 * through here; listeners and timers are taken off again whichever way it ends.
 */
import type { ConnectError } from '@connectrpc/connect';
import type { Clock } from '../time/clock.ts';
import { abortError } from './errors.ts';

export interface Deadline {
  readonly clock: Clock;
  readonly ms: number;
  /** Made only if the time runs out. */
  readonly error: () => ConnectError;
}

/**
 * The outcome of `promise`, unless the signal is aborted or the deadline passes first.
 * @throws ConnectError what `abortError` or `deadline.error` makes.
 */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal, deadline?: Deadline): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => settle(() => reject(abortError(signal)));
    const timer = deadline?.clock.schedule(deadline.ms, () => settle(() => reject(deadline.error())));
    const settle = (finish: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      timer?.cancel();
      finish();
    };
    promise.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    );
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort);
  });
}
