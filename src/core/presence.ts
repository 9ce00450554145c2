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
  /** Who is told of a user's changes: everybody, or the user's conversation partners. */
  readonly audience: 'everyone' | 'contacts';
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
  readonly broker: Pick<Broker, 'broadcast'>;
  readonly policy: Policy;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly onError: (error: unknown) => void;
}

const MAX_PARTNERS = 10_000;
const MAX_BATCH = 500;
const RETRY_MS = 1000;

export class PresenceTracker {
  readonly #deps: PresenceDependencies;
  readonly #options: PresenceOptions;
  #writes: PresenceWrite[] = [];
  #writing: Promise<void> | undefined;
  readonly #changed = new Map<string, Presence>();
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
    await this.#renew();
    await this.#sweep();
  }

  /** A connection of a user began. */
  connected(userId: string, connectionId: string): void {
    this.#write({ type: 'connected', userId, connectionId, atMs: this.#deps.clock.now() });
  }

  /** A connection ended. The user goes Offline after the grace, unless another connection lives or comes. */
  disconnected(userId: string, connectionId: string): void {
    const atMs = this.#deps.clock.now();
    this.#write({ type: 'disconnected', userId, connectionId, atMs, lingerUntilMs: atMs + this.#options.graceMs });
    this.#sweepIn(this.#options.graceMs + 1);
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

  /** Stops the timers and writes what is left. Call after the doors have reported their last disconnections. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#leaseTimer?.cancel();
    this.#sweepTimer?.cancel();
    this.#announceTimer?.cancel();
    await this.#writing;
  }

  #write(write: PresenceWrite): void {
    this.#writes.push(write);
    this.#writing ??= this.#flush();
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
          if (write.type === 'connected' && outcomes[index]?.wasOffline) {
            this.#announce({ userId: write.userId, online: true });
          }
        });
      } catch (error) {
        this.#deps.onError(error);
        if (this.#stopped) break;
        this.#deps.clock.schedule(RETRY_MS, () => {
          if (this.#writes.length > 0) this.#writing ??= this.#flush();
        });
        break;
      }
    }
    this.#writing = undefined;
  }

  async #renew(): Promise<void> {
    const { clock, store } = this.#deps;
    try {
      await store.renewLease(this.#options.instanceId, clock.now() + this.#options.leaseMs);
    } catch (error) {
      this.#deps.onError(error);
    }
    if (!this.#stopped) {
      this.#leaseTimer = clock.schedule(this.#options.leaseMs / 3, () => void this.#renew());
    }
  }

  #sweepIn(delayMs: number): void {
    if (this.#stopped) return;
    this.#sweepTimer ??= this.#deps.clock.schedule(delayMs, () => {
      this.#sweepTimer = undefined;
      void this.#sweep();
    });
  }

  async #sweep(): Promise<void> {
    const { clock, store } = this.#deps;
    try {
      await this.#writing;
      for (const presence of await store.sweep(clock.now())) this.#announce(presence);
    } catch (error) {
      this.#deps.onError(error);
    }
    this.#sweepIn(Math.max(50, Math.min(this.#options.graceMs, this.#options.leaseMs)));
  }

  #announce(presence: Presence): void {
    this.#changed.set(presence.userId, presence);
    this.#announceTimer ??= this.#deps.clock.schedule(this.#options.coalesceMs, () => {
      this.#announceTimer = undefined;
      const changes = [...this.#changed.values()];
      this.#changed.clear();
      this.#broadcast(changes).catch((error: unknown) => this.#deps.onError(error));
    });
  }

  async #broadcast(changes: readonly Presence[]): Promise<void> {
    this.#deps.metrics.count('chat_presence_changes_total', undefined, changes.length);
    if (this.#options.audience === 'everyone') {
      await this.#deps.broker.broadcast({ type: 'presenceChanged', changes });
      return;
    }
    for (const change of changes) {
      const audience = await this.#deps.partners.listPartners(change.userId, MAX_PARTNERS);
      await this.#deps.broker.broadcast({ type: 'presenceChanged', changes: [change] }, [...audience, change.userId]);
    }
  }
}
