/**
 * Presence: leases, never counters. Connections are rows that this instance owns and keeps alive with one lease; whether
 * a user is online is asked of the store. This module writes the rows in batches, renews the lease, sweeps, and
 * announces changes, coalesced.
 *
 * A transition is announced once in the whole system: Online by the instance whose row was the first, Offline by the one
 * whose sweep removed the last.
 */
import type { Clock, Timer } from '../time/clock.ts';
import type { Identity } from './identity.ts';
import type { Presence } from './message.ts';
import type { Metrics } from './metrics.ts';
import type { Policy } from './policy.ts';
import type { Broker, MessageStore, PresenceStore, PresenceWrite } from './ports.ts';

export interface PresenceOptions {
  readonly instanceId: string;
  /**
   * Who is told of a user's changes: everybody, the user's conversation partners, or nobody. Where not everybody is told, partners
   * may ask.
   */
  readonly audience: 'everyone' | 'contacts' | 'nobody';
  /** How long an ended connection still counts, in milliseconds. Default 5,000. */
  readonly graceMs: number;
  /** How long this instance's rows outlive its last sign of life, in milliseconds. Default 15,000. */
  readonly leaseMs: number;
  /** Changes that fall within this time are announced together, in milliseconds. Default 50. */
  readonly coalesceMs: number;
}

export interface PresenceDependencies {
  readonly store: PresenceStore;
  readonly partners: Pick<MessageStore, 'listPartners'>;
  readonly broker: Pick<Broker, 'broadcast' | 'onBroadcast'>;
  readonly policy: Policy;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly onError: (error: unknown) => void;
}

const MAX_PARTNERS = 10_000;
const MAX_BATCH = 500;
const RETRY_MS = 1000;
/** Ends of graces are rounded up to this, so that many disconnections share a sweep. */
const SWEEP_STEP_MS = 50;
/** What a dead instance left is found this long after its lease at the latest. */
const MAX_SWEEP_INTERVAL_MS = 3000;
/** Announcements that are told again for an instance that was deaf: how old at most, and of how many users. */
const MAX_AGAIN_MS = 600_000;
const MAX_AGAIN = 10_000;
/** All that ask within this time are answered together. */
const AGAIN_COALESCE_MS = 3000;
/** An instance notices so late that it has been deaf. */
const DEAF_UNNOTICED_MS = 10_000;

export class PresenceTracker {
  readonly #deps: PresenceDependencies;
  readonly #options: PresenceOptions;
  /** Connections that live here, by id: what is written again if the lease ran out and somebody swept the rows. */
  readonly #connections = new Map<string, string>();
  /** Those of them that are being written again, and whose users are then told to be online. */
  readonly #again = new Set<string>();
  #leasedUntilMs = 0;
  #writes: PresenceWrite[] = [];
  /** How many of the first writes an apply that failed may have carried out: what it would have answered is not known. */
  #unanswered = 0;
  #writing: Promise<void> | undefined;
  #retryTimer: Timer | undefined;
  /** When graces end, by the monotonic clock, ascending. */
  #graceEndsMs: number[] = [];
  #sweepAtMs = 0;
  #sweeping: Promise<void> | undefined;
  readonly #changed = new Map<string, Presence>();
  #announcing: Promise<void> = Promise.resolve();
  /** What was announced last of each user, and when, oldest first. */
  readonly #told = new Map<string, { readonly presence: Presence; readonly atMs: number }>();
  /** From when on to tell again, by the monotonic clock. */
  #againSinceMs = Number.POSITIVE_INFINITY;
  #againTimer: Timer | undefined;
  #askTimer: Timer | undefined;
  #stopHearing: () => void = () => undefined;
  #announceTimer: Timer | undefined;
  #leaseTimer: Timer | undefined;
  #sweepTimer: Timer | undefined;
  #stopped = false;

  constructor(dependencies: PresenceDependencies, options: PresenceOptions) {
    this.#deps = dependencies;
    this.#options = options;
  }

  /** Takes the lease and begins to renew it and to sweep. */
  async start(): Promise<void> {
    this.#stopHearing = this.#deps.broker.onBroadcast(
      (event) => {
        if (event.type === 'presenceChanged' && event.repeatLastMs !== undefined) this.#tellAgain(event.repeatLastMs);
      },
      (deafMs) => this.#askAgain(deafMs + DEAF_UNNOTICED_MS),
    );
    await this.#renew();
    await this.#sweep();
  }

  /** A connection of a user began. */
  connected(userId: string, connectionId: string): void {
    if (this.#stopped) return;
    this.#connections.set(connectionId, userId);
    this.#write({ type: 'connected', userId, connectionId, atMs: this.#deps.clock.now() });
  }

  /** A connection ended. The user goes Offline after the grace, unless another connection lives or comes. */
  disconnected(userId: string, connectionId: string): void {
    if (!this.#connections.delete(connectionId)) return;
    const atMs = this.#deps.clock.now();
    this.#write({ type: 'disconnected', userId, connectionId, atMs, lingerUntilMs: atMs + this.#options.graceMs });
    const endsMs = this.#deps.clock.monotonicMs() + this.#options.graceMs + 1;
    const sweepAtMs = Math.ceil(endsMs / SWEEP_STEP_MS) * SWEEP_STEP_MS;
    if (this.#graceEndsMs.at(-1) !== sweepAtMs) this.#graceEndsMs.push(sweepAtMs);
    this.#sweepAt(sweepAtMs);
  }

  /** Presence of users; absent = never seen. */
  async find(userIds: readonly string[]): Promise<Map<string, Presence>> {
    if (userIds.length === 0) return new Map();
    await this.#writing;
    return this.#deps.store.find(userIds, this.#deps.clock.now());
  }

  /** Online users in order of id. */
  async listOnline(page: { after?: string; limit: number }): Promise<string[]> {
    await this.#writing;
    return this.#deps.store.listOnline(page, this.#deps.clock.now());
  }

  /** Those of `userIds` whose presence `identity` may see. */
  async visibleTo(identity: Identity, userIds: readonly string[]): Promise<readonly string[]> {
    if (this.#options.audience === 'everyone' || this.#deps.policy.seesEverybody(identity)) return userIds;
    if (identity.userId === undefined) return [];
    const partners = new Set(await this.#deps.partners.listPartners(identity.userId, MAX_PARTNERS));
    return userIds.filter((userId) => userId === identity.userId || partners.has(userId));
  }

  /** Ends the connections that are left, as those of a door that was cut are, writes and announces, stops the timers. */
  async stop(): Promise<void> {
    for (const [connectionId, userId] of [...this.#connections]) this.disconnected(userId, connectionId);
    this.#stopped = true;
    this.#leaseTimer?.cancel();
    this.#sweepTimer?.cancel();
    this.#retryTimer?.cancel();
    this.#stopHearing();
    this.#againTimer?.cancel();
    this.#askTimer?.cancel();
    if (this.#writes.length > 0) this.#writing ??= this.#flush();
    await this.#writing;
    await this.#sweeping;
    // A user whose rows this instance swept is told of by nobody else.
    this.#announceNow();
    await this.#announcing;
  }

  #write(write: PresenceWrite): void {
    this.#writes.push(write);
    if (this.#retryTimer === undefined) this.#writing ??= this.#flush();
  }

  /** One flush at a time; what comes meanwhile is the next batch. After a failure it tries again, nothing is dropped. */
  async #flush(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#writes.length > 0) {
      const batch = this.#writes.slice(0, MAX_BATCH);
      try {
        const nowMs = this.#deps.clock.now();
        const outcomes = await this.#deps.store.apply(this.#options.instanceId, batch, nowMs);
        this.#writes = this.#writes.slice(batch.length);
        batch.forEach((write, index) => {
          if (write.type !== 'connected') return;
          const isAgain = this.#again.delete(write.connectionId);
          if (isAgain || outcomes[index]?.wasOffline || index < this.#unanswered) {
            this.#announce({ userId: write.userId, online: true });
          }
        });
        this.#unanswered = Math.max(0, this.#unanswered - batch.length);
      } catch (error) {
        this.#unanswered = Math.max(this.#unanswered, batch.length);
        this.#deps.onError(error);
        if (this.#stopped) break;
        this.#retryTimer = this.#deps.clock.schedule(RETRY_MS, () => {
          this.#retryTimer = undefined;
          if (this.#writes.length > 0) this.#writing ??= this.#flush();
        });
        break;
      }
    }
    this.#writing = undefined;
  }

  async #renew(): Promise<void> {
    await this.#lease();
    if (!this.#stopped) {
      this.#leaseTimer = this.#deps.clock.schedule(this.#options.leaseMs / 3, () => void this.#renew());
    }
  }

  /**
   * If the lease had run out, by this clock or for another instance, the rows of the connections that live here may have been
   * swept: they are written again.
   */
  async #lease(): Promise<void> {
    const { clock, store } = this.#deps;
    try {
      const untilMs = clock.now() + this.#options.leaseMs;
      const offsetMs = clock.now() - clock.monotonicMs();
      const wasLost = await store.renewLease(this.#options.instanceId, untilMs);
      const lapsed = wasLost || clock.now() >= this.#leasedUntilMs;
      // The store may have put the clock right meanwhile, and the lease with it.
      this.#leasedUntilMs = untilMs + clock.now() - clock.monotonicMs() - offsetMs;
      if (!lapsed) return;
      const atMs = clock.now();
      for (const [connectionId, userId] of this.#connections) {
        // A row that was written without a lease and now counts again makes nobody's first connection.
        this.#again.add(connectionId);
        this.#write({ type: 'connected', connectionId, userId, atMs });
      }
    } catch (error) {
      this.#deps.onError(error);
    }
  }

  #sweepAt(atMs: number): void {
    if (this.#stopped || this.#sweeping !== undefined) return;
    if (this.#sweepTimer !== undefined) {
      if (this.#sweepAtMs <= atMs) return;
      this.#sweepTimer.cancel();
    }
    this.#sweepAtMs = atMs;
    this.#sweepTimer = this.#deps.clock.schedule(Math.max(0, atMs - this.#deps.clock.monotonicMs()), () => {
      this.#sweepTimer = undefined;
      void this.#sweep();
    });
  }

  async #sweep(): Promise<void> {
    this.#sweeping = this.#sweepOnce();
    await this.#sweeping;
    this.#sweeping = undefined;
    const nowMs = this.#deps.clock.monotonicMs();
    const { graceMs, leaseMs } = this.#options;
    const regularMs = nowMs + Math.max(SWEEP_STEP_MS, Math.min(graceMs, leaseMs, MAX_SWEEP_INTERVAL_MS));
    this.#sweepAt(Math.min(regularMs, this.#graceEndsMs[0] ?? regularMs));
  }

  async #sweepOnce(): Promise<void> {
    const { clock, store } = this.#deps;
    try {
      await this.#writing;
      // An instance whose own lease ran out would sweep its own connections.
      if (clock.now() >= this.#leasedUntilMs) {
        await this.#lease();
        await this.#writing;
      }
      const nowMs = clock.monotonicMs();
      for (const presence of await store.sweep(clock.now())) this.#announce(presence);
      this.#graceEndsMs = this.#graceEndsMs.filter((endsMs) => endsMs > nowMs);
    } catch (error) {
      this.#deps.onError(error);
      this.#graceEndsMs = [];
    }
  }

  #announce(presence: Presence): void {
    this.#changed.set(presence.userId, presence);
    this.#announceIn(this.#options.coalesceMs);
  }

  #announceIn(delayMs: number): void {
    this.#announceTimer ??= this.#deps.clock.schedule(delayMs, () => this.#announceNow());
  }

  /** One announcement at a time, so that a later one does not overtake. */
  #announceNow(): void {
    this.#announceTimer?.cancel();
    this.#announceTimer = undefined;
    if (this.#changed.size === 0) return;
    const changes = [...this.#changed.values()];
    this.#changed.clear();
    this.#announcing = this.#announcing
      .then(() => this.#stillTrue(changes))
      .then((current) => this.#broadcast(current))
      .catch((error: unknown) => this.#deps.onError(error));
  }

  /**
   * Leaves out what another instance has turned round since: its own announcement may have come before this one, and
   * the last thing watchers hear must be what is true. While the store cannot tell, nothing is said.
   */
  async #stillTrue(changes: readonly Presence[]): Promise<readonly Presence[]> {
    const { clock, store, onError } = this.#deps;
    try {
      const found = new Map<string, Presence>();
      for (let from = 0; from < changes.length; from += MAX_BATCH) {
        const userIds = changes.slice(from, from + MAX_BATCH).map((change) => change.userId);
        for (const [userId, presence] of await store.find(userIds, clock.now())) found.set(userId, presence);
      }
      return changes.filter((change) => (found.get(change.userId)?.online ?? false) === change.online);
    } catch (error) {
      onError(error);
      if (this.#stopped) return changes;
      this.#announceLater(changes);
      return [];
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

  async #broadcast(changes: readonly Presence[]): Promise<void> {
    if (changes.length === 0) return;
    const { broker, metrics, onError, partners } = this.#deps;
    const isForAll = this.#options.audience === 'everyone';
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
        if (!(await this.#isTold(broker.broadcast({ type: 'presenceChanged', changes: part }, audience)))) break;
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
        if (!this.#changed.has(presence.userId)) this.#announce(presence);
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
