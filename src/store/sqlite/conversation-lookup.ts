/** Rows of persons and conversations as the reader needs them; each read sees the file as it is, nothing is cached. */
import type { Cursors } from '../../core/message.ts';
import type { SideIndex } from './conversation-state.ts';
import type { Database } from './database.ts';
import type { CursorState } from './statuses.ts';

/** A conversation as its row tells it. */
export interface ConversationRecord extends CursorState {
  readonly lowId: string;
  readonly highId: string;
  readonly lastSeq: number;
  /** Messages of the low person. */
  readonly lowCount: number;
  /** Seq of each one's own newest message. */
  readonly sent: readonly [number, number];
  readonly cursors: readonly [Cursors, Cursors];
}

/** A conversation and which of the two asks. */
export interface OwnConversation {
  readonly record: ConversationRecord;
  readonly own: SideIndex;
}

type Row = readonly [
  key: number,
  lowId: string,
  highId: string,
  lastSeq: number,
  lowCount: number,
  lowSent: number,
  lowReceived: number,
  lowDelivered: number,
  lowRead: number,
  highSent: number,
  highReceived: number,
  highDelivered: number,
  highRead: number,
  moves: string,
];

const SELECT = `c.key, low.id, high.id, c.last_seq, c.low_count,
  c.low_sent, c.low_received, c.low_delivered, c.low_read,
  c.high_sent, c.high_received, c.high_delivered, c.high_read, c.moves`;
const PEOPLE = 'JOIN person low ON low.key = c.low JOIN person high ON high.key = c.high';

export class ConversationLookup {
  readonly #sql: ReturnType<typeof prepareStatements>;

  constructor(database: Database) {
    this.#sql = prepareStatements(database);
  }

  personKey(id: string): number | undefined {
    return this.#sql.person.get(id)?.[0];
  }

  between(userId: string, otherId: string): OwnConversation | undefined {
    const own = this.personKey(userId);
    const other = this.personKey(otherId);
    if (own === undefined || other === undefined) return undefined;
    const row = this.#sql.byPair.get(Math.min(own, other), Math.max(own, other));
    return row === undefined ? undefined : { record: toRecord(row), own: own < other ? 0 : 1 };
  }

  byKey(key: number): ConversationRecord | undefined {
    const row = this.#sql.byKey.get(key);
    return row === undefined ? undefined : toRecord(row);
  }

  /** A person's conversations below a place in the list, newest activity first, with their places. */
  inbox(userId: string, below: number, limit: number): (OwnConversation & { readonly activity: number })[] {
    const own = this.personKey(userId);
    if (own === undefined) return [];
    return this.#sql.inbox.all(own, below, limit).map(([activity, ...row]) => {
      const record = toRecord(row);
      return { record, own: sideOf(record, userId), activity };
    });
  }

  /** Conversations in which the other person has a message above the own read cursor. */
  *unread(userId: string): Iterable<OwnConversation> {
    const own = this.personKey(userId);
    if (own === undefined) return;
    for (const row of this.#sql.unread.iterate(own)) {
      const record = toRecord(row);
      yield { record, own: sideOf(record, userId) };
    }
  }

  partners(userId: string, limit: number): string[] {
    const own = this.personKey(userId);
    return own === undefined ? [] : this.#sql.partners.all(own, own, limit).map(([id]) => id);
  }
}

/** Which of the two a person is. */
export function sideOf(record: ConversationRecord, userId: string): SideIndex {
  return record.lowId === userId ? 0 : 1;
}

function toRecord(row: Row): ConversationRecord {
  const [key, lowId, highId, lastSeq, lowCount, ls, lReceived, lDelivered, lRead, hs, hReceived, hDelivered, hRead] =
    row;
  return {
    key,
    lowId,
    highId,
    lastSeq,
    lowCount,
    sent: [ls, hs],
    cursors: [
      { received: lReceived, delivered: lDelivered, read: lRead },
      { received: hReceived, delivered: hDelivered, read: hRead },
    ],
    moves: row[13],
  };
}

function prepareStatements(database: Database) {
  return {
    person: database.prepare<readonly [number]>('SELECT key FROM person WHERE id = ?'),
    byPair: database.prepare<Row>(`SELECT ${SELECT} FROM conversation c ${PEOPLE} WHERE c.low = ? AND c.high = ?`),
    byKey: database.prepare<Row>(`SELECT ${SELECT} FROM conversation c ${PEOPLE} WHERE c.key = ?`),
    inbox: database.prepare<readonly [activity: number, ...Row]>(
      `SELECT i.activity, ${SELECT} FROM inbox i CROSS JOIN conversation c ON c.key = i.conversation ${PEOPLE}
       WHERE i.person = ? AND i.activity < ? ORDER BY i.activity DESC LIMIT ?`,
    ),
    unread: database.prepare<Row>(
      `SELECT ${SELECT} FROM unread u CROSS JOIN conversation c ON c.key = u.conversation ${PEOPLE} WHERE u.person = ?`,
    ),
    partners: database.prepare<readonly [string]>(
      `SELECT p.id FROM inbox i
       CROSS JOIN conversation c ON c.key = i.conversation
       JOIN person p ON p.key = iif(c.low = ?, c.high, c.low)
       WHERE i.person = ? ORDER BY i.activity DESC LIMIT ?`,
    ),
  };
}
