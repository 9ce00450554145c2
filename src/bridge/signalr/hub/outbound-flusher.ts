/**
 * Sending: records wait in their connection until the end of the turn of the event loop, then every connection that has some
 * is flushed once, all its records in one write. Socket writes are what costs, so this is what makes fan-out cheap.
 *
 * Connections that have the very same shared records waiting use one `Batch`, which a transport frames once.
 */
import type { EncodedRecord } from '../protocol/protocol.ts';

/** Records that leave together. */
export class Batch {
  readonly records: readonly EncodedRecord[];
  #framer: ((text: string) => Buffer) | undefined;
  #framed: Buffer | undefined;

  constructor(records: readonly EncodedRecord[]) {
    this.records = records;
  }

  /** The batch as `framer` frames it; done once for each run of connections that share the batch and the framer. */
  framed(framer: (text: string) => Buffer): Buffer {
    if (this.#framed === undefined || this.#framer !== framer) {
      const [first = ''] = this.records;
      this.#framer = framer;
      this.#framed = framer(this.records.length === 1 ? first : this.records.join(''));
    }
    return this.#framed;
  }

  /** Whether the batch is of the same records (shared records are the same string, so this compares pointers). */
  holds(records: readonly EncodedRecord[]): boolean {
    const own = this.records;
    if (own.length !== records.length) return false;
    for (let index = 0; index < own.length; index += 1) if (own[index] !== records[index]) return false;
    return true;
  }
}

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
