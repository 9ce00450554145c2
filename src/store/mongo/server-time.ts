/** What time the server has. */
import type { Db } from 'mongodb';
import type { Clock } from '../../time/clock.ts';
import { isNotSupported } from './failure.ts';

/** A slower answer says too little, in milliseconds. */
const MAX_ROUND_TRIP_MS = 1000;

/** How far the server's clock is ahead of `clock`, in milliseconds; undefined if it does not say or took too long. */
export async function serverTimeDifference(
  database: Db,
  clock: Pick<Clock, 'now' | 'monotonicMs'>,
): Promise<number | undefined> {
  const beganMs = clock.monotonicMs();
  const admin = database.admin();
  const { localTime } = await admin.command({ hello: 1 }).catch((error: unknown) => {
    // The command's former name.
    if (isNotSupported(error)) return admin.command({ isMaster: 1 });
    throw error;
  });
  const tookMs = clock.monotonicMs() - beganMs;
  if (!(localTime instanceof Date) || tookMs > MAX_ROUND_TRIP_MS) return undefined;
  return localTime.getTime() + tookMs / 2 - clock.now();
}
