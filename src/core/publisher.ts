/**
 * Publishes what was committed. It never fails the caller: the message is in the store, and that is what was promised.
 *
 * One append runs at a time and what comes meanwhile is the next: so streams have the order of the commits, also when the
 * broker refuses for a while. A refused append is repeated until the broker takes it; an event that was left out would
 * be missing behind a history that looks whole. A broker that took it and said no makes a repeat, not a loss. What it leaves
 * out, because another instance has not published what comes before, is published together with that. Events that
 * are given up at the bound end the epochs of their users' streams before anything later is appended to them.
 */
import { type Clock, systemClock, type Timer } from '../time/clock.ts';
import type { StreamEvent, TransientEvent } from './events.ts';
import type { Metrics } from './metrics.ts';
import type { MissingMessages } from './missing-messages.ts';
import type { AppendEntry, Broker, StreamGap } from './ports.ts';

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

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 2000;

export class Publisher {
  readonly #broker: Broker;
  readonly #metrics: Metrics;
  readonly #failures: PublishFailureListener;
  readonly #clock: Clock;
  readonly #maxBatch: number;
  readonly #maxWaiting: number;
  readonly #missing: PublisherOptions['missing'];
  #waiting: AppendEntry[] = [];
  /** Entries ever published. */
  #published = 0;
  /** Who waits until that many entries are settled, ascending. */
  #waiters: { readonly count: number; readonly resolve: (taken: boolean) => void }[] = [];
  /** Users whose events were given up and whose streams still look whole: one id per user, however many events. */
  readonly #broken = new Set<string>();
  #running: Promise<void> | undefined;
  #pause: { readonly timer: Timer; readonly end: () => void } | undefined;
  #closed = false;

  constructor(
    broker: Broker,
    metrics: Metrics,
    failures: PublishFailureListener,
    clock: Clock = systemClock,
    options: PublisherOptions = {},
  ) {
    this.#broker = broker;
    this.#metrics = metrics;
    this.#failures = failures;
    this.#clock = clock;
    this.#maxBatch = options.maxBatch ?? 1000;
    this.#maxWaiting = options.maxWaiting ?? 200_000;
    this.#missing = options.missing;
  }

  /** Appends `event` to the stream of each of `userIds` (duplicates count once) and publishes it. */
  publish(event: StreamEvent, ...userIds: readonly string[]): void {
    for (const [index, userId] of userIds.entries()) {
      if (userIds.indexOf(userId) !== index) continue;
      this.#waiting.push({ userId, event });
      this.#published += 1;
    }
    if (this.#waiting.length > this.#maxWaiting) {
      const lost = this.#waiting.splice(0, Math.ceil(this.#maxWaiting / 4));
      for (const entry of lost) this.#broken.add(entry.userId);
      this.#metrics.count('chat_publish_lost_total', undefined, lost.length);
    }
    this.#running ??= this.#run();
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
  published(): Promise<boolean> {
    if (this.#running === undefined) return Promise.resolve(this.#waiting.length === 0);
    return new Promise((resolve) => this.#waiters.push({ count: this.#published, resolve }));
  }

  /** Tells the connected sessions of one user. */
  signal(event: TransientEvent, userId: string): void {
    this.#broker.publishToUser(userId, event).catch(() => this.#metrics.count('chat_publish_failures_total'));
  }

  /** Tries once more what is left, then gives up. Call after the last use case has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#pause?.timer.cancel();
    this.#pause?.end();
    await this.#running;
  }

  async #run(): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    while (this.#waiting.length > 0) {
      let batch: readonly AppendEntry[] = this.#waiting.splice(0, this.#maxBatch);
      const lastTry = this.#closed;
      try {
        if (this.#broken.size > 0) await this.#endEpochs();
        const gaps = await this.#broker.append(batch);
        batch = gaps.flatMap((gap) => gap.entries);
        if (gaps.length > 0) this.#waiting = [...(await this.#fill(gaps)), ...this.#waiting];
        retryMs = FIRST_RETRY_MS;
        if (this.#broken.size === 0) this.#settle(this.#published - this.#waiting.length, true);
      } catch (error) {
        this.#metrics.count('chat_publish_failures_total');
        this.#failures.onPublishFailed([...new Set(batch.map((entry) => entry.userId))], error);
        this.#waiting = [...batch, ...this.#waiting];
        if (lastTry) break;
        await this.#wait(retryMs);
        retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
      }
    }
    this.#running = undefined;
    this.#settle(Number.POSITIVE_INFINITY, false);
  }

  /** What to append before anything else: what was left out, with what is missing before it. */
  async #fill(gaps: readonly StreamGap[]): Promise<AppendEntry[]> {
    this.#metrics.count('chat_publish_gaps_total', undefined, gaps.length);
    const filled = await Promise.all(
      gaps.map(async (gap): Promise<AppendEntry[]> => {
        const entries = await this.#missing?.fill(gap);
        if (entries !== undefined) return entries;
        this.#broken.add(gap.userId);
        return gap.entries.map((entry, index) => (index === 0 ? { ...entry, afterSeq: 0 } : entry));
      }),
    );
    return filled.flat();
  }

  #settle(count: number, taken: boolean): void {
    const settled = this.#waiters.filter((waiter) => waiter.count <= count);
    this.#waiters = this.#waiters.slice(settled.length);
    for (const { resolve } of settled) resolve(taken);
  }

  async #endEpochs(): Promise<void> {
    const userIds = [...this.#broken];
    for (let from = 0; from < userIds.length; from += this.#maxBatch) {
      const some = userIds.slice(from, from + this.#maxBatch);
      await this.#broker.endEpochs(some);
      for (const userId of some) this.#broken.delete(userId);
    }
  }

  #wait(ms: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#pause = { timer: this.#clock.schedule(ms, resolve), end: resolve };
    });
  }
}
