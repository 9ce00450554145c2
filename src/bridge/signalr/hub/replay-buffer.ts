/**
 * The records of one connection that its client has not acknowledged, in the order in which they were sent, to be sent again when the
 * client comes back.
 *
 * Bounded: where the bound is reached the oldest are dropped. Then there is no replay without a hole until the client has acknowledged
 * everything that was dropped (`isWhole`). Never holds the sender up.
 */
import type { EncodedRecord } from '../protocol/protocol.ts';

export class ReplayBuffer {
  readonly #maximumBytes: number;
  #records: EncodedRecord[] = [];
  /** Index of the first record that is still held. */
  #head = 0;
  #bytes = 0;
  #sentId = 0;
  #acknowledgedId = 0;

  /** @param maximumBytes length of all records held, in bytes, of text in characters. */
  constructor(maximumBytes: number) {
    this.#maximumBytes = maximumBytes;
  }

  /** Number of the first record that is not acknowledged. */
  get firstId(): number {
    return this.#acknowledgedId + 1;
  }

  /** Whether every record that is not acknowledged is held. */
  get isWhole(): boolean {
    return this.#sentId - this.#acknowledgedId === this.#records.length - this.#head;
  }

  /** All that is held, oldest first. */
  get records(): readonly EncodedRecord[] {
    return this.#records.slice(this.#head);
  }

  /** Keeps a record; records are numbered 1, 2, 3… */
  add(record: EncodedRecord): void {
    this.#sentId += 1;
    this.#records.push(record);
    this.#bytes += record.length;
    while (this.#bytes > this.#maximumBytes) this.#drop();
  }

  /** The client has every record up to this number. What was never sent cannot be acknowledged. */
  acknowledge(id: number): void {
    const acknowledgedId = Math.min(Math.floor(id), this.#sentId);
    if (!(acknowledgedId > this.#acknowledgedId)) return;
    this.#acknowledgedId = acknowledgedId;
    while (this.#records.length - this.#head > this.#sentId - acknowledgedId) this.#drop();
  }

  clear(): void {
    this.#records = [];
    this.#head = 0;
    this.#bytes = 0;
  }

  #drop(): void {
    this.#bytes -= this.#records[this.#head]?.length ?? 0;
    this.#records[this.#head] = '';
    this.#head += 1;
    // Moving up what is left costs no more than what was dropped since the last time.
    if (this.#head * 2 < this.#records.length) return;
    this.#records.splice(0, this.#head);
    this.#head = 0;
  }
}
