/**
 * Publishes what was committed. It never fails the caller: the message is in the store, and that is what was promised.
 *
 * One append runs at a time and what comes meanwhile is the next: so streams have the order of the commits, also when the
 * broker refuses for a while. A refused append is repeated until the broker takes it; an event that was left out would
 * be missing behind a history that looks whole. A broker that took it and said no makes a repeat, not a loss. What it leaves
 * out, because another instance has not published what comes before, is published together with that. Events that
 * are given up at the bound end the epochs of their users' streams before anything later is appended to them.
 *
 * All this holds for each lane on its own: users whose streams the broker keeps elsewhere do not wait for a part of it that
 * is away (`Broker.laneOf`).
 */
import { type Clock, systemClock } from '../time/clock.ts';
import type { StreamEvent, TransientEvent } from './events.ts';
import type { Metrics } from './metrics.ts';
import type { MissingMessages } from './missing-messages.ts';
import type { Broker } from './ports.ts';
import { PublishLane, type PublishLaneDependencies } from './publish-lane.ts';

export interface PublishFailureListener {
  /** The broker did not take events of these users; they are kept and tried again. */
  onPublishFailed(userIds: readonly string[], error: unknown): void;
}

export interface PublisherOptions {
  /** Most entries in one append. Default 1,000. */
  readonly maxBatch?: number;
  /** Most entries that may wait for the broker; beyond it the oldest are given up and counted. Default 200,000. */
  readonly maxWaiting?: number;
  /** Where messages are found that other instances have not published. Default: a stream with a gap begins a new epoch. */
  readonly missing?: Pick<MissingMessages, 'deletions' | 'fill' | 'since'>;
}

export class Publisher {
  readonly #broker: Broker;
  readonly #metrics: Metrics;
  readonly #maxWaiting: number;
  readonly #missing: PublisherOptions['missing'];
  readonly #forLanes: PublishLaneDependencies;
  readonly #lanes = new Map<number, PublishLane>();

  constructor(
    broker: Broker,
    metrics: Metrics,
    failures: PublishFailureListener,
    clock: Clock = systemClock,
    options: PublisherOptions = {},
  ) {
    this.#broker = broker;
    this.#metrics = metrics;
    this.#maxWaiting = options.maxWaiting ?? 200_000;
    this.#missing = options.missing;
    this.#forLanes = {
      broker,
      metrics,
      clock,
      missing: options.missing,
      onFailed: (userIds, error) => failures.onPublishFailed(userIds, error),
      maxBatch: options.maxBatch ?? 1000,
    };
  }

  /** Appends `event` to the stream of each of `userIds` (duplicates count once) and publishes it. */
  publish(event: StreamEvent, ...userIds: readonly string[]): void {
    const lanes = new Set<PublishLane>();
    for (const [index, userId] of userIds.entries()) {
      if (userIds.indexOf(userId) !== index) continue;
      const lane = this.#lane(userId);
      lane.publish(event, userId);
      lanes.add(lane);
    }
    for (const lane of lanes) {
      if (lane.waiting > this.#maxWaiting / this.#lanes.size) this.#shed();
      lane.run();
    }
  }

  /**
   * Publishes what two people wrote to each other since then, for an instance that may not have: a broker that instances share
   * passes over what it has.
   */
  async publishAgain(userId: string, otherId: string, sinceMs: number): Promise<void> {
    for (const event of (await this.#missing?.since(userId, otherId, sinceMs)) ?? []) {
      this.publish(event, event.message.receiverId, event.message.senderId);
    }
  }

  /** Publishes that messages are deleted, for an instance that may not have. Who has heard it already loses nothing. */
  async publishDeletions(messageIds: readonly string[]): Promise<void> {
    for (const event of (await this.#missing?.deletions(messageIds)) ?? []) {
      this.publish(event, event.senderId, event.receiverId);
    }
  }

  /**
   * Resolves with true when the broker has taken everything that was published until now (or, for what was given up at the
   * bound, has ended the epochs); with false if the publisher closed before.
   */
  async published(): Promise<boolean> {
    const answers = await Promise.all([...this.#lanes.values()].map((lane) => lane.published()));
    return answers.every((taken) => taken);
  }

  /** Tells the connected sessions of one user. */
  signal(event: TransientEvent, userId: string): void {
    this.#broker.publishToUser(userId, event).catch(() => this.#metrics.count('chat_publish_failures_total'));
  }

  /** Tries once more what is left, then gives up. Call after the last use case has ended. */
  async close(): Promise<void> {
    await Promise.all([...this.#lanes.values()].map((lane) => lane.close()));
  }

  #lane(userId: string): PublishLane {
    const number = this.#broker.laneOf?.(userId) ?? 0;
    let lane = this.#lanes.get(number);
    if (lane === undefined) {
      lane = new PublishLane(this.#forLanes);
      this.#lanes.set(number, lane);
    }
    return lane;
  }

  /** If too much waits in all, the longest lane gives up its oldest. */
  #shed(): void {
    const lanes = [...this.#lanes.values()].toSorted((one, other) => other.waiting - one.waiting);
    if (lanes.reduce((sum, lane) => sum + lane.waiting, 0) <= this.#maxWaiting) return;
    const lost = lanes[0]?.shed(Math.ceil(this.#maxWaiting / 4)) ?? 0;
    this.#metrics.count('chat_publish_lost_total', undefined, lost);
  }
}
