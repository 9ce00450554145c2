/** What time the server has. */
import type { Db } from 'mongodb';
import type { Clock } from '../../time/clock.ts';

/** A slower answer says too little, in milliseconds. */
const MAX_ROUND_TRIP_MS = 1000;

/** How far the server's clock is ahead of `clock`, in milliseconds; undefined if it does not say or took too long. */
export async function serverTimeDifference(
  database: Db,
  clock: Pick<Clock, 'now' | 'monotonicMs'>,
): Promise<number | undefined> {
  const beganMs = clock.monotonicMs();
  const { localTime } = await database.admin().command({ hello: 1 });
  const tookMs = clock.monotonicMs() - beganMs;
  if (!(localTime instanceof Date) || tookMs > MAX_ROUND_TRIP_MS) return undefined;
  return localTime.getTime() + tookMs / 2 - clock.now();
}
