/** The reads of a MessageStore that show messages and conversations. */
import { invalidField } from '../../core/errors.ts';
import type { MessageDeleted, MessageSent } from '../../core/events.ts';
import type { ConversationView, Message, MessageView } from '../../core/message.ts';
import type { MessageRange } from '../../core/ports.ts';
import type { Claims } from './claims.ts';
import type { Collections } from './collections.ts';
import { alternatives, CHUNK, type Conversations, chunks, cursorsOf, ONE_ANSWER, type Rows } from './conversations.ts';
import { type MessageDocument, type RowDocument, toMessage } from './documents.ts';
import { conversationKey, otherSide, sideOf } from './keys.ts';
import type { Recent } from './recent.ts';
import type { Statuses } from './statuses.ts';
import type { Looked, UnreadReader } from './unread-reader.ts';

export interface MessageReaderParts {
  readonly collections: Collections;
  readonly conversations: Conversations;
  readonly claims: Claims;
  readonly statuses: Statuses;
  readonly unread: UnreadReader;
  readonly recent: Recent;
}

/** A conversation of the asking person. */
interface Own extends Looked {
  readonly other: string;
}

const NEWEST_FIRST = { c: -1, s: -1 } as const;
const OLDEST_FIRST = { c: 1, s: 1 } as const;
const LIST_ORDER = { person: 1, activity: -1, other: 1 } as const;
const OPEN_AT_ONCE = 1000;

export class MessageReader {
  readonly #parts: MessageReaderParts;

  constructor(parts: MessageReaderParts) {
    this.#parts = parts;
  }

  async findMessage(id: string): Promise<Message | undefined> {
    const { claims, collections, recent } = this.#parts;
    const c = await claims.placeOf(id);
    const message = c === undefined ? null : await collections.messages.findOne({ c, _id: id });
    if (message === null) return undefined;
    recent.noteMessage(message);
    return toMessage(message);
  }

  noteEvent(event: MessageSent | MessageDeleted): void {
    const { claims, recent } = this.#parts;
    if (event.type === 'messageDeleted') {
      recent.noteDeleted(conversationKey(event.senderId, event.receiverId), event.messageId);
      return;
    }
    const { id, receiverId, senderId, seq } = event.message;
    const c = conversationKey(senderId, receiverId);
    claims.note(id, c);
    recent.noteMessage({ _id: id, c, s: seq, f: sideOf(senderId, receiverId) });
  }

  async listMessages(userId: string, otherId: string, range: MessageRange): Promise<MessageView[]> {
    if (range.limit <= 0 || userId === otherId) return [];
    const { conversations, statuses } = this.#parts;
    const c = conversationKey(userId, otherId);
    const messages = await ('afterSeq' in range ? this.#after(c, range) : this.#before(c, range));
    if (messages.length === 0) return [];
    // Read after the messages: what a cursor says of them can only have grown meanwhile.
    const rows = (await conversations.rows([c])).get(c) ?? [undefined, undefined];
    return statuses.derive(rows, messages);
  }

  async findConversation(userId: string, otherId: string): Promise<ConversationView | undefined> {
    if (userId === otherId) return undefined;
    const c = conversationKey(userId, otherId);
    const [own] = await this.#look(userId, [{ c, other: otherId }]);
    if (own === undefined) return undefined;
    const [view] = await this.#views([own]);
    return view;
  }

  /** @throws ChatError `invalidArgument` for a cursor that no page gave. */
  async listConversations(
    userId: string,
    page: { readonly after?: string; readonly limit: number },
  ): Promise<{ conversations: ConversationView[]; next?: string }> {
    let place = page.after === undefined ? undefined : parseCursor(page.after);
    const found: { own: Own; row: RowDocument }[] = [];
    // Rows whose first message was never stored are left out, so it may take another look to fill a page.
    for (let more = page.limit > 0; more && found.length <= page.limit; ) {
      const wanted = page.limit + 1 - found.length;
      const rows = await this.#page(userId, place, wanted);
      const asked = rows.map((row) => ({ c: conversationKey(userId, row.other), other: row.other }));
      const looked = new Map((await this.#look(userId, asked)).map((own) => [own.other, own]));
      for (const row of rows) {
        const own = looked.get(row.other);
        if (own !== undefined) found.push({ own, row });
      }
      const last = rows.at(-1);
      if (last !== undefined) place = { activity: last.activity, other: last.other };
      more = rows.length === wanted;
    }
    const shown = found.slice(0, Math.max(0, page.limit));
    const last = found.length > page.limit ? shown.at(-1)?.row : undefined;
    return {
      conversations: await this.#views(shown.map(({ own }) => own)),
      ...(last !== undefined && { next: formatCursor(last) }),
    };
  }

  async unreadCounts(userId: string): Promise<{ otherId: string; count: number }[]> {
    const rows = await this.#parts.collections.rows.find({ person: userId, open: true }, ONE_ANSWER).toArray();
    const counts: { otherId: string; count: number }[] = [];
    for (const chunk of chunks(rows, OPEN_AT_ONCE)) {
      const asked = chunk.map(({ other }) => ({ c: conversationKey(userId, other), other }));
      const looked = await this.#look(userId, asked);
      const unread = await this.#parts.unread.count(looked);
      for (const [index, { other }] of looked.entries()) {
        const count = unread[index] ?? 0;
        if (count > 0) counts.push({ otherId: other, count });
      }
    }
    return counts;
  }

  async listPartners(userId: string, limit: number): Promise<string[]> {
    if (limit <= 0) return [];
    const { collections } = this.#parts;
    const rows = await collections.rows.find({ person: userId }, ONE_ANSWER).sort(LIST_ORDER).limit(limit).toArray();
    const partners: string[] = [];
    for (const chunk of chunks(rows, CHUNK)) {
      const first = alternatives(chunk.map(({ other }) => ({ c: conversationKey(userId, other), s: 1 })));
      const begun = new Set(
        (await collections.messages.find(first, { ...ONE_ANSWER, projection: { c: 1 } }).toArray()).map((m) => m.c),
      );
      for (const { other } of chunk) if (begun.has(conversationKey(userId, other))) partners.push(other);
    }
    return partners;
  }

  #after(c: string, { afterSeq, limit }: { afterSeq: number; limit: number }): Promise<MessageDocument[]> {
    const { messages } = this.#parts.collections;
    return messages
      .find({ c, s: { $gt: afterSeq } }, ONE_ANSWER)
      .sort(OLDEST_FIRST)
      .limit(limit)
      .toArray();
  }

  async #before(c: string, range: { beforeSeq?: number; skip?: number; limit: number }): Promise<MessageDocument[]> {
    const { messages } = this.#parts.collections;
    const skip = Math.max(0, range.skip ?? 0);
    let before = range.beforeSeq ?? Number.MAX_SAFE_INTEGER;
    if (skip > 0) {
      // No seq is missing in a conversation, so leaving out the newest is arithmetic.
      const [newest] = await messages
        .find({ c }, { projection: { s: 1 } })
        .sort(NEWEST_FIRST)
        .limit(1)
        .toArray();
      before = Math.min(before, (newest?.s ?? 0) + 1) - skip;
    }
    const found = await messages
      .find({ c, s: { $lt: before } }, ONE_ANSWER)
      .sort(NEWEST_FIRST)
      .limit(range.limit)
      .toArray();
    return found.reverse();
  }

  #page(userId: string, after: Place | undefined, limit: number): Promise<RowDocument[]> {
    const filter =
      after === undefined
        ? { person: userId }
        : {
            person: userId,
            activity: { $lte: after.activity },
            $or: [{ activity: { $lt: after.activity } }, { other: { $gt: after.other } }],
          };
    return this.#parts.collections.rows.find(filter, ONE_ANSWER).sort(LIST_ORDER).limit(limit).toArray();
  }

  /** The conversations that have a message, in the order asked. */
  async #look(userId: string, asked: readonly { c: string; other: string }[]): Promise<Own[]> {
    if (asked.length === 0) return [];
    const { conversations } = this.#parts;
    const rows = await conversations.rows(asked.map(({ c }) => c));
    const newest = await conversations.newest(withRows(rows));
    return asked.flatMap(({ c, other }) => {
      const message = newest.get(c);
      const pair = rows.get(c);
      if (message === undefined || pair === undefined) return [];
      return [{ c, other, side: sideOf(userId, other), rows: pair, newest: message }];
    });
  }

  async #views(own: readonly Own[]): Promise<ConversationView[]> {
    const { statuses, unread } = this.#parts;
    const [shown, counts] = await Promise.all([
      statuses.deriveNewest(own.map(({ rows, newest }) => ({ rows, message: newest }))),
      unread.count(own),
    ]);
    return own.flatMap(({ other, rows, side }, index) => {
      const lastMessage = shown[index];
      if (lastMessage === undefined) return [];
      return [
        {
          otherId: other,
          lastMessage,
          unreadCount: counts[index] ?? 0,
          own: cursorsOf(rows[side]),
          other: cursorsOf(rows[otherSide(side)]),
        },
      ];
    });
  }
}

/** Without rows nothing was ever announced, and nothing acknowledged. */
function withRows(rows: ReadonlyMap<string, Rows>): Map<string, Rows> {
  return new Map([...rows].filter(([, pair]) => pair.some((row) => row !== undefined)));
}

interface Place {
  readonly activity: number;
  readonly other: string;
}

function formatCursor({ activity, other }: Place): string {
  return `${activity.toString(36)}.${Buffer.from(other).toString('base64url')}`;
}

function parseCursor(cursor: string): Place {
  const [, activity = '', id = ''] = /^(-?[0-9a-z]{1,11})\.([\w-]{1,700})$/.exec(cursor) ?? [];
  const place = { activity: Number.parseInt(activity, 36), other: Buffer.from(id, 'base64url').toString() };
  if (activity === '' || formatCursor(place) !== cursor) {
    throw invalidField('page_token', 'must be a token from an earlier page');
  }
  return place;
}
