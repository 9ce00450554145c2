import { describe, expect, test } from 'vitest';
import { PageSends, type PageSendsDependencies } from '../../../src/bridge/page-sends.ts';
import type { SendAnswer } from '../../../src/bridge/unanswered-sends.ts';
import type { SendRequest, SendResult } from '../../../src/core/chat.ts';
import { ChatError } from '../../../src/core/errors.ts';
import type { Identity } from '../../../src/core/identity.ts';
import type { Message } from '../../../src/core/message.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';

const ann: Identity = { userId: 'ann', roles: new Set(['user']), expiresAtMs: Number.MAX_SAFE_INTEGER };
const REST = { receiverId: 'bob', text: 'ok', timestamp: 'T1' };

/** A core that keeps messages and client ids as the real one promises to, and can be held up. */
class FakeChat {
  readonly messages: Message[] = [];
  readonly withoutId = new Set<string>();
  readonly #ids = new Map<string, Message>();
  readonly #clock: FakeClock;
  held: PromiseWithResolvers<void> | undefined;
  failure: ChatError | undefined;
  /** Fails one send only. */
  failureOnce: ChatError | undefined;
  bindFailure: Error | undefined;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  async send(identity: Identity, request: SendRequest): Promise<SendResult> {
    await this.held?.promise;
    const failure = this.failure ?? this.failureOnce;
    this.failureOnce = undefined;
    if (failure !== undefined) throw failure;
    const key = `${identity.userId}/${request.clientMessageId}`;
    const known = request.clientMessageId === undefined ? undefined : this.#ids.get(key);
    if (known !== undefined) return { message: known, duplicate: true };
    const { receiverId, text } = request;
    const seq = this.messages.length + 1;
    const message: Message = {
      id: `m${seq}`,
      seq,
      senderId: identity.userId ?? '',
      receiverId,
      text,
      sentAtMs: this.#clock.now(),
    };
    this.messages.push(message);
    if (request.clientMessageId !== undefined) this.#ids.set(key, message);
    if (request.withoutId) this.withoutId.add(message.id);
    return { message, duplicate: false };
  }

  async bindClientId(message: Message, clientMessageId: string): Promise<void> {
    if (this.bindFailure !== undefined) throw this.bindFailure;
    this.#ids.set(`${message.senderId}/${clientMessageId}`, message);
  }

  async findSendWithoutId(query: { senderId: string; text: string; fromMs: number; toMs: number }) {
    return this.messages.findLast(
      ({ id, senderId, sentAtMs, text }) =>
        this.withoutId.has(id) &&
        senderId === query.senderId &&
        text === query.text &&
        sentAtMs >= query.fromMs &&
        sentAtMs <= query.toMs,
    );
  }
}

/** A hub call of a connection that began `ageMs` ago. */
class Call {
  readonly callbacks: (() => void)[] = [];

  onAnswered(callback: () => void): void {
    this.callbacks.push(callback);
  }

  /** The answer has reached the page. */
  prove(): void {
    for (const callback of this.callbacks) callback();
  }
}

function setUp(clock = new FakeClock(), chat = new FakeChat(clock), more: Partial<PageSendsDependencies> = {}) {
  const errors: unknown[] = [];
  const sends = new PageSends({
    chat,
    store: chat,
    messagePolicy: { review: ({ text }) => ({ text }) },
    clock,
    startedAtMs: clock.now(),
    previousSignOfLifeMs: undefined,
    onError: (error) => errors.push(error),
    ...more,
  });
  const connectedAtMs = clock.monotonicMs();
  const hub = (text = 'ok', call = new Call()): Promise<SendAnswer> =>
    sends.sendFromHub(ann, { receiverId: 'bob', text }, call, connectedAtMs);
  const rest = (change: Partial<typeof REST> = {}): Promise<string> =>
    sends.sendFromRest(ann, { ...REST, ...change }).then(({ message }) => message.id);
  return { chat, clock, errors, hub, rest, sends };
}

async function idOf(answer: Promise<SendAnswer>): Promise<string> {
  return (await answer).message.id;
}

describe('a REST send that repeats a hub send', () => {
  test('waits for the one in flight and is answered with its message', async () => {
    const { chat, hub, rest } = setUp();
    chat.held = Promise.withResolvers();
    const first = hub();
    const repeated = rest();
    chat.held.resolve();
    expect(await repeated).toBe(await idOf(first));
    expect(chat.messages).toHaveLength(1);
  });

  test('is answered with the message whose answer is not known to have arrived', async () => {
    const { chat, hub, rest } = setUp();
    const id = await idOf(hub());
    expect(await rest()).toBe(id);
    expect(chat.messages).toHaveLength(1);
  });

  test('and its own repetition with the same timestamp get the same message, though the hub send is used up', async () => {
    const { chat, hub, rest } = setUp();
    const first = await idOf(hub());
    const second = await idOf(hub());
    expect(first).not.toBe(second);
    expect(await rest({ timestamp: 'T1' })).toBe(first);
    expect(await rest({ timestamp: 'T1' })).toBe(first);
    expect(await rest({ timestamp: 'T2' })).toBe(second);
    expect(await rest({ timestamp: 'T2' })).toBe(second);
    expect(chat.messages).toHaveLength(2);
  });

  test('two repetitions at once share the hub send in flight', async () => {
    const { chat, hub, rest } = setUp();
    chat.held = Promise.withResolvers();
    const first = hub();
    const repeated = [rest(), rest()];
    chat.held.resolve();
    const id = await idOf(first);
    expect(await Promise.all(repeated)).toStrictEqual([id, id]);
    expect(chat.messages).toHaveLength(1);
  });

  test('is a message of its own once the answer is known to have arrived', async () => {
    const { chat, hub, rest, sends } = setUp();
    const call = new Call();
    const id = await idOf(hub('ok', call));
    expect(sends.unanswered).toBe(1);
    call.prove();
    expect(sends.unanswered).toBe(0);
    expect(await rest()).not.toBe(id);
    expect(chat.messages).toHaveLength(2);
  });

  test('is a message of its own after two minutes, and with another receiver or text', async () => {
    const { chat, clock, hub, rest } = setUp();
    await hub();
    await rest({ receiverId: 'cid', timestamp: 'T2' });
    await rest({ text: 'okay', timestamp: 'T3' });
    expect(chat.messages).toHaveLength(3);
    await clock.advance(120_001);
    await rest();
    expect(chat.messages).toHaveLength(4);
  });

  test('matches a hub send once only, also without a timestamp', async () => {
    const { chat, hub, sends } = setUp();
    const id = await idOf(hub());
    const asked = { receiverId: 'bob', text: 'ok' };
    expect(await idOf(sends.sendFromRest(ann, asked))).toBe(id);
    expect(await idOf(sends.sendFromRest(ann, asked))).not.toBe(id);
    expect(chat.messages).toHaveLength(2);
  });

  test('of a refused message is processed and refused again, three times in all', async () => {
    const { chat, hub, rest } = setUp();
    chat.failure = new ChatError('invalidArgument', 'TEXT_TOO_LONG', 'too long');
    await expect(hub()).rejects.toBe(chat.failure);
    await expect(rest()).rejects.toBe(chat.failure);
    await expect(rest()).rejects.toBe(chat.failure);
    expect(chat.messages).toHaveLength(0);
  });

  test('goes through when the hub send failed and the cause is gone', async () => {
    const { chat, hub, rest } = setUp();
    chat.held = Promise.withResolvers();
    chat.failure = new ChatError('unavailable', 'STORE_UNAVAILABLE', 'down');
    const first = hub();
    const failed = expect(first).rejects.toBe(chat.failure);
    const repeated = rest();
    chat.held.resolve();
    await failed;
    await expect(repeated).rejects.toBe(chat.failure);
    chat.failure = undefined;
    const id = await rest();
    expect(await rest()).toBe(id);
    expect(chat.messages).toHaveLength(1);
  });

  test('of a refused one is sent, although the answer to an equal text just before is not proven yet', async () => {
    const { chat, hub, rest } = setUp();
    const first = await idOf(hub());
    chat.failureOnce = new ChatError('unavailable', 'STORE_UNAVAILABLE', 'gone');
    await expect(hub()).rejects.toThrow();
    const second = await rest();
    expect(second).not.toBe(first);
    expect(chat.messages).toHaveLength(2);
    // Had the first answer been lost as well, its own repetition would still find it.
    expect(await rest({ timestamp: 'T2' })).toBe(first);
  });

  test('is answered even if its id cannot be bound, and this process remembers', async () => {
    const { chat, errors, hub, rest } = setUp();
    const id = await idOf(hub());
    chat.bindFailure = new Error('down');
    expect(await rest()).toBe(id);
    expect(await rest()).toBe(id);
    expect(errors).toStrictEqual([chat.bindFailure]);
  });
});

describe('REST sends among themselves', () => {
  test('with equal sender, receiver, text and timestamp are one message, also for another process', async () => {
    const { chat, clock, rest } = setUp();
    const id = await rest();
    expect(await rest()).toBe(id);
    await clock.advance(600_000);
    expect(await setUp(clock, chat).rest()).toBe(id);
    expect(chat.messages).toHaveLength(1);
  });

  test('differ by timestamp, text and receiver', async () => {
    const { chat, rest } = setUp();
    await rest();
    await rest({ timestamp: 'T2' });
    await rest({ text: 'ok!' });
    await rest({ receiverId: 'cid' });
    expect(chat.messages).toHaveLength(4);
  });

  test('without a timestamp are messages of their own', async () => {
    const { chat, sends } = setUp();
    await sends.sendFromRest(ann, { receiverId: 'bob', text: 'ok' });
    await sends.sendFromRest(ann, { receiverId: 'bob', text: 'ok' });
    expect(chat.messages).toHaveLength(2);
  });
});

describe('a hub send that arrives after its repetition', () => {
  test('is that message, once, on a connection the page had waited on', async () => {
    const { chat, clock, hub, rest } = setUp();
    await clock.advance(10_000);
    const id = await rest();
    expect(await idOf(hub())).toBe(id);
    expect(await idOf(hub())).not.toBe(id);
    expect(chat.messages).toHaveLength(2);
  });

  test('is a message of its own on a younger connection', async () => {
    const { chat, clock, hub, rest } = setUp();
    await clock.advance(9_000);
    await rest();
    await hub();
    expect(chat.messages).toHaveLength(2);
  });

  test('is a message of its own if the REST send repeated another hub send, or was refused with it', async () => {
    const { chat, clock, hub, rest } = setUp();
    await clock.advance(10_000);
    await hub();
    await rest();
    await hub();
    expect(chat.messages).toHaveLength(2);
    chat.failure = new ChatError('unavailable', 'STORE_UNAVAILABLE', 'down');
    await expect(hub('later')).rejects.toBe(chat.failure);
    await expect(rest({ text: 'later' })).rejects.toBe(chat.failure);
    chat.failure = undefined;
    const id = await rest({ text: 'later' });
    expect(await idOf(hub('later'))).not.toBe(id);
  });

  test('is sent itself if the repetition fails after all', async () => {
    const { chat, clock, hub, rest } = setUp();
    await clock.advance(10_000);
    chat.held = Promise.withResolvers();
    chat.failureOnce = new ChatError('unavailable', 'STORE_UNAVAILABLE', 'down');
    const failed = expect(rest()).rejects.toBe(chat.failureOnce);
    const late = hub();
    chat.held.resolve();
    await failed;
    expect(await idOf(late)).toBe('m1');
  });
});

describe('after a restart', () => {
  /** A first process that took `count` hub sends and died; the second starts two seconds later. */
  async function restart(count: number, deadForMs = 2000) {
    const first = setUp();
    for (let index = 0; index < count; index += 1) {
      await first.hub();
      await first.clock.advance(5);
    }
    const previousSignOfLifeMs = first.clock.now();
    await first.clock.advance(deadForMs);
    const second = setUp(first.clock, first.chat, { previousSignOfLifeMs });
    return { first, second };
  }

  test('a REST send finds the hub send that was committed before the crash, once', async () => {
    const { first, second } = await restart(1);
    expect(await second.rest()).toBe('m1');
    expect(await second.rest()).toBe('m1');
    expect(await second.rest({ timestamp: 'T2' })).toBe('m2');
    expect(first.chat.messages).toHaveLength(2);
  });

  test('equal hub sends are matched with one REST send each', async () => {
    const { first, second } = await restart(2);
    const ids = [await second.rest({ timestamp: 'T1' }), await second.rest({ timestamp: 'T2' })];
    expect(ids.toSorted()).toStrictEqual(['m1', 'm2']);
    expect(await second.rest({ timestamp: 'T3' })).toBe('m3');
    expect(first.chat.messages).toHaveLength(3);
  });

  test('only sends of the last seconds before the crash, and of the last two minutes, are meant', async () => {
    const { first, second } = await restart(1);
    await first.clock.advance(118_100);
    expect(await second.rest()).toBe('m2');
    const early = setUp();
    await early.hub();
    await early.clock.advance(15_001);
    const late = setUp(early.clock, early.chat, { previousSignOfLifeMs: early.clock.now() });
    expect(await late.rest()).toBe('m2');
  });

  test('sends of this process are not looked up: their answers are watched', async () => {
    const { second } = await restart(0);
    await second.clock.advance(1);
    const call = new Call();
    await second.hub('ok', call);
    call.prove();
    expect(await second.rest()).toBe('m2');
  });
});

test('sends with a client id of their own are left to the core', async () => {
  const { chat, sends } = setUp();
  const request = { receiverId: 'bob', text: 'ok', clientMessageId: 'c1' };
  const id = await idOf(sends.sendFromHub(ann, request, new Call(), 0));
  expect(sends.unanswered).toBe(0);
  expect(await idOf(sends.sendFromRest(ann, request))).toBe(id);
  expect(chat.withoutId.size).toBe(0);
  expect(chat.messages).toHaveLength(1);
});
