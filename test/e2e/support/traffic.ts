/**
 * People who write to each other while things go wrong, and the account of it afterwards. Each sends one message after the
 * other and repeats it under its client id until it is acknowledged, as an app does; each listens through one of the doors
 * and comes back by itself, as the stock clients do; each acknowledges what comes.
 */
import { expect } from 'vitest';
import type { Message } from '../../../gen/carepro/chat/v1/types_pb.ts';
import type { Frame } from './event-feed.ts';
import { Page } from './page.ts';
import { ResumingClient } from './resuming-client.ts';
import { type TransportName, type TypedClient, typedClient } from './rpc-clients.ts';
import { tokenFor } from './server.ts';

/** A call without an answer is given up and repeated, in milliseconds. */
const CALL_TIMEOUT_MS = 3000;
const RETRY_MS = 50;
/** Everything must have arrived this long after the last fault, in milliseconds. */
const ARRIVAL_MS = 45_000;

interface Acknowledged {
  readonly id: string;
  readonly senderId: string;
  readonly receiverId: string;
  readonly text: string;
}

/** Through which door somebody listens. */
interface Ears extends AsyncDisposable {
  /** Ids of the messages to this person, in the order in which they first came. */
  arrived(): readonly string[];
  /** How often the connection had to be made anew. */
  reconnects(): number;
}

export interface TrafficOptions {
  readonly url: string;
  /** How many people; each writes to the next two. Default 6. */
  readonly people?: number;
  /** Pause between two sends of one person, in milliseconds. Default 20. */
  readonly pauseMs?: number;
  /** Begins the ids of people. Default `person`. */
  readonly name?: string;
}

/** What happened, as exact counts. */
export interface Account {
  readonly acknowledged: number;
  readonly arrived: number;
  /** Calls that failed or were not answered in time and were repeated. */
  readonly repeated: number;
  readonly reconnects: number;
}

export class Traffic implements AsyncDisposable {
  readonly userIds: readonly string[];
  readonly #url: string;
  readonly #pauseMs: number;
  readonly #acknowledged: Acknowledged[] = [];
  readonly #ears = new Map<string, Ears>();
  readonly #lowered: string[] = [];
  #clients: TypedClient[] = [];
  #sending: Promise<void>[] = [];
  #repeated = 0;
  #stopped = false;

  private constructor({ url, people = 6, pauseMs = 20, name = 'person' }: TrafficOptions) {
    this.#url = url;
    this.#pauseMs = pauseMs;
    this.userIds = Array.from({ length: people }, (_, index) => `${name}-${index}`);
  }

  /** Resolves when everybody listens and sends. */
  static async start(options: TrafficOptions): Promise<Traffic> {
    const traffic = new Traffic(options);
    for (const [index, userId] of traffic.userIds.entries()) {
      traffic.#ears.set(userId, await traffic.#listen(index, userId));
    }
    traffic.#sending = traffic.userIds.map((userId, index) => traffic.#send(index, userId));
    return traffic;
  }

  /** Messages acknowledged so far. */
  get acknowledged(): number {
    return this.#acknowledged.length;
  }

  /** Resolves when `count` more messages are acknowledged: the traffic flows. */
  async flows(count = 100): Promise<void> {
    const until = this.acknowledged + count;
    await expect.poll(() => this.acknowledged, { timeout: ARRIVAL_MS, interval: 10 }).toBeGreaterThanOrEqual(until);
  }

  /** Ends the sending, waits until everything has arrived, and compares all there is with what was acknowledged. */
  async settle(): Promise<Account> {
    this.#stopped = true;
    await Promise.all(this.#sending);
    await expect
      .poll(() => this.#missing(), { timeout: ARRIVAL_MS, interval: 50, message: 'acknowledged and not arrived' })
      .toEqual([]);
    for (const userId of this.userIds) await this.#compare(userId);
    // Whatever came of a send that was not acknowledged at first, it was repeated until it was.
    expect(this.#lowered).toEqual([]);
    const arrived = [...this.#ears.values()].reduce((sum, ears) => sum + ears.arrived().length, 0);
    expect(arrived).toBe(this.#acknowledged.length);
    return {
      acknowledged: this.#acknowledged.length,
      arrived,
      repeated: this.#repeated,
      reconnects: [...this.#ears.values()].reduce((sum, ears) => sum + ears.reconnects(), 0),
    };
  }

  /** Everybody leaves; resolves when nobody is online any more. */
  async leave(): Promise<void> {
    await this.#hangUp();
    using client = typedClient(this.#url, await tokenFor('observer', { role: 'Admin' }));
    await expect
      .poll(
        async () => {
          const { presences } = await client.chat.getPresence({ userIds: [...this.userIds] });
          return presences.filter(({ online }) => online).map(({ userId }) => userId);
        },
        { timeout: 20_000, interval: 100, message: 'still online' },
      )
      .toEqual([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#sending);
    await this.#hangUp();
    for (const client of this.#clients) client[Symbol.dispose]();
  }

  async #hangUp(): Promise<void> {
    for (const ears of this.#ears.values()) await ears[Symbol.asyncDispose]();
    this.#ears.clear();
  }

  #missing(): string[] {
    const arrived = new Map([...this.#ears].map(([userId, ears]) => [userId, new Set(ears.arrived())]));
    return this.#acknowledged
      .filter(({ id, receiverId }) => arrived.get(receiverId)?.has(id) !== true)
      .map(({ text }) => text);
  }

  /** What is stored for a person is what was acknowledged, once, in order, and arrived in that order. */
  async #compare(receiverId: string): Promise<void> {
    using client = typedClient(this.#url, await tokenFor(receiverId));
    const arrived = this.#ears.get(receiverId)?.arrived() ?? [];
    const senders = new Set(this.#acknowledged.filter((sent) => sent.receiverId === receiverId).map((s) => s.senderId));
    for (const otherUserId of senders) {
      const stored = (await history(client, otherUserId)).filter(({ senderId }) => senderId === otherUserId);
      const sent = this.#acknowledged.filter((each) => each.receiverId === receiverId && each.senderId === otherUserId);
      expect(stored.map(({ text }) => text)).toEqual(sent.map(({ text }) => text));
      expect(stored.map(({ id }) => id)).toEqual(sent.map(({ id }) => id));
      const own = new Set(stored.map(({ id }) => id));
      expect(arrived.filter((id) => own.has(id))).toEqual([...own]);
    }
  }

  async #send(index: number, senderId: string): Promise<void> {
    const token = await tokenFor(senderId);
    const transport: TransportName = index % 2 === 0 ? 'connect-node gRPC' : 'connect-node Connect over HTTP/2';
    let client = typedClient(this.#url, token, transport);
    this.#clients.push(client);
    for (let n = 0; !this.#stopped; n += 1) {
      const receiverId = this.userIds[(index + 1 + (n % 2)) % this.userIds.length] ?? '';
      const text = `${senderId} to ${receiverId}, ${n}`;
      for (;;) {
        try {
          const request = { receiverId, text, clientMessageId: `${n}` };
          const { message } = await client.chat.sendMessage(request, { timeoutMs: CALL_TIMEOUT_MS });
          this.#acknowledged.push({ id: message?.id ?? '', senderId, receiverId, text });
          break;
        } catch {
          this.#repeated += 1;
          client[Symbol.dispose]();
          await pause(RETRY_MS);
          client = typedClient(this.#url, token, transport);
          this.#clients.push(client);
        }
      }
      await pause(this.#pauseMs);
    }
  }

  async #listen(index: number, userId: string): Promise<Ears> {
    const token = await tokenFor(userId);
    if (index % 3 === 0) return pageEars(this.#url, token, userId);
    const kind = index % 3 === 1 ? 'streamEvents' : 'subscribe';
    const transport: TransportName = index % 2 === 0 ? 'connect-node gRPC' : 'connect-node Connect over HTTP/2';
    const read = new Map<string, 'delivered' | 'read'>();
    const mine: string[] = [];
    const seen = new Set<string>();
    const client = new ResumingClient({
      url: this.#url,
      token,
      kind,
      transport,
      onFrame: (frame) => {
        const message = messageOf(frame);
        if (message !== undefined && message.receiverId === userId && !seen.has(message.id)) {
          seen.add(message.id);
          mine.push(message.id);
          this.#acknowledge(token, message.id, mine.length);
        }
        this.#note(frame, userId, read);
      },
    });
    await client.until(() => (client.feed?.readies.length ?? 0) > 0);
    return {
      arrived: () => mine,
      reconnects: () => client.feeds.length - 1,
      [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
    };
  }

  /** Every tenth message is read, the others of ten are delivered. What fails is made up for by the next. */
  #acknowledge(token: string, messageId: string, count: number): void {
    if (count % 5 !== 0) return;
    const client = typedClient(this.#url, token);
    const { chat } = client;
    const upTo = { case: 'messageId', value: messageId } as const;
    const options = { timeoutMs: CALL_TIMEOUT_MS };
    const call = count % 10 === 0 ? chat.markRead({ upTo }, options) : chat.markDelivered({ upTo }, options);
    void call.catch(() => undefined).finally(() => client[Symbol.dispose]());
  }

  /** A status never goes back: what was read is not delivered later. */
  #note(frame: Frame, userId: string, read: Map<string, 'delivered' | 'read'>): void {
    if (frame.case !== 'event' || frame.value.event.case !== 'statusAdvanced') return;
    const { messageIds, senderId, status } = frame.value.event.value;
    if (senderId !== userId) return;
    for (const id of messageIds) {
      const now = status === 3 ? 'read' : 'delivered';
      if (read.get(id) === 'read' && now === 'delivered') this.#lowered.push(id);
      read.set(id, now);
    }
  }
}

async function history(client: TypedClient, otherUserId: string): Promise<Message[]> {
  const messages: Message[] = [];
  for (let more = true; more; ) {
    const page = await client.chat.listMessages({
      otherUserId,
      pageSize: 200,
      start: { case: 'afterSeq', value: messages.at(-1)?.seq ?? 0 },
    });
    messages.push(...page.messages);
    more = page.hasMore;
  }
  const seqs = messages.map(({ seq }) => seq);
  expect(seqs).toEqual(seqs.map((_, index) => index + 1));
  return messages;
}

function messageOf(frame: Frame): Message | undefined {
  return frame.case === 'event' && frame.value.event.case === 'messageSent'
    ? frame.value.event.value.message
    : undefined;
}

async function pageEars(url: string, token: string, userId: string): Promise<Ears> {
  let reconnects = 0;
  const page = new Page({ url, token, reconnects: true });
  page.hub.onreconnected(() => {
    reconnects += 1;
  });
  await page.hub.start();
  return {
    arrived: () => [
      ...new Set(page.all('ReceiveMessage').flatMap(([senderId, , id]) => (senderId === userId ? [] : [String(id)]))),
    ],
    reconnects: () => reconnects,
    [Symbol.asyncDispose]: () => page[Symbol.asyncDispose](),
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
