/**
 * What is being written and told right now, one entry per batch. A message, the rows that announce it and the events that
 * tell of it are written one after the other; if an instance dies between, or a write ends without an answer, the entry
 * says where to finish what it began. Nothing acknowledged depends on it: it is for the message that was stored and not
 * told, so that a reader does not find it in one place only and a connected receiver gets it without coming back.
 */
import { newId } from '../../core/ids.ts';
import type { Collections } from './collections.ts';
import type { Conversations } from './conversations.ts';
import { updateAll } from './failure.ts';
import { peopleOf } from './keys.ts';
import { type Announcement, announce } from './row-updates.ts';

/** An entry younger than this may be of a batch whose instance is about to have its first lease, in milliseconds. */
const SUSPECT_AFTER_MS = 1000;
const ENTRIES_AT_ONCE = 100;
/** A message waits at most this long between its time and the entry of its batch, in milliseconds. */
const QUEUED_MS = 60_000;

/** A conversation in which something may be stored and not published. */
export interface UnpublishedConversation {
  readonly people: readonly [string, string];
  /** No message that is not published is older. */
  readonly sinceMs: number;
}

export interface JournalParts {
  readonly collections: Collections;
  readonly conversations: Conversations;
  /** Whose entries these are: the id that the instance's lease has. */
  readonly instanceId: string;
  /**
   * Resolves when the events of all writes that were answered until now are where no crash of this instance reaches
   * them; false if some were given up.
   */
  readonly published: () => Promise<boolean>;
  /** Told of which conversations nobody else will publish what is new. False leaves it to the next look. */
  readonly onUnpublished: (conversations: readonly UnpublishedConversation[]) => Promise<boolean>;
  readonly onError: (error: unknown) => void;
}

export class Journal {
  readonly #parts: JournalParts;
  /** Entries of batches that run or whose events are on their way: nobody has to finish them while this instance lives. */
  readonly #cared = new Set<string>();
  #written: string[] = [];
  #ending: Promise<void> | undefined;

  constructor(parts: JournalParts) {
    this.#parts = parts;
  }

  /** @returns the entry's id. */
  async begin(conversations: readonly string[], nowMs: number): Promise<string> {
    const _id = newId(nowMs);
    this.#cared.add(_id);
    try {
      await this.#parts.collections.journal.insertOne({
        _id,
        by: this.#parts.instanceId,
        at: nowMs,
        cs: conversations,
      });
    } catch (error) {
      this.#cared.delete(_id);
      throw error;
    }
    return _id;
  }

  /** The batch is written and about to be answered: the entry ends when its events are published. */
  written(entry: string): void {
    this.#written.push(entry);
    this.#ending ??= this.#endWritten();
  }

  /** What became of the batch is not known: the next look finds out. */
  abandon(entry: string): void {
    this.#cared.delete(entry);
  }

  /** Resolves when the entries of all that was written are ended, or left to others. */
  async settled(): Promise<void> {
    await this.#ending;
  }

  /**
   * Finishes what instances left half done that are dead, and what went wrong here. Repeating it is harmless.
   * @param dead ids of instances whose leases have run out.
   */
  async recover(nowMs: number, dead: readonly string[]): Promise<void> {
    const { collections, instanceId, onUnpublished } = this.#parts;
    const by = { $in: [instanceId, ...dead.filter((id) => id !== instanceId)] };
    const found = await collections.journal.find({ by, at: { $lte: nowMs - SUSPECT_AFTER_MS } }).toArray();
    const suspects = found.filter(({ _id }) => !this.#cared.has(_id));
    for (let from = 0; from < suspects.length; from += ENTRIES_AT_ONCE) {
      const entries = suspects.slice(from, from + ENTRIES_AT_ONCE);
      const since = new Map<string, number>();
      for (const { at, cs } of entries) {
        for (const c of cs) since.set(c, Math.min(since.get(c) ?? Number.POSITIVE_INFINITY, at - QUEUED_MS));
      }
      await this.reveal(since.keys());
      const isTaken = await onUnpublished([...since].map(([c, sinceMs]) => ({ people: peopleOf(c), sinceMs })));
      if (!isTaken) return;
      await collections.journal.deleteMany({ _id: { $in: entries.map(({ _id }) => _id) } });
    }
  }

  /** Makes the rows announce what the messages say. */
  async reveal(conversations: Iterable<string>): Promise<void> {
    const { collections, conversations: all } = this.#parts;
    const rows = await all.rows(conversations);
    const newest = await all.newest(rows);
    const announcements = [...newest.values()].flatMap((message): Announcement[] => {
      const { c, at, f, n, s } = message;
      const pair = rows.get(c);
      if (pair?.every((row) => (row?.top ?? 0) >= s)) return [];
      // Both have something to read above their bound, unless all messages are of one of them.
      const incoming = [f === 1 || n < s ? s : undefined, f === 0 || n < s ? s : undefined] as const;
      const low = f === 0 ? n : s - n;
      return [{ c, at, top: s, incoming, head: { s, at, low } }];
    });
    await updateAll(collections.rows, announcements.flatMap(announce));
  }

  async #endWritten(): Promise<void> {
    const { collections, onError, published } = this.#parts;
    while (this.#written.length > 0) {
      // By then whoever waited for the batch has published.
      await new Promise((resolve) => setImmediate(resolve));
      const entries = this.#written;
      this.#written = [];
      try {
        if (await published()) await collections.journal.deleteMany({ _id: { $in: entries } });
      } catch (error) {
        onError(error);
      }
      for (const entry of entries) this.#cared.delete(entry);
    }
    this.#ending = undefined;
  }
}
