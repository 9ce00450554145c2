/**
 * The reads that go along time instead of along one conversation: what a person has not had yet, and the newest send of
 * a text. `at` never decreases along `s`, so a place in time is found in a conversation by index.
 *
 * A page costs a look at each conversation that has something open or was active since the asked time, many of them in
 * one query, and then one page. What was announced when the rows were read is its bound, so no message is in it without
 * those that were acknowledged before it.
 */
import type { Message } from '../../core/message.ts';
import type { PendingPage, ReplayCursor } from '../../core/ports.ts';
import { allLimited } from './all-limited.ts';
import type { Collections } from './collections.ts';
import { alternatives, CHUNK, chunks, cursorsOf, ONE_ANSWER } from './conversations.ts';
import { type MessageDocument, toMessage } from './documents.ts';
import type { Journal } from './journal.ts';
import { conversationKey, otherSide, type Side, sideOf } from './keys.ts';

/** Places of a conversation looked at in the first query, and messages fetched of it at once later. */
const FIRST_LOOK = 16;
const REFILL = 32;
const LOOKS_AT_ONCE = 16;
const IN_TIME = { c: 1, at: 1, s: 1 } as const;

/** Where one conversation can go on. */
interface Source {
  readonly c: string;
  readonly senderId: string;
  readonly from: Side;
  /** Nothing of the page lies above. */
  readonly end: number;
  /** Looked at up to here. */
  above: number;
  messages: Message[];
}

export class PendingReader {
  readonly #collections: Collections;
  readonly #journal: Journal;

  constructor(collections: Collections, journal: Journal) {
    this.#collections = collections;
    this.#journal = journal;
  }

  async listPending(userId: string, page: PendingPage): Promise<Message[]> {
    if (page.limit <= 0) return [];
    const sources = await this.#sources(userId, page);
    await this.#look(sources, page);
    const pending: Message[] = [];
    while (pending.length < page.limit) {
      await allLimited(
        sources.filter((source) => source.messages.length === 0 && source.above < source.end),
        LOOKS_AT_ONCE,
        (source) => this.#refill(source),
      );
      const first = earliest(sources);
      const message = first?.messages.shift();
      if (message === undefined) break;
      pending.push(message);
    }
    return pending;
  }

  async findSendWithoutId(query: {
    readonly senderId: string;
    readonly receiverId: string;
    readonly text: string;
    readonly fromMs: number;
    readonly toMs: number;
  }): Promise<Message | undefined> {
    const { senderId, receiverId, text, fromMs, toMs } = query;
    const c = conversationKey(senderId, receiverId);
    const f = sideOf(senderId, receiverId);
    const [found] = await this.#collections.messages
      .find({ c, at: { $gte: fromMs, $lte: toMs }, f, t: text, w: true, del: { $exists: false } })
      .sort({ c: -1, at: -1, s: -1 })
      .limit(1)
      .toArray();
    if (found === undefined) return undefined;
    // Its own attempt may have died before it was announced; whoever gets it here takes it for acknowledged.
    await this.#journal.reveal([c]);
    return toMessage(found);
  }

  /** The conversations that can have a part in the page, and where each begins. */
  async #sources(userId: string, { above, after, orSentSinceMs }: PendingPage): Promise<Source[]> {
    const { rows } = this.#collections;
    const filter =
      orSentSinceMs === undefined
        ? { person: userId, open: true }
        : { person: userId, $or: [{ open: true }, { activity: { $gte: orSentSinceMs } }] };
    const found = await rows.find(filter, ONE_ANSWER).toArray();
    const sources: Source[] = [];
    const sinceTime: Source[] = [];
    for (const row of found) {
      if (after !== undefined && row.activity < after.sentAtMs) continue;
      const from = otherSide(sideOf(userId, row.other));
      const source: Source = {
        c: conversationKey(userId, row.other),
        senderId: row.other,
        from,
        end: row.in,
        above: cursorsOf(row)[above],
        messages: [],
      };
      if (orSentSinceMs !== undefined && row.activity >= orSentSinceMs) sinceTime.push(source);
      sources.push(source);
    }
    await allLimited(sinceTime, LOOKS_AT_ONCE, (source) => this.#beginSince(source, orSentSinceMs ?? 0));
    return sources.filter((source) => source.above < source.end);
  }

  /** What is above the cursor or young enough is all from the lower of two places on. */
  async #beginSince(source: Source, sinceMs: number): Promise<void> {
    const first = await this.#firstAt(source.c, sinceMs);
    if (first !== undefined) source.above = Math.min(source.above, first - 1);
  }

  async #firstAt(c: string, atMs: number): Promise<number | undefined> {
    const [first] = await this.#collections.messages
      .find({ c, at: { $gte: atMs } }, { projection: { s: 1 } })
      .sort(IN_TIME)
      .limit(1)
      .toArray();
    return first?.s;
  }

  /**
   * Fills the sources for the first time, many in one query: most hold only a few messages. Those whose first messages
   * were all on earlier pages are searched for the place to go on.
   */
  async #look(sources: readonly Source[], { after }: PendingPage): Promise<void> {
    for (const chunk of chunks(sources, CHUNK)) {
      const looks = chunk.map(({ c, above, end, from }) => ({
        c,
        s: { $gt: above, $lte: Math.min(end, above + FIRST_LOOK) },
        f: from,
        del: { $exists: false },
      }));
      const found = await this.#collections.messages.find(alternatives(looks), ONE_ANSWER).toArray();
      const byConversation = Map.groupBy(found, (message) => message.c);
      for (const source of chunk) {
        take(source, byConversation.get(source.c) ?? [], after);
        source.above = Math.min(source.end, source.above + FIRST_LOOK);
      }
    }
    if (after === undefined) return;
    const passed = sources.filter((source) => source.messages.length === 0 && source.above < source.end);
    await allLimited(passed, LOOKS_AT_ONCE, (source) => this.#goOn(source, after));
  }

  /** Moves the beginning behind the place where the page before ended. */
  async #goOn(source: Source, after: ReplayCursor): Promise<void> {
    const { senderId } = source;
    if (senderId === after.senderId) source.above = Math.max(source.above, after.seq);
    // Of equal times, the smaller sender's messages were all on the pages before.
    const fromMs = senderId < after.senderId ? after.sentAtMs + 1 : after.sentAtMs;
    const first = await this.#firstAt(source.c, fromMs);
    source.above = first === undefined ? source.end : Math.max(source.above, first - 1);
  }

  async #refill(source: Source): Promise<void> {
    const { c, above, end, from } = source;
    const found = await this.#collections.messages
      .find({ c, s: { $gt: above, $lte: end }, f: from, del: { $exists: false } }, ONE_ANSWER)
      .sort({ c: 1, s: 1 })
      .limit(REFILL)
      .toArray();
    take(source, found);
    source.above = found.length < REFILL ? end : (found.at(-1)?.s ?? end);
  }
}

function take(source: Source, found: readonly MessageDocument[], after?: ReplayCursor): void {
  const messages = found.map(toMessage).sort((a, b) => a.seq - b.seq);
  source.messages = after === undefined ? messages : messages.filter((message) => isBefore(after, message));
}

function earliest(sources: readonly Source[]): Source | undefined {
  let best: Source | undefined;
  for (const source of sources) {
    const [message] = source.messages;
    const [other] = best?.messages ?? [];
    if (message !== undefined && (other === undefined || isBefore(message, other))) best = source;
  }
  return best;
}

function isBefore(a: ReplayCursor, b: ReplayCursor): boolean {
  if (a.sentAtMs !== b.sentAtMs) return a.sentAtMs < b.sentAtMs;
  return a.senderId === b.senderId ? a.seq < b.seq : a.senderId < b.senderId;
}
