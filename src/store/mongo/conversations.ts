/**
 * Conversations as the documents tell them. A conversation has no document of its own: each of its two people has a row.
 *
 * A row holds bounds, so that writers need no transaction: the message at `s` exists, and nothing lies above `top`. Where
 * the two agree the newest message is known; where they do not, the messages above `s` are read. So whatever a writer
 * that died left behind, what is read is what the messages say.
 */

import { Lru } from '../../core/lru.ts';
import type { Cursors } from '../../core/message.ts';
import type { Collections } from './collections.ts';
import type { MessageDocument, RowDocument } from './documents.ts';
import { pairKey, peopleOf, type Side } from './keys.ts';
import type { Recent } from './recent.ts';

/** The newest message of a conversation: its place, its time, and how many are the low person's. */
export interface Head {
  readonly s: number;
  readonly at: number;
  readonly low: number;
}

export type Rows = readonly [low: RowDocument | undefined, high: RowDocument | undefined];

/** What a row says of its person's cursors. */
export type CursorRow = Pick<RowDocument, 'received' | 'delivered' | 'read'>;

const NOTHING: Head = { s: 0, at: 0, low: 0 };
const HEADS_KEPT = 16_384;
/** Conversations asked for in one query. */
export const CHUNK = 200;
/** For reads that may find more than the 101 documents that a server puts into its first answer: one answer for all. */
export const ONE_ANSWER = { batchSize: 1000 } as const;

export class Conversations {
  readonly #collections: Collections;
  /** Heads that were read or written here: bounds like `s`, only fresher. */
  readonly #heads = new Lru<string, Head>(HEADS_KEPT);

  readonly #recent: Recent;

  constructor(collections: Collections, recent: Recent) {
    this.#collections = collections;
    this.#recent = recent;
  }

  /** The rows of both people of each conversation. */
  async rows(conversations: Iterable<string>): Promise<Map<string, Rows>> {
    const people = new Map([...new Set(conversations)].map((key) => [key, peopleOf(key)] as const));
    const keys = [...people.values()].flatMap(([low, high]) => [pairKey(low, high), pairKey(high, low)]);
    const found = new Map<string, RowDocument>();
    for (const _ids of chunks(keys, 2 * CHUNK)) {
      const persons = [...new Set(_ids.map((key) => peopleOf(key)[0]))];
      const rows = this.#collections.rows.find({ _id: { $in: _ids }, person: { $in: persons } }, ONE_ANSWER);
      for await (const row of rows) {
        found.set(row._id, row);
        this.#recent.noteRow(row._id, row);
      }
    }
    return new Map(
      [...people].map(([key, [low, high]]) => [key, [found.get(pairKey(low, high)), found.get(pairKey(high, low))]]),
    );
  }

  /** The newest message's place in each conversation, exactly. @param mistrust also asks where the rows agree. */
  async heads(rows: ReadonlyMap<string, Rows>, mistrust = false): Promise<Map<string, Head>> {
    const heads = new Map<string, Head>();
    const unsure: { c: string; above: number }[] = [];
    for (const [c, pair] of rows) {
      const known = this.#known(c, pair);
      heads.set(c, known);
      const top = Math.max(pair[0]?.top ?? 0, pair[1]?.top ?? 0);
      if (mistrust || top > known.s) unsure.push({ c, above: known.s });
    }
    for (const message of await this.#from(unsure.map(({ c, above }) => ({ c, from: above + 1 })))) {
      const head = headOf(message);
      if (head.s > (heads.get(message.c)?.s ?? 0)) this.note(message.c, head);
      if (head.s > (heads.get(message.c)?.s ?? 0)) heads.set(message.c, head);
    }
    return heads;
  }

  /** The newest message of each conversation that has one. */
  async newest(rows: ReadonlyMap<string, Rows>): Promise<Map<string, MessageDocument>> {
    const newest = new Map<string, MessageDocument>();
    const from = [...rows].map(([c, pair]) => ({ c, from: Math.max(1, this.#known(c, pair).s) }));
    for (const message of await this.#from(from)) {
      if (message.s > (newest.get(message.c)?.s ?? 0)) newest.set(message.c, message);
    }
    return newest;
  }

  /** Takes note of a message that is durable. */
  note(conversation: string, head: Head): void {
    if (head.s > (this.#heads.get(conversation)?.s ?? 0)) this.#heads.set(conversation, head);
  }

  /** A message of the conversation that is known to exist: the newest is this one or above. */
  bound(conversation: string): Head {
    return this.#heads.get(conversation) ?? NOTHING;
  }

  #known(conversation: string, rows: Rows): Head {
    let best = this.bound(conversation);
    for (const row of rows) if (row !== undefined && row.s > best.s) best = { s: row.s, at: row.at, low: row.low };
    return best;
  }

  async #from(places: readonly { c: string; from: number }[]): Promise<MessageDocument[]> {
    const found: MessageDocument[] = [];
    for (const chunk of chunks(places, CHUNK)) {
      const $or = chunk.map(({ c, from }) => ({ c, s: { $gte: from } }));
      found.push(...(await this.#collections.messages.find(alternatives($or), ONE_ANSWER).toArray()));
    }
    return found;
  }
}

export function headOf(message: MessageDocument): Head {
  return { s: message.s, at: message.at, low: message.f === 0 ? message.n : message.s - message.n };
}

export function cursorsOf(row: CursorRow | undefined): Cursors {
  // A row of a server whose updates are not atomic may hold a weaker cursor below a stronger one.
  const read = row?.read ?? 0;
  const delivered = Math.max(read, row?.delivered ?? 0);
  return { received: Math.max(delivered, row?.received ?? 0), delivered, read };
}

/** Messages that one of the two has sent up to a head. */
export function countOf(head: Head, side: Side): number {
  return side === 0 ? head.low : head.s - head.low;
}

/** A filter for any of these; `$or` of one is that one. */
export function alternatives<T extends object>(filters: readonly T[]): T | { $or: T[] } {
  const [only] = filters;
  return filters.length === 1 && only !== undefined ? only : { $or: [...filters] };
}

export function* chunks<T>(items: readonly T[], size: number): Iterable<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
