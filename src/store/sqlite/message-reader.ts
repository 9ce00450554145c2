/** The reads of a MessageStore that show messages and conversations. Each is asked inside a read transaction. */
import { invalidField } from '../../core/errors.ts';
import type { ConversationView, Message, MessageView } from '../../core/message.ts';
import type { MessageRange } from '../../core/ports.ts';
import { ConversationLookup, type ConversationRecord, type OwnConversation } from './conversation-lookup.ts';
import type { SideIndex } from './conversation-state.ts';
import type { Database } from './database.ts';
import { MESSAGE_COLUMNS, MessageLookup, type MessageRow, toMessage } from './message-lookup.ts';
import { type Sent, Statuses } from './statuses.ts';

export class MessageReader {
  readonly #conversations: ConversationLookup;
  readonly #messages: MessageLookup;
  readonly #statuses: Statuses;
  readonly #sql: ReturnType<typeof prepareStatements>;

  constructor(database: Database) {
    this.#conversations = new ConversationLookup(database);
    this.#messages = new MessageLookup(database);
    this.#statuses = new Statuses(database);
    this.#sql = prepareStatements(database);
  }

  findMessage(id: string): Message | undefined {
    return this.#messages.byId(id);
  }

  listMessages(userId: string, otherId: string, range: MessageRange): MessageView[] {
    const found = this.#conversations.between(userId, otherId);
    if (found === undefined || range.limit <= 0) return [];
    const { record } = found;
    if ('afterSeq' in range) {
      return this.#views(record, this.#sql.after.all(record.key, range.afterSeq, range.limit));
    }
    const before = Math.min(range.beforeSeq ?? Number.MAX_SAFE_INTEGER, record.lastSeq + 1);
    // No seq is missing in a conversation, so leaving out the newest is arithmetic and costs nothing.
    const rows = this.#sql.before.all(record.key, before - Math.max(0, range.skip ?? 0), range.limit);
    return this.#views(record, rows.reverse());
  }

  findConversation(userId: string, otherId: string): ConversationView | undefined {
    const found = this.#conversations.between(userId, otherId);
    return found === undefined ? undefined : this.#conversationView(found);
  }

  /** @throws ChatError `invalidArgument` for a cursor that no page gave. */
  listConversations(
    userId: string,
    page: { readonly after?: string; readonly limit: number },
  ): { conversations: ConversationView[]; next?: string } {
    const below = page.after === undefined ? Number.MAX_SAFE_INTEGER : parseCursor(page.after);
    if (page.limit <= 0) return { conversations: [] };
    const found = this.#conversations.inbox(userId, below, page.limit + 1);
    const last = found.length > page.limit ? found[page.limit - 1] : undefined;
    return {
      conversations: found.slice(0, page.limit).map((item) => this.#conversationView(item)),
      ...(last !== undefined && { next: last.activity.toString(36) }),
    };
  }

  unreadCounts(userId: string): { otherId: string; count: number }[] {
    const counts: { otherId: string; count: number }[] = [];
    for (const { record, own } of this.#conversations.unread(userId)) {
      const count = this.#unreadOf(record, own);
      if (count > 0) counts.push({ otherId: own === 0 ? record.highId : record.lowId, count });
    }
    return counts;
  }

  listPartners(userId: string, limit: number): string[] {
    return this.#conversations.partners(userId, limit);
  }

  #conversationView({ record, own }: OwnConversation): ConversationView {
    const other: SideIndex = own === 0 ? 1 : 0;
    const [lastMessage] = this.#views(record, this.#sql.before.all(record.key, record.lastSeq + 1, 1));
    if (lastMessage === undefined) throw new Error('A conversation has lost its newest message');
    return {
      otherId: own === 0 ? record.highId : record.lowId,
      lastMessage,
      unreadCount: this.#unreadOf(record, own),
      own: record.cursors[own],
      other: record.cursors[other],
    };
  }

  /**
   * The other person's living messages above the own read cursor: those sent in all, less those up to the cursor (both
   * known from the message at the cursor), less the tombstones between.
   */
  #unreadOf(record: ConversationRecord, own: SideIndex): number {
    const other: SideIndex = own === 0 ? 1 : 0;
    const { read } = record.cursors[own];
    if (record.sent[other] <= read) return 0;
    const total = other === 0 ? record.lowCount : record.lastSeq - record.lowCount;
    const [deleted] = this.#sql.tombstones.get(record.key, other, read) ?? [0];
    return total - this.#countUpTo(record.key, read, other) - deleted;
  }

  /** How many messages of one person stand at or below a seq. */
  #countUpTo(conversation: number, seq: number, of: SideIndex): number {
    if (seq === 0) return 0;
    const row = this.#sql.ordinal.get(conversation, seq);
    if (row === undefined) throw new Error('A cursor stands where no message is');
    const [sender, ordinal] = row;
    return sender === of ? ordinal : seq - ordinal;
  }

  #views(record: ConversationRecord, rows: readonly MessageRow[]): MessageView[] {
    const sent = rows.map((row): Sent => ({ message: toMessage(row, record.lowId, record.highId), sender: row[2] }));
    return this.#statuses.derive(record, sent);
  }
}

function parseCursor(cursor: string): number {
  const place = /^[0-9a-z]{1,10}$/.test(cursor) ? Number.parseInt(cursor, 36) : 0;
  if (place <= 0) throw invalidField('page_token', 'must be a token from an earlier page');
  return place;
}

function prepareStatements(database: Database) {
  return {
    before: database.prepare<MessageRow>(
      `SELECT ${MESSAGE_COLUMNS} FROM message m WHERE conversation = ? AND seq < ? ORDER BY seq DESC LIMIT ?`,
    ),
    after: database.prepare<MessageRow>(
      `SELECT ${MESSAGE_COLUMNS} FROM message m WHERE conversation = ? AND seq > ? ORDER BY seq LIMIT ?`,
    ),
    ordinal: database.prepare<readonly [sender: SideIndex, ordinal: number]>(
      'SELECT sender, ordinal FROM message WHERE conversation = ? AND seq = ?',
    ),
    tombstones: database.prepare<readonly [number]>(
      // Without statistics the planner would walk the conversation instead.
      `SELECT count(*) FROM message INDEXED BY message_tombstone
       WHERE conversation = ? AND sender = ? AND seq > ? AND deleted_at_ms IS NOT NULL`,
    ),
  };
}
