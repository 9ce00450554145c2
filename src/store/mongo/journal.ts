/**
 * What is being written right now, one entry per batch. A message and the rows that announce it are two writes; if an
 * instance dies between them, the entry tells the others where to finish what it began. Nothing acknowledged depends on
 * it: it is for the message that was stored and never acknowledged, so that a reader does not find it in one place only.
 */
import { newId } from '../../core/ids.ts';
import type { Collections } from './collections.ts';
import type { Conversations } from './conversations.ts';
import { updateAll } from './failure.ts';
import { type Announcement, announce } from './row-updates.ts';

/** An entry of this age, by the clocks of two instances, may be of a dead one, in milliseconds. */
const SUSPECT_AFTER_MS = 5000;
/** By then it has been looked at by everybody, whatever the clocks say, in milliseconds. */
const FORGET_AFTER_MS = 10 * 60_000;
const ENTRIES_AT_ONCE = 100;

export class Journal {
  readonly #collections: Collections;
  readonly #conversations: Conversations;

  constructor(collections: Collections, conversations: Conversations) {
    this.#collections = collections;
    this.#conversations = conversations;
  }

  /** @returns the entry's id. */
  async begin(conversations: readonly string[], nowMs: number): Promise<string> {
    const _id = newId(nowMs);
    await this.#collections.journal.insertOne({ _id, at: nowMs, cs: conversations });
    return _id;
  }

  async end(entry: string): Promise<void> {
    await this.#collections.journal.deleteOne({ _id: entry });
  }

  /** Finishes what instances that died left half written. Repeating it, also for a batch that is still alive, is harmless. */
  async recover(nowMs: number): Promise<void> {
    const suspects = this.#collections.journal
      .find({ at: { $lte: nowMs - SUSPECT_AFTER_MS } })
      .sort({ at: 1 })
      .limit(ENTRIES_AT_ONCE);
    for (const entry of await suspects.toArray()) {
      await this.reveal(entry.cs);
      if (entry.at <= nowMs - FORGET_AFTER_MS) await this.end(entry._id);
    }
  }

  /** Makes the rows announce what the messages say. */
  async reveal(conversations: Iterable<string>): Promise<void> {
    const rows = await this.#conversations.rows(conversations);
    const newest = await this.#conversations.newest(rows);
    const announcements = [...newest.values()].flatMap((message): Announcement[] => {
      const { c, at, f, n, s } = message;
      const pair = rows.get(c);
      if (pair?.every((row) => (row?.top ?? 0) >= s)) return [];
      // Both have something to read above their bound, unless all messages are of one of them.
      const incoming = [f === 1 || n < s ? s : undefined, f === 0 || n < s ? s : undefined] as const;
      const low = f === 0 ? n : s - n;
      return [{ c, at, top: s, incoming, head: { s, at, low } }];
    });
    await updateAll(this.#collections.rows, announcements.flatMap(announce));
  }
}
