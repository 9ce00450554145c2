/**
 * Presence: leases, never counters. Connections are rows that this instance owns and keeps alive with one lease; whether
 * a user is online is asked of the store. This module writes the rows in batches, renews the lease and sweeps; changes are
 * told by presence-announcer.ts.
 *
 * A transition is announced once in the whole system: Online by the instance whose row was the first, Offline by the one
 * whose sweep removed the last.
 */
import type { Timer } from '../time/clock.ts';
import type { Identity } from './identity.ts';
import type { Presence } from './message.ts';
import type { Policy } from './policy.ts';
import type { PresenceStore, PresenceWrite } from './ports.ts';
import {
  MAX_PARTNERS,
  PresenceAnnouncer,
  type PresenceAnnouncerDependencies,
  type PresenceAnnouncerOptions,
} from './presence-announcer.ts';

export interface PresenceOptions extends PresenceAnnouncerOptions {
  readonly instanceId: string;
  /** How long an ended connection still counts, in milliseconds. Default 5,000. */
  readonly graceMs: number;
  /** How long this instance's rows outlive its last sign of life, in milliseconds. Default 15,000. */
  readonly leaseMs: number;
}

export interface PresenceDependencies extends PresenceAnnouncerDependencies {
  readonly store: PresenceStore;
  readonly policy: Policy;
}

const MAX_BATCH = 500;
const RETRY_MS = 1000;
/** Ends of graces are rounded up to this, so that many disconnections share a sweep. */
const SWEEP_STEP_MS = 50;
/** What a dead instance left is found this long after its lease at the latest. */
const MAX_SWEEP_INTERVAL_MS = 3000;

export class PresenceTracker {
  readonly #deps: PresenceDependencies;
  readonly #options: PresenceOptions;
  readonly #announcer: PresenceAnnouncer;
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
  /** Users with an ended connection, and when to sweep it: at the end of its grace, by the monotonic clock, ascending. */
  readonly #lingering = new Map<string, number>();
  #sweepAtMs = 0;
  #sweeping: Promise<boolean> | undefined;
  #leaseTimer: Timer | undefined;
  #sweepTimer: Timer | undefined;
  #stopped = false;

  constructor(dependencies: PresenceDependencies, options: PresenceOptions) {
    this.#deps = dependencies;
    this.#options = options;
    this.#announcer = new PresenceAnnouncer(dependencies, options);
  }

  /** Takes the lease and begins to renew it and to sweep. */
  async start(): Promise<void> {
    this.#announcer.start();
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
    this.#lingering.delete(userId);
    this.#lingering.set(userId, sweepAtMs);
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
    if (this.#writes.length > 0) this.#writing ??= this.#flush();
    await this.#writing;
    await this.#sweeping;
    // A user whose rows this instance swept is told of by nobody else.
    await this.#announcer.stop();
  }

  #write(write: PresenceWrite): void {
    this.#writes.push(write);
    if (this.#retryTimer === undefined) this.#writing ??= this.#flush();
  }

  /** One flush at a time; what comes meanwhile is the next batch. After a failure it tries again, nothing is dropped. */
  async #flush(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#writes.length > 0) {
      let batch: readonly PresenceWrite[] = [];
      try {
        // A row that is written without a lease does not count, and nobody would be told when it does.
        if (this.#deps.clock.now() >= this.#leasedUntilMs) await this.#takeLease();
        batch = this.#writes.slice(0, MAX_BATCH);
        const nowMs = this.#deps.clock.now();
        const outcomes = await this.#deps.store.apply(this.#options.instanceId, batch, nowMs);
        this.#writes = this.#writes.slice(batch.length);
        batch.forEach((write, index) => {
          if (write.type !== 'connected') return;
          const isAgain = this.#again.delete(write.connectionId);
          if (isAgain || outcomes[index]?.wasOffline || index < this.#unanswered) {
            this.#announcer.announce({ userId: write.userId, online: true });
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

  async #lease(): Promise<void> {
    try {
      await this.#takeLease();
    } catch (error) {
      this.#deps.onError(error);
    }
  }

  /**
   * If the lease had run out, by this clock or for another instance, the rows of the connections that live here may have been
   * swept: they are written again.
   */
  async #takeLease(): Promise<void> {
    const { clock, store } = this.#deps;
    const untilMs = clock.now() + this.#options.leaseMs;
    const offsetMs = clock.now() - clock.monotonicMs();
    const wasLost = await store.renewLease(this.#options.instanceId, untilMs);
    const lapsed = wasLost || clock.now() >= this.#leasedUntilMs;
    // The store may have put the clock right meanwhile, and the lease with it.
    this.#leasedUntilMs = untilMs + clock.now() - clock.monotonicMs() - offsetMs;
    if (!lapsed) return;
    // What was said of them while there was no lease was not true.
    for (const userId of this.#lingering.keys()) this.#announcer.announce({ userId, online: true });
    const atMs = clock.now();
    for (const [connectionId, userId] of this.#connections) {
      // A row that counts again without having been swept makes nobody's first connection.
      this.#again.add(connectionId);
      this.#write({ type: 'connected', connectionId, userId, atMs });
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
    const sweeping = this.#sweepOnce();
    this.#sweeping = sweeping;
    const isDone = await sweeping;
    this.#sweeping = undefined;
    const nowMs = this.#deps.clock.monotonicMs();
    const { graceMs, leaseMs } = this.#options;
    const regularMs = nowMs + Math.max(SWEEP_STEP_MS, Math.min(graceMs, leaseMs, MAX_SWEEP_INTERVAL_MS));
    const [firstMs = regularMs] = this.#lingering.values();
    // While the store is away nobody asks it for each grace that ends.
    this.#sweepAt(isDone ? Math.min(regularMs, firstMs) : regularMs);
  }

  /** Answers whether the store could do it. */
  async #sweepOnce(): Promise<boolean> {
    const { clock, store } = this.#deps;
    let sweptMs = clock.monotonicMs();
    try {
      await this.#writing;
      // An instance whose own lease ran out would sweep its own connections.
      if (clock.now() >= this.#leasedUntilMs) {
        await this.#lease();
        await this.#writing;
      }
      sweptMs = clock.monotonicMs();
      for (const presence of await store.sweep(clock.now())) this.#announcer.announce(presence);
      return true;
    } catch (error) {
      this.#deps.onError(error);
      return false;
    } finally {
      for (const [userId, endsMs] of this.#lingering) {
        if (endsMs > sweptMs) break;
        this.#lingering.delete(userId);
      }
    }
  }
}
