/**
 * Sending: records wait in their connection until the end of the turn of the event loop, then every connection that has some
 * is flushed once, all its records in one write. Socket writes are what costs, so this is what makes fan-out cheap.
 *
 * Connections that have the very same shared records waiting use one `Batch`, which a transport frames once.
 */
import type { Batch } from '../endpoint/batch.ts';

/** A connection with records waiting. */
export interface Flushable {
  /** Sends what waits. `previous` is the last shareable batch of this flush; answers the one to try next. Never throws. */
  flush(previous: Batch | undefined): Batch | undefined;
}

/** Flushes the connections of one server once per turn of the event loop. */
export class OutboundFlusher {
  #dirty: Flushable[] = [];
  #isScheduled = false;

  /** Has `connection` flushed at the end of this turn. The connection sees to it that it is not added twice. */
  add(connection: Flushable): void {
    this.#dirty.push(connection);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    const dirty = this.#dirty;
    this.#dirty = [];
    this.#isScheduled = false;
    let batch: Batch | undefined;
    for (const connection of dirty) batch = connection.flush(batch);
  };
}
