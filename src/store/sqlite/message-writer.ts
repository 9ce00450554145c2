/**
 * Executes the writes of a MessageStore inside the transaction that its caller opened; the caller flushes the
 * conversations and commits. One item throws without having changed anything in memory that its rollback would miss:
 * after any throw the caller drops the conversations' caches.
 */
import type {
  Advanced,
  AdvanceOp,
  AppendOp,
  BindOp,
  Bound,
  Conflict,
  DeleteOp,
  Missing,
  OutcomeOf,
  WriteOp,
  WriteOutcome,
} from '../../core/ports.ts';
import { MAX_PASSED_PER_MOVE } from '../../core/ports.ts';
import type { Conversation, SideIndex } from './conversation-state.ts';
import { cursorsOf, moveCursor, noteAppended, noteDeleted } from './conversation-state.ts';
import type { ConversationTable } from './conversation-table.ts';
import type { Database } from './database.ts';
import { decodeId, encodeId } from './id-codec.ts';
import { MessageLookup } from './message-lookup.ts';

interface Passed {
  readonly id: string;
  readonly seq: number;
}

export class MessageWriter {
  readonly #conversations: ConversationTable;
  readonly #messages: MessageLookup;
  readonly #sql: ReturnType<typeof prepareStatements>;

  constructor(database: Database, conversations: ConversationTable) {
    this.#conversations = conversations;
    this.#messages = new MessageLookup(database);
    this.#sql = prepareStatements(database);
  }

  /** @throws for an item that cannot be stored, and when the database is in trouble. */
  execute(operation: WriteOp): WriteOutcome {
    switch (operation.type) {
      case 'append':
        return this.#append(operation);
      case 'advance':
        return this.#advance(operation);
      case 'delete':
        return this.#delete(operation);
      case 'bind':
        return this.#bind(operation);
    }
  }

  #append(operation: AppendOp): OutcomeOf['append'] {
    const { id, senderId, receiverId, text } = operation;
    if (senderId === receiverId) throw new TypeError('A message needs two people');
    const sender = this.#conversations.person(senderId);
    const receiver = this.#conversations.person(receiverId);
    const { conversation, side } = this.#conversations.open(sender, receiver);
    const seq = conversation.lastSeq + 1;
    if (operation.clientMessageId !== undefined) {
      const used = this.#claim(sender.key, operation.clientMessageId, conversation.key, seq, operation.digest ?? '');
      if (used !== undefined) return used;
    }
    const sentAtMs = Math.max(operation.atMs, conversation.lastAtMs);
    const ordinal = (side === 0 ? conversation.lowCount : conversation.lastSeq - conversation.lowCount) + 1;
    this.#sql.insertMessage.run(
      conversation.key,
      seq,
      encodeId(id),
      side,
      ordinal,
      sentAtMs,
      operation.withoutId ? 1 : 0,
      text,
    );
    noteAppended(conversation, side, id, sentAtMs);
    this.#conversations.touch(conversation, true);
    return { type: 'appended', message: { id, seq, senderId, receiverId, text, sentAtMs }, duplicate: false };
  }

  /** Takes a client id for the message at (conversation, seq); answers what it was used for if it is taken. */
  #claim(
    sender: number,
    clientId: string,
    conversation: number,
    seq: number,
    digest: string,
  ): OutcomeOf['append'] | undefined {
    const key = encodeId(clientId);
    if (this.#sql.claimClientId.run(sender, key, conversation, seq, digest) === 1) return undefined;
    const claimed = this.#sql.findClientId.get(sender, key);
    if (claimed === undefined || claimed[2] !== digest) return { type: 'conflict' };
    this.#conversations.flush();
    const message = this.#messages.bySeq(claimed[0], claimed[1]);
    if (message === undefined) throw new Error('A client id names a message that is not there');
    return { type: 'appended', message, duplicate: true };
  }

  #advance(operation: AdvanceOp): Advanced | Missing {
    const own = this.#conversations.findPerson(operation.personId);
    const other = this.#conversations.findPerson(operation.otherId);
    if (own === undefined || other === undefined) return { type: 'missing' };
    const found = this.#conversations.find(own, other);
    if (found === undefined || found.conversation.lastSeq === 0) return { type: 'missing' };
    if (!Number.isSafeInteger(operation.toSeq) || !Number.isSafeInteger(operation.atMs)) {
      throw new TypeError('toSeq and atMs must be integers');
    }
    const { conversation, side } = found;
    const { kind, withoutHoleBelow, atMs } = operation;
    const previous = cursorsOf(conversation.sides[side]);
    const from = previous[kind];
    let target = Math.min(operation.toSeq, conversation.lastSeq);
    if (target <= from || (withoutHoleBelow !== undefined && this.#hasHole(found, from, withoutHoleBelow))) {
      return { type: 'advanced', previous, current: previous, passed: [], more: false };
    }
    let passed: Passed[] = [];
    let more = false;
    if (kind !== 'received') {
      passed = this.#livingOfOther(conversation, side, from, target, MAX_PASSED_PER_MOVE + 1);
      if (passed.length > MAX_PASSED_PER_MOVE) {
        passed.length = MAX_PASSED_PER_MOVE;
        target = passed.at(-1)?.seq ?? target;
        more = true;
      }
    }
    moveCursor(conversation, side, kind, target, atMs);
    this.#conversations.touch(conversation, false);
    return { type: 'advanced', previous, current: cursorsOf(conversation.sides[side]), passed, more };
  }

  #hasHole(place: { conversation: Conversation; side: SideIndex }, above: number, below: number): boolean {
    return this.#livingOfOther(place.conversation, place.side, above, below - 1, 1).length > 0;
  }

  /** The other person's living messages with `above < seq <= upTo`, oldest first. */
  #livingOfOther(conversation: Conversation, side: SideIndex, above: number, upTo: number, limit: number): Passed[] {
    const other: SideIndex = side === 0 ? 1 : 0;
    if (conversation.sides[other].sent <= above || upTo <= above) return [];
    if (above < conversation.recentAfter) {
      const rows = this.#sql.livingOfOther.all(conversation.key, above, upTo, other, limit);
      return rows.map(([seq, id]) => ({ seq, id: decodeId(id) }));
    }
    const passed: Passed[] = [];
    for (let index = above - conversation.recentAfter; passed.length < limit; index += 1) {
      const message = conversation.recent[index];
      if (message === undefined || message.seq > upTo) break;
      if (message.sender === other && !message.deleted) passed.push({ seq: message.seq, id: message.id });
    }
    return passed;
  }

  #delete(operation: DeleteOp): OutcomeOf['delete'] {
    this.#conversations.flush();
    const message = this.#messages.byId(operation.messageId);
    if (message === undefined) return { type: 'missing' };
    if (message.deletedAtMs !== undefined) return { type: 'deleted', message, alreadyDeleted: true };
    const sender = this.#conversations.person(message.senderId);
    const receiver = this.#conversations.person(message.receiverId);
    const found = this.#conversations.find(sender, receiver);
    if (found === undefined) throw new Error('A message has no conversation');
    this.#sql.deleteMessage.run(operation.atMs, found.conversation.key, message.seq);
    noteDeleted(found.conversation, message.seq);
    return { type: 'deleted', message, alreadyDeleted: false };
  }

  #bind(operation: BindOp): Bound | Conflict | Missing {
    this.#conversations.flush();
    const place = this.#sql.findPlace.get(encodeId(operation.messageId));
    const sender = this.#conversations.findPerson(operation.senderId);
    if (place === undefined || sender === undefined) return { type: 'missing' };
    const [conversation, seq, senderKey] = place;
    if (senderKey !== sender.key) return { type: 'missing' };
    const key = encodeId(operation.clientMessageId);
    if (this.#sql.claimClientId.run(sender.key, key, conversation, seq, operation.digest) === 1)
      return { type: 'bound' };
    const claimed = this.#sql.findClientId.get(sender.key, key);
    const same = claimed?.[0] === conversation && claimed[1] === seq && claimed[2] === operation.digest;
    return same ? { type: 'bound' } : { type: 'conflict' };
  }
}

function prepareStatements(database: Database) {
  return {
    insertMessage: database.prepare(
      `INSERT INTO message (conversation, seq, id, sender, ordinal, sent_at_ms, without_id, text)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    deleteMessage: database.prepare(
      "UPDATE message SET text = '', deleted_at_ms = ? WHERE conversation = ? AND seq = ?",
    ),
    livingOfOther: database.prepare<readonly [seq: number, id: string | Uint8Array]>(
      `SELECT seq, id FROM message
       WHERE conversation = ? AND seq > ? AND seq <= ? AND sender = ? AND deleted_at_ms IS NULL
       ORDER BY seq LIMIT ?`,
    ),
    findPlace: database.prepare<readonly [conversation: number, seq: number, sender: number]>(
      `SELECT m.conversation, m.seq, iif(m.sender = 0, c.low, c.high)
       FROM message m JOIN conversation c ON c.key = m.conversation WHERE m.id = ?`,
    ),
    claimClientId: database.prepare(
      `INSERT INTO client_message (sender, client_id, conversation, seq, digest) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
    ),
    findClientId: database.prepare<readonly [conversation: number, seq: number, digest: string]>(
      'SELECT conversation, seq, digest FROM client_message WHERE sender = ? AND client_id = ?',
    ),
  };
}
