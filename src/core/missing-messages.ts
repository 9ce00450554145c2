/**
 * What is stored and may be in no stream: events of an instance that was slower than this one, or died. They are made anew
 * from the store and published by whoever meets the gap; a shared broker passes over what it has already.
 */
import type { MessageDeleted, MessageSent, StatusAdvanced, StreamEvent } from './events.ts';
import type { Message } from './message.ts';
import type { AppendEntry, MessageRange, MessageStore, StreamGap } from './ports.ts';

export interface MissingMessagesOptions {
  /** Where it is not known what a stream has, younger messages than this may be missing, in milliseconds. */
  readonly recentMs: number;
}

type Filled = Omit<AppendEntry, 'userId'>;

/** A longer gap is not filled: the streams begin anew, and their readers read the store. */
const MAX_FILL = 500;
/** Messages of a conversation that are looked at where it is not known which are missing. */
const MAX_LOOK = 100;

export class MissingMessages {
  readonly #store: Pick<MessageStore, 'findMessage' | 'listMessages'>;
  readonly #recentMs: number;

  constructor(store: Pick<MessageStore, 'findMessage' | 'listMessages'>, options: MissingMessagesOptions) {
    this.#store = store;
    this.#recentMs = options.recentMs;
  }

  /** What to append instead: what is missing, then what was left out; undefined if the gap is too long to fill. */
  async fill({ afterSeq, entries, userId }: StreamGap): Promise<AppendEntry[] | undefined> {
    const [first, ...rest] = entries;
    if (first === undefined) return [];
    const { event } = first;
    const filled =
      event.type === 'statusAdvanced'
        ? await this.#move(event, afterSeq)
        : await this.#messages(event, userId, afterSeq);
    return filled && [...filled.map((each) => ({ ...each, userId })), ...rest];
  }

  /** Living messages of two people that were sent since then, oldest first. */
  async since(userId: string, otherId: string, sinceMs: number): Promise<MessageSent[]> {
    const messages = await this.#store.listMessages(userId, otherId, { limit: MAX_LOOK });
    return toEvents(messages.filter(({ sentAtMs }) => sentAtMs >= sinceMs));
  }

  /** The deletions of those among the messages that are deleted. */
  async deletions(messageIds: readonly string[]): Promise<MessageDeleted[]> {
    const found = await Promise.all(messageIds.map((id) => this.#store.findMessage(id)));
    return found.flatMap((message): MessageDeleted[] => {
      if (message?.deletedAtMs === undefined) return [];
      const { deletedAtMs: atMs, id: messageId, receiverId, senderId, seq } = message;
      // Nobody deletes but who has sent.
      return [{ type: 'messageDeleted', messageId, seq, senderId, receiverId, byUserId: senderId, atMs }];
    });
  }

  /** The messages before a message or its deletion, then the event itself. */
  async #messages(event: StreamEvent, userId: string, afterSeq: number | undefined): Promise<Filled[] | undefined> {
    if (event.type !== 'messageSent' && event.type !== 'messageDeleted') return [{ event, afterSeq: 0 }];
    const { receiverId, senderId, seq } = event.type === 'messageSent' ? event.message : event;
    const from = afterSeq ?? 0;
    if (afterSeq !== undefined && seq - from - 1 > MAX_FILL) return undefined;
    const otherId = senderId === userId ? receiverId : senderId;
    const range: MessageRange =
      afterSeq === undefined ? { beforeSeq: seq, limit: MAX_LOOK } : { afterSeq, limit: Math.max(0, seq - from - 1) };
    const before = range.limit === 0 ? [] : await this.#store.listMessages(userId, otherId, range);
    const atMs = event.type === 'messageSent' ? event.message.sentAtMs : event.atMs;
    const sinceMs = afterSeq === undefined ? atMs - this.#recentMs : 0;
    const missing = toEvents(before.filter(({ sentAtMs }) => sentAtMs >= sinceMs));
    return [...missing, event].map((each) => ({ event: each, afterSeq: from }));
  }

  /** The same move, from where the stream has come to; of messages that were read since, it is not told that they were delivered. */
  async #move(event: StatusAdvanced, afterSeq: number | undefined): Promise<Filled[]> {
    const { readerId, senderId, status, upToSeq } = event;
    const fromSeq = afterSeq ?? event.fromSeq ?? 0;
    const limit = upToSeq - fromSeq;
    if (limit <= 0) return [];
    if (limit > MAX_FILL) return [{ event: { ...event, fromSeq }, afterSeq: fromSeq }];
    const messages = await this.#store.listMessages(readerId, senderId, { afterSeq: fromSeq, limit });
    const messageIds = messages
      .filter((each) => each.senderId === senderId && each.deletedAtMs === undefined)
      .filter((each) => status === 'read' || each.status !== 'read')
      .map(({ id }) => id);
    return [{ event: { ...event, fromSeq, messageIds }, afterSeq: fromSeq }];
  }
}

/** A message that was deleted meanwhile has nothing to show. */
function toEvents(messages: readonly Message[]): MessageSent[] {
  return messages
    .filter(({ deletedAtMs }) => deletedAtMs === undefined)
    .map(({ id, receiverId, senderId, sentAtMs, seq, text }) => ({
      type: 'messageSent',
      message: { id, seq, senderId, receiverId, text, sentAtMs },
    }));
}
