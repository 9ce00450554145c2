/**
 * What waits to be sent to one connection. Records get marks 1, 2, 3… in the order they are added, and leave in that order.
 *
 * Bounded: what would pass the bound is refused, and the owner then gives up the connection. Paced records are left out of
 * the account, for their sender waits for the queue to empty between pages. A burst within one turn of the event loop is no
 * slow client, so the queue tries to write before it refuses. Once the transport has to buffer, records wait here, as values
 * that many queues may share, and `clear` frees them at once.
 *
 * The transport may be replaced (`suspend`, `restart`). A mark then counts as written only when everything that is repeated on the new
 * transport has been written: what follows it there proves nothing of what was lost with the old one.
 */
import { Batch } from '../endpoint/batch.ts';
import type { Transport } from '../endpoint/transport.ts';
import type { EncodedRecord } from '../protocol/protocol.ts';
import type { Flushable, OutboundFlusher } from './outbound-flusher.ts';

/** Most characters handed to a transport in one write, so that the progress of a slow peer can be seen. */
const WRITE_CHARACTERS = 65_536;

/** What is repeated on a new transport and not written yet. */
interface Repeat {
  /** Infinity: there is no transport. */
  left: number;
  /** Mark of the last record that was added before the new transport. */
  readonly mark: number;
}

const NO_TRANSPORT: Repeat = { left: Number.POSITIVE_INFINITY, mark: 0 };

export class OutboundQueue implements Flushable {
  #transport: Transport;
  readonly #flusher: OutboundFlusher;
  readonly #maximumCharacters: number;
  readonly #onFlushed: { onFlushed(): void };
  #records: EncodedRecord[] | undefined;
  #characters = 0;
  /** How much of what waits is paced; never more than what waits. */
  #pacedCharacters = 0;
  #isShared = true;
  #isDirty = false;
  #addedMark = 0;
  #writtenMark = 0;
  #repeat: Repeat | undefined;

  constructor(
    transport: Transport,
    flusher: OutboundFlusher,
    maximumCharacters: number,
    onFlushed: { onFlushed(): void },
  ) {
    this.#transport = transport;
    this.#flusher = flusher;
    this.#maximumCharacters = maximumCharacters;
    this.#onFlushed = onFlushed;
  }

  /** Whether nothing waits; while suspended it waits elsewhere. */
  get isEmpty(): boolean {
    return this.#records === undefined && this.#repeat !== NO_TRANSPORT;
  }

  /** Whether so much waits that the connection should not be given more to answer. */
  get isHalfFull(): boolean {
    return this.#characters * 2 > this.#maximumCharacters;
  }

  /** Whether as much waits as goes in one write, or there is no transport. */
  get isCongested(): boolean {
    return this.#characters >= WRITE_CHARACTERS || this.#repeat === NO_TRANSPORT;
  }

  /** Mark of the last record handed to the transport; 0 while that is not known of what was lost with another one. */
  get writtenMark(): number {
    return this.#repeat === undefined ? this.#writtenMark : 0;
  }

  /** Answers the record's mark, or 0 when the bound is reached. While suspended it is only counted. `isShared`: other queues hold the same value. */
  add(record: EncodedRecord, isShared: boolean, isPaced = false): number {
    if (this.#repeat === NO_TRANSPORT) {
      this.#addedMark += 1;
      return this.#addedMark;
    }
    if (isPaced) this.#pacedCharacters += record.length;
    else if (!this.#hasRoom(record.length) && !this.#makeRoom(record.length)) return 0;
    if (this.#records === undefined) {
      this.#records = [record];
      this.#isShared = isShared;
    } else {
      this.#records.push(record);
      this.#isShared &&= isShared;
    }
    this.#characters += record.length;
    this.#addedMark += 1;
    this.#markDirty();
    return this.#addedMark;
  }

  /** The transport can take more. */
  onWritable(): void {
    if (this.#records !== undefined) this.#markDirty();
  }

  /** Drops what waits. */
  clear(): void {
    this.#records = undefined;
    this.#characters = 0;
    this.#pacedCharacters = 0;
  }

  /** The transport is gone: drops what waits, and counts what is added until `restart`. */
  suspend(): void {
    this.clear();
    this.#repeat = NO_TRANSPORT;
  }

  /** There is a new transport. `records` go first: whatever may have been lost. They are left out of the account. */
  restart(transport: Transport, records: readonly EncodedRecord[]): void {
    this.#transport = transport;
    this.#records = [...records];
    this.#isShared = false;
    this.#characters = records.reduce((sum, record) => sum + record.length, 0);
    this.#pacedCharacters = this.#characters;
    this.#repeat = { left: records.length, mark: this.#addedMark };
    this.#markDirty();
  }

  flush(previous: Batch | undefined): Batch | undefined {
    this.#isDirty = false;
    if (this.#repeat === NO_TRANSPORT) return previous;
    let shareable = previous;
    while (this.#records !== undefined && this.#transport.isWritable) shareable = this.#write(shareable);
    if (this.#records === undefined) this.#onFlushed.onFlushed();
    return shareable;
  }

  #markDirty(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    this.#flusher.add(this);
  }

  #makeRoom(characters: number): boolean {
    while (this.#records !== undefined && this.#transport.isWritable) this.#write(undefined);
    // On an empty queue even a record above the bound passes: the bound is for what a client leaves lying.
    return this.#records === undefined || this.#hasRoom(characters);
  }

  #hasRoom(characters: number): boolean {
    return this.#characters - this.#pacedCharacters + characters <= this.#maximumCharacters;
  }

  /** Writes a part of what waits; answers the batch that the next queue may share. */
  #write(previous: Batch | undefined): Batch | undefined {
    const records = this.#take();
    if (this.#repeat === undefined) this.#writtenMark += records.length;
    else this.#advanceRepeat(this.#repeat, records.length);
    if (!this.#isShared) {
      this.#transport.write(new Batch(records));
      return previous;
    }
    const batch = previous?.holds(records) === true ? previous : new Batch(records);
    this.#transport.write(batch);
    return batch;
  }

  #advanceRepeat(repeat: Repeat, count: number): void {
    repeat.left -= count;
    if (repeat.left > 0) return;
    // The rest of the batch was added after the new transport.
    this.#writtenMark = repeat.mark - repeat.left;
    this.#repeat = undefined;
  }

  #take(): readonly EncodedRecord[] {
    const records = this.#records ?? [];
    if (this.#characters <= WRITE_CHARACTERS) {
      this.clear();
      return records;
    }
    let count = 0;
    let characters = 0;
    for (const record of records) {
      if (count > 0 && characters + record.length > WRITE_CHARACTERS) break;
      count += 1;
      characters += record.length;
    }
    this.#characters -= characters;
    this.#pacedCharacters = Math.min(this.#pacedCharacters, this.#characters);
    const part = records.splice(0, count);
    if (records.length === 0) this.#records = undefined;
    return part;
  }
}
