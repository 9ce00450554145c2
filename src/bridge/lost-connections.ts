/**
 * Hub connections that ended without a goodbye, by user: their pages come back, and have no name to be known by. So every
 * connection of the user that opens soon after is taken for each of them. If fewer come soon than were lost, so many later
 * ones are taken for them, too.
 *
 * In memory, of this instance, bounded in age, in losses of a user and in users. Where a bound is reached, losses of a user
 * are taken together, or the user who lost one longest ago is forgotten.
 */
import type { Clock } from '../time/clock.ts';
import { coverAll, type Gap } from './gap.ts';

/** For this long after a loss every connection of the user may be the lost one, in milliseconds: two minutes. */
export const RETURN_WINDOW_MS = 120_000;
/** For this long after it the first that comes may be, in milliseconds: ten minutes. */
export const MAX_LOSS_AGE_MS = 600_000;
/** Most losses of one user that are told apart. */
export const MAX_LOSSES_PER_USER = 8;
/** Most users with losses. */
export const MAX_LOSS_USERS = 50_000;

const TRIM_INTERVAL_MS = 1000;

interface Loss {
  gap: Gap;
  /** In the clock's monotonic milliseconds. */
  lostAtMs: number;
  /** How many connections were lost and nobody has come for. */
  awaited: number;
}

export class LostConnections {
  readonly #clock: Clock;
  /** Oldest loss first; users in the order of their latest. */
  readonly #users = new Map<string, Loss[]>();
  #nextTrimMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Users with losses. */
  get size(): number {
    return this.#users.size;
  }

  /** A connection of the user was lost. */
  remember(userId: string, gap: Gap): void {
    const nowMs = this.#clock.monotonicMs();
    const losses = this.#current(userId, nowMs);
    const last = losses.at(-1);
    if (last !== undefined && losses.length >= MAX_LOSSES_PER_USER) {
      // With the latest, so that what the oldest asks for is not asked for longer.
      last.gap = coverAll([last.gap, gap]) ?? gap;
      last.lostAtMs = nowMs;
      last.awaited += 1;
    } else {
      losses.push({ gap, lostAtMs: nowMs, awaited: 1 });
    }
    this.#users.delete(userId);
    this.#users.set(userId, losses);
    if (nowMs >= this.#nextTrimMs || this.#users.size > MAX_LOSS_USERS) this.#trim(nowMs);
  }

  /** A connection of the user opens: what it may lack, if it is a lost one that comes back. */
  comeBack(userId: string): Gap | undefined {
    const losses = this.#current(userId, this.#clock.monotonicMs());
    const gap = coverAll(losses.map((loss) => loss.gap));
    const longest = losses.find(({ awaited }) => awaited > 0);
    if (longest !== undefined) longest.awaited -= 1;
    if (losses.length === 0) this.#users.delete(userId);
    else this.#users.set(userId, losses);
    return gap;
  }

  /** Losses that a connection opening now may belong to. */
  #current(userId: string, nowMs: number): Loss[] {
    return (this.#users.get(userId) ?? []).filter(({ awaited, lostAtMs }) => {
      return nowMs - lostAtMs <= (awaited > 0 ? MAX_LOSS_AGE_MS : RETURN_WINDOW_MS);
    });
  }

  /**
   * Forgets what is too old, and past the bound of users a share of them. Seldom, because the first of a Map is found only
   * by passing over all that were deleted before it.
   */
  #trim(nowMs: number): void {
    this.#nextTrimMs = nowMs + TRIM_INTERVAL_MS;
    const mostUsers = this.#users.size > MAX_LOSS_USERS ? MAX_LOSS_USERS * 0.875 : MAX_LOSS_USERS;
    for (const [userId, losses] of this.#users) {
      const latestMs = losses.at(-1)?.lostAtMs ?? 0;
      if (nowMs - latestMs <= MAX_LOSS_AGE_MS && this.#users.size <= mostUsers) return;
      this.#users.delete(userId);
    }
  }
}
