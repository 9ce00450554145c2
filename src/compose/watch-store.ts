/** Asks a store that can go away whether it is there, and tells health: an instance without its store takes no traffic. */
import type { Health } from '../ops/health.ts';
import type { Logger } from '../ops/logger.ts';
import type { Clock, Timer } from '../time/clock.ts';

const INTERVAL_MS = 2000;

export interface WatchStoreDependencies {
  readonly clock: Clock;
  readonly health: Health;
  readonly log: Logger;
}

/** Asks at once and then every two seconds. Disposing it stops it. */
export function watchStore(
  isReachable: () => Promise<boolean>,
  { clock, health, log }: WatchStoreDependencies,
): Disposable {
  let timer: Timer | undefined;
  let stopped = false;
  const ask = async (): Promise<void> => {
    const isUp = await isReachable();
    if (stopped) return;
    const wasUp = !health.reasons().includes('store');
    if (isUp !== wasUp) {
      health.set('store', !isUp);
      if (isUp) log.info('store.back');
      else log.error('store.away');
    }
    timer = clock.schedule(INTERVAL_MS, () => void ask());
  };
  void ask();
  return {
    [Symbol.dispose]() {
      stopped = true;
      timer?.cancel();
    },
  };
}
