/**
 * The reads that go along time instead of along one conversation: what a person has not had yet, and the newest send of
 * a text. `sentAtMs` never decreases along seq, so a place in time is found in a conversation by bisection.
 *
 * A page costs a lookup per conversation that has unread messages or was active since the asked time, and then one page.
 */
import type { CursorKind, Message } from '../../core/message.ts';
import type { PendingPage, ReplayCursor } from '../../core/ports.ts';
import { ConversationLookup, sideOf } from './conversation-lookup.ts';
import type { Database } from './database.ts';
import { MESSAGE_COLUMNS, type MessageRow, toMessage } from './message-lookup.ts';
import { comparePlaces, type Source, SourceHeap } from './source-heap.ts';

/** Messages fetched at once from one conversation of a replay. */
const CHUNK = 32;
/**
 * A person's conversations are kept in the order of their activity, and `last_at_ms` follows it unless the clock was set
 * back. A walk along it goes on for this long past its end, in milliseconds, so that a small correction hides nothing.
 */
const CLOCK_SLACK_MS = 60_000;

/** Where one conversation can go on. */
interface Start {
  readonly key: number;
  /** Nothing below it belongs to the page. */
  readonly seq: number;
  /** No message of the page is older. */
  readonly sentAtMs: number;
  /** Set if messages at its time have to be compared with the place where the page goes on. */
  readonly after?: ReplayCursor;
}

export class PendingReader {
  readonly #conversations: ConversationLookup;
  readonly #sql: ReturnType<typeof prepareStatements>;

  constructor(database: Database) {
    this.#conversations = new ConversationLookup(database);
    this.#sql = prepareStatements(database);
  }

  listPending(userId: string, page: PendingPage): Message[] {
    if (page.limit <= 0) return [];
    const sources: Source[] = [];
    for (const start of this.#starts(userId, page)) {
      const source = this.#open(userId, start);
      if (source !== undefined) sources.push(source);
    }
    const heap = new SourceHeap(sources);
    const pending: Message[] = [];
    while (pending.length < page.limit) {
      const source = heap.first;
      const message = source?.messages[source.at];
      if (source === undefined || message === undefined) break;
      pending.push(message);
      source.at += 1;
      if (source.at === source.messages.length) this.#refill(source, message.seq, page.limit - pending.length);
      heap.settleFirst();
    }
    return pending;
  }

  findSendWithoutId(query: {
    readonly senderId: string;
    readonly receiverId: string;
    readonly text: string;
    readonly fromMs: number;
    readonly toMs: number;
  }): Message | undefined {
    const found = this.#conversations.between(query.senderId, query.receiverId);
    if (found === undefined) return undefined;
    const { record, own } = found;
    const last = this.#firstAfter(record.key, 1, record.lastSeq, (sentAtMs) => sentAtMs > query.toMs) - 1;
    for (const [withoutId, ...row] of this.#sql.backwards.iterate(record.key, last)) {
      const [, , sender, sentAtMs, deletedAtMs, text] = row;
      if (sentAtMs < query.fromMs) return undefined;
      if (withoutId === 1 && sender === own && deletedAtMs === null && text === query.text) {
        return toMessage(row, record.lowId, record.highId);
      }
    }
    return undefined;
  }

  /** Where the page goes on in each conversation that can have a part in it. */
  #starts(userId: string, page: PendingPage): Start[] {
    const { after, limit } = page;
    const starts: Start[] = [];
    const person = this.#conversations.personKey(userId);
    if (person === undefined) return starts;
    for (const [key, seq, sentAtMs, lastSeq, lastAtMs] of this.#firsts(person, page)) {
      if (after === undefined || sentAtMs > after.sentAtMs) {
        starts.push({ key, seq, sentAtMs });
      } else if (lastAtMs >= after.sentAtMs) {
        const from = this.#firstAfter(key, seq, lastSeq, (time) => time >= after.sentAtMs);
        starts.push({ key, seq: from, sentAtMs: after.sentAtMs, after });
      }
    }
    if (starts.length <= limit) return starts;
    // Every start is a message of its own, so what begins later than the first `limit` of them is on a later page.
    // Those that share the time of `after` may have nothing left there, so they are not counted.
    const times = starts.filter((start) => start.after === undefined).map((start) => start.sentAtMs);
    const latest = times.sort((a, b) => a - b)[limit - 1] ?? Number.POSITIVE_INFINITY;
    return starts.filter((start) => start.sentAtMs <= latest);
  }

  /** The first message of each conversation that has any. */
  #firsts(person: number, { above, orSentSinceMs }: PendingPage): Iterable<FirstRow> {
    const aboveCursor = this.#sql.starts[above].all(person);
    if (orSentSinceMs === undefined) return aboveCursor;
    // Times do not decrease along seq: what is above the cursor or young enough is all from the lower of two places on.
    const firsts = new Map(aboveCursor.map((row) => [row[0], row]));
    for (const [key, side, lastSeq, lastAtMs] of this.#sql.inbox.iterate(person)) {
      if (lastAtMs < orSentSinceMs - CLOCK_SLACK_MS) break;
      if (lastAtMs < orSentSinceMs) continue;
      const known = firsts.get(key);
      if (known !== undefined && known[2] < orSentSinceMs) continue;
      const from = this.#firstAfter(key, 1, lastSeq, (time) => time >= orSentSinceMs);
      const [row] = this.#sql.firstLiving.all(key, side, from);
      if (row !== undefined) firsts.set(key, [key, ...row, lastSeq, lastAtMs]);
    }
    return firsts.values();
  }

  #open(userId: string, start: Start): Source | undefined {
    const record = this.#conversations.byKey(start.key);
    if (record === undefined) return undefined;
    const own = sideOf(record, userId);
    const senderId = own === 0 ? record.highId : record.lowId;
    const { after } = start;
    let from = start.seq;
    if (after !== undefined) {
      const isAfter = (sentAtMs: number, seq: number): boolean => comparePlaces({ sentAtMs, senderId, seq }, after) > 0;
      from = this.#firstAfter(record.key, from, record.lastSeq, isAfter);
    }
    const source: Source = { conversation: { record, own }, senderId, messages: [], at: 0 };
    // Most replays have a message or two of each sender: the first fetch is small.
    this.#refill(source, from - 1, 2);
    return source.messages.length === 0 ? undefined : source;
  }

  /** Replaces what was taken from a source by what follows `above`. */
  #refill(source: Source, above: number, wanted: number): void {
    source.messages.length = 0;
    source.at = 0;
    if (wanted <= 0) return;
    const { record, own } = source.conversation;
    const rows = this.#sql.living.all(record.key, own === 0 ? 1 : 0, above, Math.min(wanted, CHUNK));
    for (const row of rows) source.messages.push(toMessage(row, record.lowId, record.highId));
  }

  /** The first seq in `from..to` whose time answers true (all later ones do too); `to + 1` if none. */
  #firstAfter(
    conversation: number,
    from: number,
    to: number,
    isAfter: (sentAtMs: number, seq: number) => boolean,
  ): number {
    let low = from;
    let high = to + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const row = this.#sql.time.get(conversation, middle);
      if (row !== undefined && isAfter(row[0], middle)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** Where what is pending begins in a conversation, and where the conversation ends. */
type FirstRow = readonly [key: number, seq: number, sentAtMs: number, lastSeq: number, lastAtMs: number];

function prepareStatements(database: Database) {
  // Received and delivered never stand below read, so whatever is pending by any cursor is unread.
  const starts = (kind: CursorKind) =>
    database.prepare<FirstRow>(
      `SELECT c.key, m.seq, m.sent_at_ms, c.last_seq, c.last_at_ms
       FROM unread u
       CROSS JOIN conversation c ON c.key = u.conversation
       CROSS JOIN message m ON m.conversation = c.key AND m.seq = (
         SELECT x.seq FROM message x
         WHERE x.conversation = c.key AND x.seq > iif(c.low = u.person, c.low_${kind}, c.high_${kind})
           AND x.sender = (c.low = u.person) AND x.deleted_at_ms IS NULL
         ORDER BY x.seq LIMIT 1)
       WHERE u.person = ?`,
    );
  return {
    starts: { received: starts('received'), delivered: starts('delivered'), read: starts('read') },
    living: database.prepare<MessageRow>(
      `SELECT ${MESSAGE_COLUMNS} FROM message m
       WHERE conversation = ? AND sender = ? AND seq > ? AND deleted_at_ms IS NULL ORDER BY seq LIMIT ?`,
    ),
    inbox: database.prepare<readonly [key: number, otherSide: number, lastSeq: number, lastAtMs: number]>(
      `SELECT c.key, c.low = i.person, c.last_seq, c.last_at_ms
       FROM inbox i CROSS JOIN conversation c ON c.key = i.conversation
       WHERE i.person = ? ORDER BY i.activity DESC`,
    ),
    firstLiving: database.prepare<readonly [seq: number, sentAtMs: number]>(
      `SELECT seq, sent_at_ms FROM message
       WHERE conversation = ? AND sender = ? AND seq >= ? AND deleted_at_ms IS NULL ORDER BY seq LIMIT 1`,
    ),
    time: database.prepare<readonly [number]>('SELECT sent_at_ms FROM message WHERE conversation = ? AND seq = ?'),
    backwards: database.prepare<readonly [withoutId: number, ...MessageRow]>(
      `SELECT m.without_id, ${MESSAGE_COLUMNS} FROM message m WHERE conversation = ? AND seq <= ? ORDER BY seq DESC`,
    ),
  };
}
