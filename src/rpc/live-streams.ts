/** The streams that are open at this door: how many each user has, and their common end when the server drains. */
import { ChatError } from '../core/errors.ts';
import type { Metrics } from '../core/metrics.ts';

/** A stream as its owner ends it. */
export interface LiveStream {
  /** Ends the stream because the server shuts down. It removes itself when it is over. */
  shutDown(reconnectAfterMs: number): void;
}

/** Share of the asked time by which each stream's time to come back differs, either way. */
const JITTER = 0.5;

export class LiveStreams {
  readonly #metrics: Metrics;
  readonly #maxPerUser: number;
  readonly #streams = new Set<LiveStream>();
  readonly #perUser = new Map<string, number>();
  #reconnectAfterMs: number | undefined;
  #emptied: (() => void)[] = [];

  constructor(metrics: Metrics, maxPerUser: number) {
    this.#metrics = metrics;
    this.#maxPerUser = maxPerUser;
  }

  get size(): number {
    return this.#streams.size;
  }

  /**
   * Takes a stream in.
   * @param userId whose streams it counts among; undefined = nobody's.
   * @throws ChatError `unavailable` while draining, `resourceExhausted` if the user has too many.
   */
  add(stream: LiveStream, userId?: string): void {
    if (this.#reconnectAfterMs !== undefined) throw shuttingDown(this.#reconnectAfterMs);
    if (userId !== undefined) {
      const count = this.#perUser.get(userId) ?? 0;
      if (count >= this.#maxPerUser) {
        throw new ChatError('resourceExhausted', 'TOO_MANY_CONNECTIONS', 'Too many streams are open for this user', {
          retryAfterMs: 1000,
        });
      }
      this.#perUser.set(userId, count + 1);
    }
    this.#streams.add(stream);
    this.#metrics.gauge('chat_rpc_streams', this.#streams.size);
  }

  /** A stream is over. Idempotent. */
  delete(stream: LiveStream, userId?: string): void {
    if (!this.#streams.delete(stream)) return;
    if (userId !== undefined) {
      const count = (this.#perUser.get(userId) ?? 1) - 1;
      if (count === 0) this.#perUser.delete(userId);
      else this.#perUser.set(userId, count);
    }
    this.#metrics.gauge('chat_rpc_streams', this.#streams.size);
    if (this.#streams.size > 0) return;
    const emptied = this.#emptied;
    this.#emptied = [];
    for (const resolve of emptied) resolve();
  }

  /** Takes no more streams, ends the present ones and resolves when they are over. */
  drain(reconnectAfterMs: number): Promise<void> {
    this.#reconnectAfterMs ??= reconnectAfterMs;
    for (const stream of [...this.#streams]) stream.shutDown(jittered(reconnectAfterMs));
    if (this.#streams.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#emptied.push(resolve));
  }
}

export function shuttingDown(reconnectAfterMs: number): ChatError {
  return new ChatError('unavailable', 'SHUTTING_DOWN', 'The server is shutting down, reconnect', {
    retryAfterMs: reconnectAfterMs,
  });
}

function jittered(ms: number): number {
  return Math.round(ms * (1 - JITTER + Math.random() * 2 * JITTER));
}
