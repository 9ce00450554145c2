/** The streams that are open at this door, and their common end when the server drains. */
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
  readonly #streams = new Set<LiveStream>();
  #reconnectAfterMs: number | undefined;
  #emptied: (() => void)[] = [];

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  get size(): number {
    return this.#streams.size;
  }

  /** Takes a stream in. @throws ChatError `unavailable` while draining. */
  add(stream: LiveStream): void {
    if (this.#reconnectAfterMs !== undefined) throw shuttingDown(this.#reconnectAfterMs);
    this.#streams.add(stream);
    this.#metrics.gauge('chat_rpc_streams', this.#streams.size);
  }

  /** A stream is over. Idempotent. */
  delete(stream: LiveStream): void {
    if (!this.#streams.delete(stream)) return;
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
