/**
 * What waits to be published for some of the users, in order. See `publisher.ts`, whose part this is.
 */
import type { Clock, Timer } from '../time/clock.ts';
import type { StreamEvent } from './events.ts';
import type { Metrics } from './metrics.ts';
import type { MissingMessages } from './missing-messages.ts';
import type { AppendEntry, Broker, StreamGap } from './ports.ts';

export interface PublishLaneDependencies {
  readonly broker: Pick<Broker, 'append' | 'endEpochs'>;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly missing: Pick<MissingMessages, 'fill'> | undefined;
  readonly onFailed: (userIds: readonly string[], error: unknown) => void;
  /** Most entries in one append. */
  readonly maxBatch: number;
}

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 2000;

export class PublishLane {
  readonly #deps: PublishLaneDependencies;
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

  constructor(dependencies: PublishLaneDependencies) {
    this.#deps = dependencies;
  }

  /** Entries that wait, those of an append that runs not counted. */
  get waiting(): number {
    return this.#waiting.length;
  }

  publish(event: StreamEvent, userId: string): void {
    this.#waiting.push({ userId, event });
    this.#published += 1;
  }

  /** Begins to append what waits, unless that goes on already. */
  run(): void {
    this.#running ??= this.#run();
  }

  /** Gives the oldest up. @returns how many there were. */
  shed(count: number): number {
    const lost = this.#waiting.splice(0, count);
    for (const entry of lost) this.#broken.add(entry.userId);
    return lost.length;
  }

  /** See `Publisher.published`. */
  published(): Promise<boolean> {
    if (this.#running === undefined) return Promise.resolve(this.#waiting.length === 0);
    return new Promise((resolve) => this.#waiters.push({ count: this.#published, resolve }));
  }

  /** Tries once more what is left, then gives up. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#pause?.timer.cancel();
    this.#pause?.end();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { broker, maxBatch, metrics, onFailed } = this.#deps;
    let retryMs = FIRST_RETRY_MS;
    // A commit answers all its sends in one go. What they publish goes together: else the first would go alone, and the others
    // would wait until the broker has answered it.
    await undefined;
    while (this.#waiting.length > 0) {
      let batch: readonly AppendEntry[] = this.#waiting.splice(0, maxBatch);
      const lastTry = this.#closed;
      try {
        if (this.#broken.size > 0) await this.#endEpochs();
        const gaps = await broker.append(batch);
        batch = gaps.flatMap((gap) => gap.entries);
        if (gaps.length > 0) this.#waiting = [...(await this.#fill(gaps)), ...this.#waiting];
        retryMs = FIRST_RETRY_MS;
        if (this.#broken.size === 0) this.#settle(this.#published - this.#waiting.length, true);
      } catch (error) {
        metrics.count('chat_publish_failures_total');
        onFailed([...new Set(batch.map((entry) => entry.userId))], error);
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
    const { metrics, missing } = this.#deps;
    metrics.count('chat_publish_gaps_total', undefined, gaps.length);
    const filled = await Promise.all(
      gaps.map(async (gap): Promise<AppendEntry[]> => {
        const entries = await missing?.fill(gap);
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
    for (let from = 0; from < userIds.length; from += this.#deps.maxBatch) {
      const some = userIds.slice(from, from + this.#deps.maxBatch);
      await this.#deps.broker.endEpochs(some);
      for (const userId of some) this.#broken.delete(userId);
    }
  }

  #wait(ms: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#pause = { timer: this.#deps.clock.schedule(ms, resolve), end: resolve };
    });
  }
}
