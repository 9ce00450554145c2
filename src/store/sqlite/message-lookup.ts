/** Single messages by id and by place; for the writer's connection and for the reader's. */
import type { Message } from '../../core/message.ts';
import type { Database } from './database.ts';
import { decodeId, encodeId } from './id-codec.ts';

/** Columns of `message` that make a `Message`, in the order of `MessageRow`. */
export const MESSAGE_COLUMNS = 'm.seq, m.id, m.sender, m.sent_at_ms, m.deleted_at_ms, m.text';

export type MessageRow = readonly [
  seq: number,
  id: string | Uint8Array,
  sender: 0 | 1,
  sentAtMs: number,
  deletedAtMs: number | null,
  text: string,
];

type MessageWithPeople = readonly [...MessageRow, low: string, high: string];

/** The message of a row, in the conversation of these two. */
export function toMessage(row: MessageRow, lowId: string, highId: string): Message {
  const [seq, id, sender, sentAtMs, deletedAtMs, text] = row;
  return {
    id: decodeId(id),
    seq,
    senderId: sender === 0 ? lowId : highId,
    receiverId: sender === 0 ? highId : lowId,
    text,
    sentAtMs,
    ...(deletedAtMs !== null && { deletedAtMs }),
  };
}

export class MessageLookup {
  readonly #sql: ReturnType<typeof prepareStatements>;

  constructor(database: Database) {
    this.#sql = prepareStatements(database);
  }

  byId(id: string): Message | undefined {
    return fromRow(this.#sql.byId.get(encodeId(id)));
  }

  bySeq(conversation: number, seq: number): Message | undefined {
    return fromRow(this.#sql.bySeq.get(conversation, seq));
  }
}

function fromRow(row: MessageWithPeople | undefined): Message | undefined {
  if (row === undefined) return undefined;
  const [seq, id, sender, sentAtMs, deletedAtMs, text, low, high] = row;
  return toMessage([seq, id, sender, sentAtMs, deletedAtMs, text], low, high);
}

function prepareStatements(database: Database) {
  const select = `SELECT ${MESSAGE_COLUMNS}, low.id, high.id
    FROM message m
    JOIN conversation c ON c.key = m.conversation
    JOIN person low ON low.key = c.low
    JOIN person high ON high.key = c.high`;
  return {
    byId: database.prepare<MessageWithPeople>(`${select} WHERE m.id = ?`),
    bySeq: database.prepare<MessageWithPeople>(`${select} WHERE m.conversation = ? AND m.seq = ?`),
  };
}
