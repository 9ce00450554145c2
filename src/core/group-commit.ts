/**
 * Natural batching of concurrent writes: while one flush runs, the next batch collects. No timers, and an idle system
 * adds no latency beyond the end of the current turn of the event loop.
 *
 * Outcomes settle in the order of submission, so what callers do next (publish) keeps that order too.
 */
import { ChatError } from './errors.ts';
import { type Metrics, noMetrics } from './metrics.ts';
import type { MessageStore, OutcomeOf, WriteOp, WriteOutcome } from './ports.ts';

export interface GroupCommitOptions {
  /** Most operations in one commit. Default 500. */
  readonly maxBatch?: number;
  /** Most operations that may wait; beyond that `submit` rejects with OVERLOADED. Default 50,000. */
  readonly maxWaiting?: number;
  /** Counts `chat_commits_total` and `chat_commit_operations_total`. Default: nothing. */
  readonly metrics?: Metrics;
}

interface Waiting {
  readonly operation: WriteOp;
  readonly resolve: (outcome: never) => void;
  readonly reject: (error: unknown) => void;
}

export class GroupCommit {
  readonly #store: Pick<MessageStore, 'write'>;
  readonly #maxBatch: number;
  readonly #maxWaiting: number;
  readonly #metrics: Metrics;
  #waiting: Waiting[] = [];
  #running = false;

  constructor(store: Pick<MessageStore, 'write'>, options: GroupCommitOptions = {}) {
    this.#store = store;
    this.#maxBatch = options.maxBatch ?? 500;
    this.#maxWaiting = options.maxWaiting ?? 50_000;
    this.#metrics = options.metrics ?? noMetrics;
  }

  /**
   * Commits one operation together with whatever else is waiting.
   * @returns the operation's own outcome, once durable.
   * @throws the store's error if the whole commit failed; `resourceExhausted` if too many wait.
   */
  submit<O extends WriteOp>(operation: O): Promise<Exclude<OutcomeOf[O['type']], { type: 'failed' }>> {
    if (this.#waiting.length >= this.#maxWaiting) {
      return Promise.reject(
        new ChatError('resourceExhausted', 'OVERLOADED', 'The server is overloaded, try again', { retryAfterMs: 1000 }),
      );
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ operation, resolve, reject });
      if (!this.#running) {
        this.#running = true;
        setImmediate(() => void this.#run());
      }
    });
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.length <= this.#maxBatch ? this.#waiting : this.#waiting.slice(0, this.#maxBatch);
      this.#waiting = batch === this.#waiting ? [] : this.#waiting.slice(this.#maxBatch);
      await this.#flush(batch);
      // The rest of this turn of the event loop still brings what belongs into the next commit.
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#running = false;
  }

  async #flush(batch: readonly Waiting[]): Promise<void> {
    this.#metrics.count('chat_commits_total');
    this.#metrics.count('chat_commit_operations_total', undefined, batch.length);
    let outcomes: WriteOutcome[];
    try {
      outcomes = await this.#store.write(batch.map((item) => item.operation));
    } catch (error) {
      for (const item of batch) item.reject(error);
      return;
    }
    batch.forEach((item, index) => {
      const outcome = outcomes[index];
      if (outcome === undefined) item.reject(new Error('The store answered fewer outcomes than operations'));
      else if (outcome.type === 'failed') item.reject(outcome.error);
      else item.resolve(outcome as never);
    });
  }
}
