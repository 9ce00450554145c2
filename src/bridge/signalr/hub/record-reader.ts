/**
 * Puts the bytes of one connection together to records, wherever they were cut, and stops reading when the connection has
 * enough to do.
 *
 * Bounded: at most one incomplete record is kept; while paused, what the transport still had. However small the pieces are, each byte is
 * copied and searched a few times at most.
 */
import type { Transport } from '../endpoint/transport.ts';

/** What the reader needs of its connection. */
export interface RecordSink {
  /** Whether records are still wanted at all. */
  readonly isReading: boolean;
  /** Whether no more records should be handed over for now. `resume` makes the reader look again. */
  readonly isSaturated: boolean;
  /**
   * Index behind the record that begins at `start`, also when that is beyond `data`; -1: it is not known yet. What stands before `from`
   * has been asked about before.
   */
  recordEnd(data: Buffer, start: number, from: number): number;
  onRecord(data: Buffer, start: number, end: number): void;
  /** A record is over the limit. */
  onTooLarge(): void;
}

export class RecordReader {
  readonly #sink: RecordSink;
  #transport: Transport;
  readonly #maximumBytes: number;
  /** What is left of earlier chunks, from the beginning of a record on: the first `#bytes` bytes. The buffer may be larger. */
  #kept: Buffer | undefined;
  #bytes = 0;
  /** How many bytes of the first record that is kept are known not to hold its end. */
  #searched = 0;
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
    if (this.#kept === undefined && !this.#isPaused) {
      const end = this.#read(data, 0);
      if (end < data.length && this.#sink.isReading) this.#keep(data.subarray(end));
      return;
    }
    // What a transport still had when it was paused may be thousands of chunks.
    this.#keep(data);
    if (!this.#isPaused) this.#readKept();
  }

  /** The connection may be able to take more. */
  resume(): void {
    if (!this.#isPaused || this.#isInside || this.#sink.isSaturated) return;
    this.#isPaused = false;
    this.#readKept();
    if (!this.#isPaused) this.#transport.resume();
  }

  /** From now on the bytes come from another transport. What the old one left incomplete or unread is dropped. */
  restart(transport: Transport): void {
    this.clear();
    this.#transport = transport;
  }

  /** Drops what is incomplete. */
  clear(): void {
    this.#kept = undefined;
    this.#bytes = 0;
    this.#isPaused = false;
  }

  /** Appends a copy: what it is cut from may be a large buffer that belongs to the socket. */
  #keep(data: Buffer): void {
    const bytes = this.#bytes + data.length;
    if (this.#kept === undefined || this.#kept.length < bytes) {
      // Twice as much as needed, so that many small chunks are not copied for each of them.
      const larger = Buffer.allocUnsafe(this.#kept === undefined ? bytes : 2 * bytes);
      this.#kept?.copy(larger, 0, 0, this.#bytes);
      this.#kept = larger;
    }
    data.copy(this.#kept, this.#bytes);
    this.#bytes = bytes;
  }

  #readKept(): void {
    const kept = this.#kept;
    if (kept === undefined) return;
    const bytes = this.#bytes;
    const end = this.#read(kept.subarray(0, bytes), this.#searched);
    // What was read may have cleared it.
    if (this.#kept !== kept) return;
    if (end === 0 && this.#sink.isReading) return;
    this.#kept = undefined;
    this.#bytes = 0;
    // The rest in a buffer of its own, for this one may be far larger.
    if (end < bytes && this.#sink.isReading) this.#keep(kept.subarray(end, bytes));
  }

  /** Hands over whole records; answers where the first that is not begins. `searched`: bytes that do not hold the end of the first one. */
  #read(data: Buffer, searched: number): number {
    const sink = this.#sink;
    let start = 0;
    let from = searched;
    this.#searched = 0;
    this.#isInside = true;
    while (start < data.length && sink.isReading) {
      if (sink.isSaturated) {
        this.#isPaused = true;
        this.#transport.pause();
        break;
      }
      const end = sink.recordEnd(data, start, from);
      // An incomplete record has at least one more byte to come.
      if ((end === -1 ? data.length + 1 : end) - start > this.#maximumBytes) {
        sink.onTooLarge();
        break;
      }
      if (end === -1 || end > data.length) {
        this.#searched = data.length - start;
        break;
      }
      sink.onRecord(data, start, end);
      start = end;
      from = end;
    }
    this.#isInside = false;
    return start;
  }
}
