/**
 * The hub connections of each user on this instance, open and lost: together they tell what a connection that opens may
 * have missed while a sibling of it moved the person's cursors.
 *
 * A lost connection may still count as open, because a half-open one ends only when its patience does. So what an open one
 * has not proven counts like a loss.
 */
import type { Clock } from '../time/clock.ts';
import { coverAll, type Gap } from './gap.ts';
import type { HubSession } from './hub-session.ts';
import { LostConnections, RETURN_WINDOW_MS } from './lost-connections.ts';

/** What is asked of a connection's session. */
export type GapSource = Pick<HubSession, 'userId' | 'gapAtEnd' | 'gapWhileOpen'>;

export interface UserConnectionsOptions {
  readonly clock: Clock;
  /**
   * When an instance on the same store was last known to live before this one began, in wall milliseconds: with it all its
   * connections were lost. Default: there was none.
   */
  readonly previousSignOfLifeMs?: number | undefined;
}

export class UserConnections {
  readonly #clock: Clock;
  readonly #lost: LostConnections;
  readonly #open = new Map<string, Set<GapSource>>();
  /**
   * What everybody may lack who comes before `#restartUntilMs`: what siblings that came sooner had since the start. What was
   * sent before the start is repeated only above the cursor, so that a restart brings nobody what they have.
   */
  readonly #restart: Gap | undefined;
  readonly #restartUntilMs: number;

  constructor({ clock, previousSignOfLifeMs }: UserConnectionsOptions) {
    this.#clock = clock;
    this.#lost = new LostConnections(clock);
    this.#restart = previousSignOfLifeMs === undefined ? undefined : { sinceMs: clock.now(), except: new Set() };
    this.#restartUntilMs = clock.monotonicMs() + RETURN_WINDOW_MS;
  }

  /** What a connection of the user that opens now may lack; undefined = nothing that the cursors do not tell. */
  gapBefore(userId: string): Gap | undefined {
    const gaps: (Gap | undefined)[] = [this.#lost.comeBack(userId)];
    for (const sibling of this.#open.get(userId) ?? []) gaps.push(sibling.gapWhileOpen());
    if (this.#clock.monotonicMs() <= this.#restartUntilMs) gaps.push(this.#restart);
    return coverAll(gaps.filter((gap) => gap !== undefined));
  }

  add(session: GapSource): void {
    const own = this.#open.get(session.userId);
    if (own === undefined) this.#open.set(session.userId, new Set([session]));
    else own.add(session);
  }

  /** The connection has ended. @param hasSaidGoodbye whether its client wanted it so. */
  remove(session: GapSource, hasSaidGoodbye: boolean): void {
    const own = this.#open.get(session.userId);
    if (own?.delete(session) && own.size === 0) this.#open.delete(session.userId);
    if (!hasSaidGoodbye) this.#lost.remember(session.userId, session.gapAtEnd());
  }
}
