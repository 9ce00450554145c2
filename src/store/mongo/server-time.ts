/** What time the server has. */
import type { Db } from 'mongodb';
import type { Clock } from '../../time/clock.ts';
import { isNotSupported } from './failure.ts';

/** A slower answer only says how far the clocks differ at least, in milliseconds. */
const MAX_ROUND_TRIP_MS = 1000;

/** How far the server's clock is ahead of `clock`, in milliseconds; undefined if it does not say or took too long to tell. */
export async function serverTimeDifference(
  database: Db,
  clock: Pick<Clock, 'now' | 'monotonicMs'>,
): Promise<number | undefined> {
  const beganMs = clock.monotonicMs();
  const beganAtMs = clock.now();
  const admin = database.admin();
  const { localTime } = await admin.command({ hello: 1 }).catch((error: unknown) => {
    // The command's former name.
    if (isNotSupported(error)) return admin.command({ isMaster: 1 });
    throw error;
  });
  if (!(localTime instanceof Date)) return undefined;
  const nowMs = clock.now();
  // A machine that was suspended meanwhile has lost that time in one of its clocks only.
  const tookMs = Math.max(clock.monotonicMs() - beganMs, nowMs - beganAtMs);
  const byMs = localTime.getTime() + tookMs / 2 - nowMs;
  if (tookMs <= MAX_ROUND_TRIP_MS) return byMs;
  const atLeastMs = Math.abs(byMs) - tookMs / 2;
  return atLeastMs > 0 ? Math.sign(byMs) * atLeastMs : undefined;
}
