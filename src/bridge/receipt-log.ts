/**
 * Which messages one connection was sent and is not yet known to have, until proof comes for a mark. Proof moves the
 * internal `received` cursor once per conversation; what was acknowledged meanwhile needs no proof.
 *
 * Bounded: when it is full, entries that a later one covers are thinned out, oldest first. Losing an entry costs a
 * message repeated at the next connect, never a message.
 */

interface Entry {
  readonly mark: number;
  readonly otherId: string;
  readonly seq: number;
}

export const MAX_RECEIPT_ENTRIES = 256;

export class ReceiptLog {
  #entries: Entry[] = [];

  /** Entries waiting for proof. */
  get size(): number {
    return this.#entries.length;
  }

  /** A message of `otherId` went out under `mark`. Marks grow. */
  sent(mark: number, otherId: string, seq: number): void {
    if (this.#entries.length >= MAX_RECEIPT_ENTRIES) this.#thinOut();
    this.#entries.push({ mark, otherId, seq });
  }

  /** The user has acknowledged everything of `otherId` up to `seq`, on whatever device. */
  acknowledged(otherId: string, seq: number): void {
    const [first] = this.#entries;
    if (first === undefined) return;
    if (this.#entries.length === 1) {
      if (first.otherId === otherId && first.seq <= seq) this.#entries = [];
      return;
    }
    this.#entries = this.#entries.filter((entry) => entry.otherId !== otherId || entry.seq > seq);
  }

  /** Takes what is proven by `mark`: the highest seq by conversation. Undefined = nothing. */
  proven(mark: number): Map<string, number> | undefined {
    let count = 0;
    let highest: Map<string, number> | undefined;
    for (const entry of this.#entries) {
      if (entry.mark > mark) break;
      count += 1;
      highest ??= new Map();
      highest.set(entry.otherId, Math.max(entry.seq, highest.get(entry.otherId) ?? 0));
    }
    if (count > 0) this.#entries = this.#entries.slice(count);
    return highest;
  }

  /** Drops every second entry that a later one of the same conversation covers; if that frees nothing, the oldest half. */
  #thinOut(): void {
    const covered = new Set<string>();
    let drop = false;
    const kept = this.#entries.toReversed().filter(({ otherId }) => {
      drop = covered.has(otherId) && !drop;
      covered.add(otherId);
      return !drop;
    });
    const isThinner = kept.length < MAX_RECEIPT_ENTRIES;
    this.#entries = isThinner ? kept.toReversed() : this.#entries.slice(MAX_RECEIPT_ENTRIES / 2);
  }
}
