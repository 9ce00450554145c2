/**
 * Messages that are stored and that no stream may have: those of an instance that was slower than this one, or died. They are
 * read from the store and published by whoever meets the gap; a shared broker passes over what it has already.
 */
import type { MessageSent } from './events.ts';
import type { Message } from './message.ts';
import type { AppendEntry, MessageStore, StreamGap } from './ports.ts';

export interface MissingMessagesOptions {
  /** Where the newest message in a stream is not known, younger ones than this may be missing, in milliseconds. */
  readonly recentMs: number;
}

/** A longer gap is not filled: the streams begin anew, and their readers read the store. */
const MAX_FILL = 500;
/** Messages of a conversation that are looked at where it is not known which are missing. */
const MAX_LOOK = 100;

export class MissingMessages {
  readonly #store: Pick<MessageStore, 'listMessages'>;
  readonly #recentMs: number;

  constructor(store: Pick<MessageStore, 'listMessages'>, options: MissingMessagesOptions) {
    this.#store = store;
    this.#recentMs = options.recentMs;
  }

  /** What to append instead: what is missing, then what was left out; undefined if the gap is too long to fill. */
  async fill({ afterSeq, entries, userId }: StreamGap): Promise<AppendEntry[] | undefined> {
    const [first, ...rest] = entries;
    if (first === undefined || first.event.type !== 'messageSent') return [...entries];
    const { message } = first.event;
    const missing = await this.#before(message, userId, afterSeq);
    if (missing === undefined) return undefined;
    const place = { userId, afterSeq: afterSeq ?? 0 };
    return [...missing.map((event) => ({ ...place, event })), { ...place, event: first.event }, ...rest];
  }

  /** Living messages of two people that were sent since then, oldest first. */
  async since(userId: string, otherId: string, sinceMs: number): Promise<MessageSent[]> {
    return (await this.#newest(userId, otherId, {})).filter(({ message }) => message.sentAtMs >= sinceMs);
  }

  async #before(message: Message, userId: string, afterSeq: number | undefined): Promise<MessageSent[] | undefined> {
    const { receiverId, senderId, seq, sentAtMs } = message;
    const otherId = senderId === userId ? receiverId : senderId;
    if (afterSeq === undefined) {
      const before = await this.#newest(userId, otherId, { beforeSeq: seq });
      return before.filter((sent) => sent.message.sentAtMs >= sentAtMs - this.#recentMs);
    }
    const limit = seq - afterSeq - 1;
    if (limit > MAX_FILL) return undefined;
    if (limit <= 0) return [];
    return toEvents(await this.#store.listMessages(userId, otherId, { afterSeq, limit }));
  }

  async #newest(userId: string, otherId: string, range: { readonly beforeSeq?: number }): Promise<MessageSent[]> {
    return toEvents(await this.#store.listMessages(userId, otherId, { ...range, limit: MAX_LOOK }));
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
