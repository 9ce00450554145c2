/**
 * What this instance lately read or wrote: cursors, and the last messages of conversations. It spares looks, and decides
 * nothing: cursors never fall, so what is kept is a lower bound, and who needs them exactly lets the write check them;
 * messages never change, but another instance may have deleted one.
 */
import { Lru } from '../../core/lru.ts';
import type { Cursors } from '../../core/message.ts';
import type { MessageDocument, RowDocument } from './documents.ts';
import type { Side } from './keys.ts';

const ROWS_KEPT = 16_384;
const CONVERSATIONS_KEPT = 8192;
/** Messages kept of a conversation. */
const MESSAGES_KEPT = 16;

/** The part of a row that says how far its person is. */
export type RowCursors = Readonly<Cursors> & Pick<RowDocument, 'in'>;

interface Known {
  readonly id: string;
  readonly seq: number;
  readonly sender: Side;
}

export class Recent {
  readonly #rows = new Lru<string, RowCursors>(ROWS_KEPT);
  /** Without a gap, ascending. A deleted one keeps its place. */
  readonly #messages = new Lru<string, (Known & { isDeleted: boolean })[]>(CONVERSATIONS_KEPT);

  /** Takes note of a row that was read, or of what a write has raised. */
  noteRow(key: string, { delivered, in: incoming, read, received }: RowCursors): void {
    const before = this.#rows.get(key);
    this.#rows.set(key, {
      received: Math.max(received, before?.received ?? 0),
      delivered: Math.max(delivered, before?.delivered ?? 0),
      read: Math.max(read, before?.read ?? 0),
      in: Math.max(incoming, before?.in ?? 0),
    });
  }

  /** Takes note of cursors that were raised, if the row is known. */
  noteRaised(key: string, cursors: Cursors): void {
    const before = this.#rows.get(key);
    if (before !== undefined) this.noteRow(key, { ...cursors, in: before.in });
  }

  forgetRow(key: string): void {
    this.#rows.delete(key);
  }

  rowOf(key: string): RowCursors | undefined {
    return this.#rows.get(key);
  }

  /** Takes note of a message that is durable. */
  noteMessage({ _id: id, c, del, f: sender, s: seq }: Pick<MessageDocument, '_id' | 'c' | 's' | 'f' | 'del'>): void {
    const noted = { id, seq, sender, isDeleted: del !== undefined };
    const known = this.#messages.get(c);
    const last = known?.at(-1)?.seq ?? 0;
    if (known === undefined || seq > last + 1) this.#messages.set(c, [noted]);
    else if (seq === last + 1) {
      known.push(noted);
      if (known.length > MESSAGES_KEPT) known.shift();
    }
  }

  noteDeleted(c: string, id: string): void {
    for (const message of this.#messages.get(c) ?? []) if (message.id === id) message.isDeleted = true;
  }

  /** Seq of the last message that is known of a conversation; 0 if none is. */
  lastOf(c: string): number {
    return this.#messages.get(c)?.at(-1)?.seq ?? 0;
  }

  /** Seq of the last message of one of the two that is known; 0 if none is. */
  lastBy(c: string, sender: Side): number {
    return this.#messages.get(c)?.findLast((message) => message.sender === sender)?.seq ?? 0;
  }

  /** Living messages of one of the two above a place and up to another; undefined if not all of them are known. */
  living(c: string, sender: Side, above: number, upTo: number): { id: string; seq: number }[] | undefined {
    const known = this.#messages.get(c);
    const [first] = known ?? [];
    if (known === undefined || first === undefined || first.seq > above + 1 || upTo > this.lastOf(c)) return undefined;
    return known
      .filter((message) => message.sender === sender && message.seq > above && message.seq <= upTo)
      .filter(({ isDeleted }) => !isDeleted)
      .map(({ id, seq }) => ({ id, seq }));
  }
}
