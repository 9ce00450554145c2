/**
 * What is being written and told right now, one entry per batch. A message, the rows that announce it and the events that
 * tell of it are written one after the other; if an instance dies between, or a write ends without an answer, the entry
 * says where to finish what it began. Nothing acknowledged depends on it: it is for the message that was stored and not
 * told, so that a reader does not find it in one place only and a connected receiver gets it without coming back.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { newId } from '../../core/ids.ts';
import type { Collections } from './collections.ts';
import { type Conversations, chunks } from './conversations.ts';
import type { JournalDocument } from './documents.ts';
import { updateAll } from './failure.ts';
import { peopleOf } from './keys.ts';
import { type Announcement, announce } from './row-updates.ts';

/** An entry younger than this may be of a batch whose instance is about to have its first lease, in milliseconds. */
const SUSPECT_AFTER_MS = 1000;
const ENTRIES_AT_ONCE = 20;
/** Ids in one delete: far from the size that a command may have, also after hours in which nothing was published. */
const DELETED_AT_ONCE = 10_000;
/** A message waits at most this long between its time and the entry of its batch, in milliseconds. */
const QUEUED_MS = 60_000;
/** Whoever asks for a recovery waits this long for it; then it goes on by itself, in milliseconds. */
const PATIENCE_MS = 1000;

/** A conversation in which something may be stored and not published. */
export interface UnpublishedConversation {
  readonly people: readonly [string, string];
  /** No message that is not published is older. */
  readonly sinceMs: number;
  /** Ids of messages whose deletion may not be published, whatever their age. */
  readonly deleted: readonly string[];
}

/** An entry that is being made. */
export interface Begun {
  readonly id: string;
  /** Resolves when it is stored. */
  readonly stored: Promise<void>;
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
  /** Own entries of writes that nobody has published: of others, this instance takes care while it lives. */
  readonly #doubtful = new Set<string>();
  #written: string[] = [];
  /** Entries with nothing left to do, whose end could not be written yet. */
  #ended: string[] = [];
  #ending: Promise<void> | undefined;
  #recovering: Promise<void> | undefined;

  constructor(parts: JournalParts) {
    this.#parts = parts;
  }

  /** @param deleted id of the message that is about to be deleted, if that is what is written. */
  begin(conversations: readonly string[], nowMs: number, deleted?: string): Begun {
    const _id = newId(nowMs);
    const entry: JournalDocument = {
      _id,
      by: this.#parts.instanceId,
      at: nowMs,
      cs: conversations,
      ...(deleted !== undefined && { del: deleted }),
    };
    return { id: _id, stored: this.#parts.collections.journal.insertOne(entry).then(() => undefined) };
  }

  /** What was begun is written and about to be answered: the entry ends when its events are published. */
  written({ id }: Begun): void {
    this.#written.push(id);
    this.#ending ??= this.#endWritten();
  }

  /** What became of what was begun is not known: the next look finds out. */
  abandon({ id, stored }: Begun): void {
    const suspect = (): void => void this.#doubtful.add(id);
    stored.then(suspect, suspect);
  }

  /** Resolves when the entries of all that was written are ended, or left to others. */
  async settled(): Promise<void> {
    await this.#recovering;
    await this.#ending;
  }

  /**
   * Finishes what instances left half done that are dead, and what went wrong here; one at a time. Repeating it is harmless.
   * Resolves when it is done, or after a moment: what is to be published may have to wait for a broker that is away, and
   * whoever sweeps has other things to do.
   * @param dead ids of instances whose leases have run out.
   */
  async recover(nowMs: number, dead: readonly string[]): Promise<void> {
    this.#recovering ??= this.#recoverAll(nowMs, dead)
      .catch(this.#parts.onError)
      .finally(() => {
        this.#recovering = undefined;
      });
    await Promise.race([this.#recovering, delay(PATIENCE_MS, undefined, { ref: false })]);
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

  async #recoverAll(nowMs: number, dead: readonly string[]): Promise<void> {
    const { collections, instanceId } = this.#parts;
    await this.#end([]);
    for (const ids of chunks([...this.#doubtful], ENTRIES_AT_ONCE)) {
      const entries = await collections.journal.find({ _id: { $in: [...ids] } }).toArray();
      if (!(await this.#finish(entries))) return;
      for (const id of ids) this.#doubtful.delete(id);
    }
    const others = dead.filter((id) => id !== instanceId);
    if (others.length === 0) return;
    const left = { by: { $in: others }, at: { $lte: nowMs - SUSPECT_AFTER_MS } };
    let entries: JournalDocument[] = [];
    for await (const entry of collections.journal.find(left, { batchSize: ENTRIES_AT_ONCE })) {
      entries.push(entry);
      if (entries.length < ENTRIES_AT_ONCE) continue;
      if (!(await this.#finish(entries))) return;
      entries = [];
    }
    await this.#finish(entries);
  }

  /** Answers false if nobody could be told. */
  async #finish(entries: readonly JournalDocument[]): Promise<boolean> {
    if (entries.length === 0) return true;
    const since = new Map<string, number>();
    const deleted = new Map<string, string[]>();
    for (const { at, cs, del } of entries) {
      for (const c of cs) {
        since.set(c, Math.min(since.get(c) ?? Number.POSITIVE_INFINITY, at - QUEUED_MS));
        if (del === undefined) continue;
        deleted.set(c, [...(deleted.get(c) ?? []), del]);
        await this.#finishDeletion(c, del, at);
      }
    }
    await this.reveal(since.keys());
    const unpublished = [...since].map(([c, sinceMs]) => ({
      people: peopleOf(c),
      sinceMs,
      deleted: deleted.get(c) ?? [],
    }));
    if (!(await this.#parts.onUnpublished(unpublished))) return false;
    await this.#end(entries.map(({ _id }) => _id));
    return true;
  }

  /** A message that counts as deleted is deleted. */
  async #finishDeletion(c: string, _id: string, atMs: number): Promise<void> {
    const { messages, tombstones } = this.#parts.collections;
    const message = await messages.findOne({ c, _id });
    if (message === null || message.del !== undefined) return;
    const { f, s } = message;
    if ((await tombstones.findOne({ c, f, s })) === null) return;
    await messages.updateOne({ c, _id, del: { $exists: false } }, { $set: { t: '', del: atMs } });
  }

  async #endWritten(): Promise<void> {
    const { onError, published } = this.#parts;
    while (this.#written.length > 0) {
      // By then whoever waited for the batch has published.
      await new Promise((resolve) => setImmediate(resolve));
      const entries = this.#written;
      this.#written = [];
      try {
        if (await published()) await this.#end(entries);
        else for (const entry of entries) this.#doubtful.add(entry);
      } catch (error) {
        onError(error);
      }
    }
    this.#ending = undefined;
  }

  async #end(entries: readonly string[]): Promise<void> {
    const ended = [...this.#ended, ...entries];
    this.#ended = [];
    for (const ids of chunks(ended, DELETED_AT_ONCE)) {
      try {
        await this.#parts.collections.journal.deleteMany({ _id: { $in: [...ids] } });
      } catch (error) {
        this.#ended.push(...ids);
        this.#parts.onError(error);
      }
    }
  }
}
