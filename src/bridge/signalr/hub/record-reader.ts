/**
 * Puts the bytes of one connection together to records, wherever they were cut, and stops reading when the connection has
 * enough to do.
 *
 * Bounded: at most one incomplete record is kept; while paused, what was left of the last chunk.
 */
import type { Transport } from '../endpoint/transport.ts';

/** What the reader needs of its connection. */
export interface RecordSink {
  /** Whether records are still wanted at all. */
  readonly isReading: boolean;
  /** Whether no more records should be handed over for now. `resume` makes the reader look again. */
  readonly isSaturated: boolean;
  /** Index behind the record that begins at `start`, also when that is beyond `data`; -1: it is not known yet. */
  recordEnd(data: Buffer, start: number): number;
  onRecord(data: Buffer, start: number, end: number): void;
  /** A record is over the limit. */
  onTooLarge(): void;
}

export class RecordReader {
  readonly #sink: RecordSink;
  #transport: Transport;
  readonly #maximumBytes: number;
  #rest: Buffer | undefined;
  #isPaused = false;
  #isInside = false;

  constructor(sink: RecordSink, transport: Transport, maximumBytes: number) {
    this.#sink = sink;
    this.#transport = transport;
    this.#maximumBytes = maximumBytes;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  onData(data: Buffer): void {
    const all = this.#rest === undefined ? data : Buffer.concat([this.#rest, data]);
    this.#rest = undefined;
    this.#read(all);
  }

  /** The connection may be able to take more. */
  resume(): void {
    if (!this.#isPaused || this.#isInside || this.#sink.isSaturated) return;
    this.#isPaused = false;
    const rest = this.#rest;
    this.#rest = undefined;
    if (rest !== undefined) this.#read(rest);
    if (!this.#isPaused) this.#transport.resume();
  }

  /** From now on the bytes come from another transport. What the old one left incomplete or unread is dropped. */
  restart(transport: Transport): void {
    this.clear();
    this.#transport = transport;
  }

  /** Drops what is incomplete. */
  clear(): void {
    this.#rest = undefined;
    this.#isPaused = false;
  }

  #read(data: Buffer): void {
    const sink = this.#sink;
    let start = 0;
    this.#isInside = true;
    while (start < data.length && sink.isReading) {
      if (sink.isSaturated) {
        this.#isPaused = true;
        this.#transport.pause();
        break;
      }
      const end = sink.recordEnd(data, start);
      // An incomplete record has at least one more byte to come.
      if ((end === -1 ? data.length + 1 : end) - start > this.#maximumBytes) {
        sink.onTooLarge();
        break;
      }
      if (end === -1 || end > data.length) break;
      sink.onRecord(data, start, end);
      start = end;
    }
    this.#isInside = false;
    // A copy: the rest may be a few bytes of a large buffer that belongs to the socket.
    if (start < data.length && sink.isReading) this.#rest = Buffer.from(data.subarray(start));
  }
}
