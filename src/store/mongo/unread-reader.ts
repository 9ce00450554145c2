/**
 * Counts unread messages without reading them: what the other person sent in all, less what they sent up to the read
 * cursor (both known from one message each), less the tombstones between.
 */
import type { Collections } from './collections.ts';
import { alternatives, CHUNK, chunks, countOf, cursorsOf, headOf, ONE_ANSWER, type Rows } from './conversations.ts';
import type { MessageDocument } from './documents.ts';
import { otherSide, type Side } from './keys.ts';

/** A conversation that one of its two looks at. */
export interface Looked {
  readonly c: string;
  readonly side: Side;
  readonly rows: Rows;
  readonly newest: MessageDocument;
}

export class UnreadReader {
  readonly #collections: Collections;

  constructor(collections: Collections) {
    this.#collections = collections;
  }

  /** Unread counts in the order of what was asked. */
  async count(looked: readonly Looked[]): Promise<number[]> {
    const behind = looked.map(({ c, side, rows, newest }) => {
      const { read } = cursorsOf(rows[side]);
      return { c, side, read, other: otherSide(side), head: headOf(newest) };
    });
    const asked = behind.filter(({ head, read }) => head.s > read);
    const [atCursor, deleted] = await Promise.all([
      this.#headsAt(asked.filter(({ read }) => read > 0)),
      this.#tombstones(asked),
    ]);
    return behind.map(({ c, head, other, read }) => {
      if (head.s <= read) return 0;
      const before = atCursor.get(c);
      return countOf(head, other) - (before === undefined ? 0 : countOf(before, other)) - (deleted.get(c) ?? 0);
    });
  }

  async #headsAt(places: readonly { c: string; read: number }[]) {
    const found = new Map<string, ReturnType<typeof headOf>>();
    for (const chunk of chunks(places, CHUNK)) {
      const filter = alternatives(chunk.map(({ c, read }) => ({ c, s: read })));
      const messages = await this.#collections.messages.find(filter, { ...ONE_ANSWER, projection: { t: 0 } }).toArray();
      for (const message of messages) found.set(message.c, headOf(message));
    }
    return found;
  }

  async #tombstones(places: readonly { c: string; other: Side; read: number; head: { s: number } }[]) {
    const counts = new Map<string, number>();
    for (const chunk of chunks(places, CHUNK)) {
      const filter = alternatives(
        chunk.map(({ c, other, read, head }) => ({ c, f: other, s: { $gt: read, $lte: head.s } })),
      );
      const tombstones = await this.#collections.tombstones
        .find(filter, { ...ONE_ANSWER, projection: { c: 1 } })
        .toArray();
      for (const { c } of tombstones) counts.set(c, (counts.get(c) ?? 0) + 1);
    }
    return counts;
  }
}
