/**
 * Persons and conversations as the writer keeps them: rows behind bounded caches, changed in memory and written back
 * once per transaction and conversation, however many messages and moves it had in it.
 *
 * Invariant: between transactions memory equals the file. So after a rollback everything here must be forgotten
 * (`reset`), and entries leave the caches only after a commit (`trim`).
 */
import type { Conversation, Person, Side, SideIndex } from './conversation-state.ts';
import { isUnread } from './conversation-state.ts';
import type { Database, Statement } from './database.ts';
import { GenerationCache } from './generation-cache.ts';
import { decodeMoves, MAX_RECENT_MOVES } from './move-log.ts';

const MAX_PERSONS = 16_384;
const MAX_CONVERSATIONS = 8192;
/** Keys of two persons make one number key; exact up to 2^26 persons. */
const PAIR_BASE = 2 ** 26;

type Top = readonly [activity: number, conversation: number];

type ConversationRow = readonly [
  key: number,
  lastSeq: number,
  lastAtMs: number,
  lowCount: number,
  lowSent: number,
  lowReceived: number,
  lowDelivered: number,
  lowRead: number,
  lowActivity: number,
  highSent: number,
  highReceived: number,
  highDelivered: number,
  highRead: number,
  highActivity: number,
  moves: string,
];

const COLUMNS = `last_seq, last_at_ms, low_count,
  low_sent, low_received, low_delivered, low_read, low_activity,
  high_sent, high_received, high_delivered, high_read, high_activity, moves`;

export class ConversationTable {
  readonly #persons = new GenerationCache<string, Person>(MAX_PERSONS);
  readonly #conversations = new GenerationCache<number, Conversation>(MAX_CONVERSATIONS);
  /** What is on top of each person's list, by the person's key. */
  readonly #tops = new GenerationCache<number, Top>(MAX_PERSONS);
  /** Changed in this transaction. */
  readonly #dirty = new Set<Conversation>();
  /** Those with new messages, in the order of their newest. */
  readonly #active = new Set<Conversation>();
  #nextPerson: number | undefined;
  #nextConversation: number | undefined;
  readonly #sql: ReturnType<typeof prepareStatements>;

  constructor(database: Database) {
    this.#sql = prepareStatements(database);
  }

  /** The person with this id, if the store knows one. */
  findPerson(id: string): Person | undefined {
    const known = this.#persons.get(id);
    if (known !== undefined) return known;
    const row = this.#sql.findPerson.get(id);
    if (row === undefined) return undefined;
    const person: Person = { key: row[0], id };
    this.#persons.set(id, person);
    return person;
  }

  /** The person with this id, made if there is none. */
  person(id: string): Person {
    const known = this.findPerson(id);
    if (known !== undefined) return known;
    const key = this.#nextPerson ?? this.#sql.nextPerson.get()?.[0] ?? 1;
    this.#sql.insertPerson.run(key, id);
    this.#nextPerson = key + 1;
    const person: Person = { key, id };
    this.#persons.set(id, person);
    return person;
  }

  /** The conversation of two persons and the place of `own` in it, if they have one. */
  find(own: Person, other: Person): { conversation: Conversation; side: SideIndex } | undefined {
    const side: SideIndex = own.key < other.key ? 0 : 1;
    const [low, high] = side === 0 ? [own, other] : [other, own];
    const pair = low.key * PAIR_BASE + high.key;
    const known = this.#conversations.get(pair);
    if (known !== undefined) return { conversation: known, side };
    const row = this.#sql.findConversation.get(low.key, high.key);
    if (row === undefined) return undefined;
    const conversation = this.#load(row, low, high);
    this.#conversations.set(pair, conversation);
    return { conversation, side };
  }

  /** The conversation of two persons, made in memory if there is none; it is stored with its first message. */
  open(own: Person, other: Person): { conversation: Conversation; side: SideIndex } {
    const known = this.find(own, other);
    if (known !== undefined) return known;
    const side: SideIndex = own.key < other.key ? 0 : 1;
    const [low, high] = side === 0 ? [own, other] : [other, own];
    const key = this.#nextConversation ?? this.#sql.nextConversation.get()?.[0] ?? 1;
    this.#nextConversation = key + 1;
    const conversation: Conversation = {
      key,
      sides: [emptySide(low), emptySide(high)],
      lastSeq: 0,
      lastAtMs: 0,
      lowCount: 0,
      moves: '',
      moveCount: 0,
      recent: [],
      recentAfter: 0,
      stored: false,
    };
    this.#conversations.set(low.key * PAIR_BASE + high.key, conversation);
    return { conversation, side };
  }

  /** Must be called after every change. @param active true if it has a new message. */
  touch(conversation: Conversation, active: boolean): void {
    this.#dirty.add(conversation);
    if (!active) return;
    this.#active.delete(conversation);
    this.#active.add(conversation);
  }

  /** Writes what changed; before each commit, and before statements that read the rows of conversations. */
  flush(): void {
    for (const conversation of this.#active) {
      this.#moveUp(conversation, conversation.sides[0]);
      this.#moveUp(conversation, conversation.sides[1]);
    }
    this.#active.clear();
    for (const conversation of this.#dirty) {
      this.#markUnread(conversation, 0);
      this.#markUnread(conversation, 1);
      if (conversation.moveCount > MAX_RECENT_MOVES) this.#spillMoves(conversation);
      this.#save(conversation);
    }
    this.#dirty.clear();
  }

  /** Forgets all; after a rollback. */
  reset(): void {
    this.#dirty.clear();
    this.#active.clear();
    this.#persons.clear();
    this.#conversations.clear();
    this.#tops.clear();
    this.#nextPerson = undefined;
    this.#nextConversation = undefined;
  }

  /** Keeps the caches within their bounds; after a commit. */
  trim(): void {
    this.#persons.trim();
    this.#conversations.trim();
    this.#tops.trim();
  }

  /**
   * Puts the conversation on top of the person's list. If it is there already nothing is written: only the order counts,
   * not how often somebody wrote.
   */
  #moveUp(conversation: Conversation, side: Side): void {
    const { person } = side;
    const [topActivity, topConversation] = this.#tops.get(person.key) ?? this.#sql.topOfInbox.get(person.key) ?? [0, 0];
    if (topConversation !== conversation.key) {
      if (side.activity > 0) this.#sql.deleteInbox.run(person.key, side.activity);
      side.activity = topActivity + 1;
      this.#sql.insertInbox.run(person.key, side.activity, conversation.key);
    }
    this.#tops.set(person.key, [side.activity, conversation.key]);
  }

  #markUnread(conversation: Conversation, index: SideIndex): void {
    const side = conversation.sides[index];
    const unread = isUnread(conversation, index);
    if (unread === side.inUnread) return;
    const statement = unread ? this.#sql.insertUnread : this.#sql.deleteUnread;
    statement.run(side.person.key, conversation.key);
    side.inUnread = unread;
  }

  #spillMoves(conversation: Conversation): void {
    for (const move of decodeMoves(conversation.moves)) {
      this.#sql.insertMove.run(conversation.key, move.track, move.toSeq, move.atMs);
    }
    conversation.moves = '';
    conversation.moveCount = 0;
  }

  #save(conversation: Conversation): void {
    const [low, high] = conversation.sides;
    const statement = conversation.stored ? this.#sql.updateConversation : this.#sql.insertConversation;
    statement.run(
      conversation.lastSeq,
      conversation.lastAtMs,
      conversation.lowCount,
      low.sent,
      low.received,
      low.delivered,
      low.read,
      low.activity,
      high.sent,
      high.received,
      high.delivered,
      high.read,
      high.activity,
      conversation.moves,
      conversation.key,
      ...(conversation.stored ? [] : [low.person.key, high.person.key]),
    );
    conversation.stored = true;
  }

  #load(row: ConversationRow, low: Person, high: Person): Conversation {
    const [key, lastSeq, lastAtMs, lowCount, ls, lRcv, lDlv, lRead, lAct, hs, hRcv, hDlv, hRead, hAct, moves] = row;
    const conversation: Conversation = {
      key,
      sides: [
        { person: low, sent: ls, received: lRcv, delivered: lDlv, read: lRead, activity: lAct, inUnread: false },
        { person: high, sent: hs, received: hRcv, delivered: hDlv, read: hRead, activity: hAct, inUnread: false },
      ],
      lastSeq,
      lastAtMs,
      lowCount,
      moves,
      moveCount: decodeMoves(moves).length,
      recent: [],
      recentAfter: lastSeq,
      stored: true,
    };
    // The table was brought to this state when the row was last written.
    conversation.sides[0].inUnread = isUnread(conversation, 0);
    conversation.sides[1].inUnread = isUnread(conversation, 1);
    return conversation;
  }
}

function emptySide(person: Person): Side {
  return { person, sent: 0, received: 0, delivered: 0, read: 0, activity: 0, inUnread: false };
}

function prepareStatements(database: Database) {
  type Key = readonly [number];
  const insert: Statement = database.prepare(
    `INSERT INTO conversation (${COLUMNS}, key, low, high) VALUES (${'?, '.repeat(16)}?)`,
  );
  return {
    findPerson: database.prepare<Key>('SELECT key FROM person WHERE id = ?'),
    nextPerson: database.prepare<Key>('SELECT coalesce(max(key), 0) + 1 FROM person'),
    insertPerson: database.prepare('INSERT INTO person (key, id) VALUES (?, ?)'),
    findConversation: database.prepare<ConversationRow>(
      `SELECT key, ${COLUMNS} FROM conversation WHERE low = ? AND high = ?`,
    ),
    nextConversation: database.prepare<Key>('SELECT coalesce(max(key), 0) + 1 FROM conversation'),
    insertConversation: insert,
    updateConversation: database.prepare(`UPDATE conversation SET (${COLUMNS}) = (${'?, '.repeat(13)}?) WHERE key = ?`),
    topOfInbox: database.prepare<Top>(
      'SELECT activity, conversation FROM inbox WHERE person = ? ORDER BY activity DESC LIMIT 1',
    ),
    insertInbox: database.prepare('INSERT INTO inbox (person, activity, conversation) VALUES (?, ?, ?)'),
    deleteInbox: database.prepare('DELETE FROM inbox WHERE person = ? AND activity = ?'),
    insertUnread: database.prepare('INSERT INTO unread (person, conversation) VALUES (?, ?)'),
    deleteUnread: database.prepare('DELETE FROM unread WHERE person = ? AND conversation = ?'),
    insertMove: database.prepare('INSERT INTO cursor_move (conversation, track, to_seq, at_ms) VALUES (?, ?, ?, ?)'),
  };
}
