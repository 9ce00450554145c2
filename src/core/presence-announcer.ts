/**
 * Tells watchers on every instance of presence changes: coalesced, in order, only what is still true, and again what could not be
 * told or was told while an instance was deaf.
 */
import type { Clock, Timer } from '../time/clock.ts';
import type { Presence } from './message.ts';
import type { Metrics } from './metrics.ts';
import type { Broker, MessageStore, PresenceStore } from './ports.ts';

export interface PresenceAnnouncerOptions {
  /**
   * Who is told of a user's changes: everybody, the user's conversation partners, or nobody. Where not everybody is told, partners
   * may ask.
   */
  readonly audience: 'everyone' | 'contacts' | 'nobody';
  /** Changes that fall within this time are announced together, in milliseconds. Default 50. */
  readonly coalesceMs: number;
}

export interface PresenceAnnouncerDependencies {
  readonly store: Pick<PresenceStore, 'find' | 'confirmTold'>;
  readonly partners: Pick<MessageStore, 'listPartners'>;
  readonly broker: Pick<Broker, 'broadcast' | 'onBroadcast'>;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly onError: (error: unknown) => void;
}

/** Partners of one user that are told. */
export const MAX_PARTNERS = 10_000;
const MAX_BATCH = 500;
const RETRY_MS = 1000;
/** Announcements that are told again for an instance that was deaf: how old at most, and of how many users. */
const MAX_AGAIN_MS = 600_000;
const MAX_AGAIN = 10_000;
/** All that ask within this time are answered together. */
const AGAIN_COALESCE_MS = 3000;
/** An instance notices so late that it has been deaf. */
const DEAF_UNNOTICED_MS = 10_000;

export class PresenceAnnouncer {
  readonly #deps: PresenceAnnouncerDependencies;
  readonly #options: PresenceAnnouncerOptions;
  readonly #changed = new Map<string, Presence>();
  #announcing: Promise<void> = Promise.resolve();
  /** What was announced last of each user, and when, oldest first. */
  readonly #told = new Map<string, { readonly presence: Presence; readonly atMs: number }>();
  /** From when on to tell again, by the monotonic clock. */
  #againSinceMs = Number.POSITIVE_INFINITY;
  #againTimer: Timer | undefined;
  #askTimer: Timer | undefined;
  #stopHearing: () => void = () => undefined;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(dependencies: PresenceAnnouncerDependencies, options: PresenceAnnouncerOptions) {
    this.#deps = dependencies;
    this.#options = options;
  }

  /** Begins to hear what other instances missed, and to ask for what this one did. */
  start(): void {
    this.#stopHearing = this.#deps.broker.onBroadcast(
      (event) => {
        if (event.type === 'presenceChanged' && event.repeatLastMs !== undefined) this.#tellAgain(event.repeatLastMs);
      },
      (deafMs) => this.#askAgain(deafMs + DEAF_UNNOTICED_MS),
    );
  }

  /** Tells what is left, and stops the timers. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopHearing();
    this.#againTimer?.cancel();
    this.#askTimer?.cancel();
    this.#announceNow();
    await this.#announcing;
  }

  /** Tells of it soon, unless it has changed again by then. */
  announce(presence: Presence): void {
    this.#changed.set(presence.userId, presence);
    this.#announceIn(this.#options.coalesceMs);
  }

  #announceIn(delayMs: number): void {
    this.#timer ??= this.#deps.clock.schedule(delayMs, () => this.#announceNow());
  }

  /** One announcement at a time, so that a later one does not overtake. */
  #announceNow(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#changed.size === 0) return;
    const changes = [...this.#changed.values()];
    this.#changed.clear();
    this.#announcing = this.#announcing
      .then(() => this.#tell(changes))
      .catch((error: unknown) => this.#deps.onError(error));
  }

  /** Batch by batch; the first that nobody takes ends it, so that all that waits for a broker is not read with each try. */
  async #tell(changes: readonly Presence[]): Promise<void> {
    for (let from = 0; from < changes.length; from += MAX_BATCH) {
      const batch = changes.slice(from, from + MAX_BATCH);
      const current = await this.#stillTrue(batch);
      if (current !== undefined && (await this.#broadcast(current))) continue;
      this.#announceLater(changes.slice(current === undefined ? from : from + MAX_BATCH));
      return;
    }
  }

  /**
   * Leaves out what another instance has turned round since: its own announcement may have come before this one, and
   * the last thing watchers hear must be what is true. Undefined while the store cannot tell: then nothing is said.
   */
  async #stillTrue(changes: readonly Presence[]): Promise<readonly Presence[] | undefined> {
    const { clock, store, onError } = this.#deps;
    try {
      const userIds = changes.map((change) => change.userId);
      const found = await store.find(userIds, clock.now());
      return changes.filter((change) => (found.get(change.userId)?.online ?? false) === change.online);
    } catch (error) {
      onError(error);
      return this.#stopped ? changes : undefined;
    }
  }

  /** What could not be told: if nobody told it, watchers would see somebody online who is long gone. */
  #announceLater(changes: readonly Presence[]): void {
    if (this.#stopped || changes.length === 0) return;
    for (const change of changes) {
      if (!this.#changed.has(change.userId)) this.#changed.set(change.userId, change);
    }
    this.#announceIn(RETRY_MS);
  }

  /** Answers false if the broker does not take anything now; what was not told is told later. */
  async #broadcast(changes: readonly Presence[]): Promise<boolean> {
    if (changes.length === 0) return true;
    const { broker, metrics, onError, partners } = this.#deps;
    const isForAll = this.#options.audience === 'everyone';
    let isTaken = true;
    const untold = new Set(this.#options.audience === 'nobody' ? [] : changes);
    // Everybody is told in one event; partners of each user in one of their own.
    for (const part of isForAll ? [changes] : changes.map((change) => [change])) {
      if (untold.size === 0) break;
      try {
        const [change] = part;
        const audience =
          isForAll || change === undefined
            ? undefined
            : [...(await partners.listPartners(change.userId, MAX_PARTNERS)), change.userId];
        isTaken = await this.#isTold(broker.broadcast({ type: 'presenceChanged', changes: part }, audience));
        if (!isTaken) break;
        for (const presence of part) {
          untold.delete(presence);
          this.#noteTold(presence);
        }
      } catch (error) {
        onError(error);
      }
    }
    metrics.count('chat_presence_changes_total', undefined, changes.length - untold.size);
    this.#announceLater([...untold]);
    const gone = changes.filter((change) => !change.online && !untold.has(change));
    if (gone.length > 0) await this.#deps.store.confirmTold?.(gone.map(({ userId }) => userId)).catch(onError);
    return isTaken;
  }

  #noteTold(presence: Presence): void {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#told.delete(presence.userId);
    this.#told.set(presence.userId, { presence, atMs: nowMs });
    for (const [userId, { atMs }] of this.#told) {
      if (this.#told.size <= MAX_AGAIN && atMs >= nowMs - MAX_AGAIN_MS) break;
      this.#told.delete(userId);
    }
  }

  /** What was announced while this instance was deaf it cannot know: the others are asked, until they can be. */
  #askAgain(repeatLastMs: number): void {
    if (this.#stopped) return;
    this.#askTimer?.cancel();
    this.#deps.broker.broadcast({ type: 'presenceChanged', changes: [], repeatLastMs }).catch((error: unknown) => {
      this.#deps.onError(error);
      if (this.#stopped) return;
      this.#askTimer = this.#deps.clock.schedule(RETRY_MS, () => this.#askAgain(repeatLastMs + RETRY_MS));
    });
  }

  #tellAgain(lastMs: number): void {
    if (this.#stopped) return;
    const { clock } = this.#deps;
    this.#againSinceMs = Math.min(this.#againSinceMs, clock.monotonicMs() - lastMs);
    this.#againTimer ??= clock.schedule(AGAIN_COALESCE_MS, () => {
      this.#againTimer = undefined;
      const untold = [...this.#told.values()].filter(({ atMs }) => atMs >= this.#againSinceMs);
      this.#againSinceMs = Number.POSITIVE_INFINITY;
      for (const { presence } of untold) {
        if (!this.#changed.has(presence.userId)) this.announce(presence);
      }
    });
  }

  async #isTold(broadcast: Promise<void>): Promise<boolean> {
    try {
      await broadcast;
      return true;
    } catch (error) {
      this.#deps.onError(error);
      return false;
    }
  }
}
