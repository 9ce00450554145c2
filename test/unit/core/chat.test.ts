import fc from 'fast-check';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { MemoryBroker } from '../../../src/broker/memory.ts';
import { Chat, type SendRequest } from '../../../src/core/chat.ts';
import type { StreamEvent, TransientEvent } from '../../../src/core/events.ts';
import { MAX_PASSED_PER_EVENT } from '../../../src/core/events.ts';
import { GroupCommit } from '../../../src/core/group-commit.ts';
import { DEFAULT_LIMITS } from '../../../src/core/limits.ts';
import type { MessageStatus } from '../../../src/core/message.ts';
import { noMetrics } from '../../../src/core/metrics.ts';
import { Policy } from '../../../src/core/policy.ts';
import type { MessagePolicy } from '../../../src/core/ports.ts';
import { Publisher } from '../../../src/core/publisher.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';
import { FakeMessageStore } from '../../fixtures/fake-message-store.ts';
import { identityOf } from '../../fixtures/identities.ts';
import { settle } from '../../fixtures/settle.ts';

let clock: FakeClock;
let store: FakeMessageStore;
let broker: MemoryBroker;
let chat: Chat;
let review: MessagePolicy['review'];

beforeEach(() => {
  clock = new FakeClock();
  store = new FakeMessageStore();
  broker = new MemoryBroker({ clock, maxEvents: 10_000 });
  review = ({ text }) => ({ text });
  chat = make();
});

function make(limits = DEFAULT_LIMITS): Chat {
  return new Chat({
    store,
    commits: new GroupCommit(store),
    publisher: new Publisher(broker, noMetrics, { onPublishFailed: () => undefined }, clock),
    policy: new Policy({ record: () => undefined }),
    messagePolicy: { review: (message) => review(message) },
    clock,
    limits,
    metrics: noMetrics,
  });
}

const alice = identityOf('alice');
const bob = identityOf('bob');
const eve = identityOf('eve');
const service = identityOf('gateway', 'Service');
const admin = identityOf('root', 'Admin');

async function send(text = 'hello', request: Partial<SendRequest> = {}): Promise<string> {
  const { message } = await chat.send(alice, { receiverId: 'bob', text, ...request });
  return message.id;
}

async function streamOf(userId: string): Promise<StreamEvent[]> {
  await settle();
  const { epoch } = await broker.top(userId);
  const history = await broker.readSince(userId, { epoch, offset: 0 }, 100_000);
  return history.entries.map((entry) => entry.event);
}

const typesOf = (events: readonly StreamEvent[]): string[] => events.map((event) => event.type);

describe('what the event log brings', () => {
  test('is known when it is acknowledged, without a look into the store', async () => {
    const elsewhere = make();
    const { message } = await elsewhere.send(alice, { receiverId: 'bob', text: 'hello' });
    const [event] = await streamOf('bob');
    const looks = vi.spyOn(store, 'findMessage');
    chat.noteEvent(event as StreamEvent);
    expect(await chat.mark(bob, 'read', { upTo: { messageId: message.id } })).toEqual({ upToSeq: 1, moved: true });
    await expect(chat.mark(eve, 'read', { upTo: { messageId: message.id } })).rejects.toThrow('Message not found');
    expect(looks).not.toHaveBeenCalled();
  });

  test('is told to the store, if it is of a message', async () => {
    const told: string[] = [];
    Object.assign(store, { noteEvent: (event: StreamEvent) => told.push(event.type) });
    const messageId = await send();
    await chat.mark(bob, 'read', { upTo: { messageId } });
    await chat.deleteMessage(alice, { messageId });
    for (const event of await streamOf('bob')) chat.noteEvent(event);
    expect(told).toEqual(['messageSent', 'messageDeleted']);
  });
});

describe('sending', () => {
  test('stores, then tells the receiver and the sender once each, with the client id for the sender only', async () => {
    const { message, duplicate, warning } = await chat.send(alice, {
      receiverId: 'bob',
      text: 'hello',
      clientMessageId: 'k1',
    });
    expect(duplicate).toBe(false);
    expect(warning).toBeUndefined();
    expect(await store.findMessage(message.id)).toEqual(message);
    expect(message).toMatchObject({
      seq: 1,
      senderId: 'alice',
      receiverId: 'bob',
      text: 'hello',
      sentAtMs: clock.now(),
    });
    expect(await streamOf('bob')).toEqual([{ type: 'messageSent', message }]);
    expect(await streamOf('alice')).toEqual([{ type: 'messageSent', message, clientMessageId: 'k1' }]);
  });

  test('publishes nothing that was not stored, and says why', async () => {
    store.fault = () => Promise.reject(new Error('disk full'));
    await expect(send()).rejects.toThrow('disk full');
    store.fault = () => undefined;
    store.failing = () => new Error('bad item');
    await expect(send()).rejects.toThrow('bad item');
    expect(await streamOf('bob')).toEqual([]);
  });

  test('publishes concurrent messages in the order of their seq', async () => {
    await Promise.all(Array.from({ length: 300 }, (_, index) => send(`${index}`)));
    const seqs = (await streamOf('bob')).map((event) => (event.type === 'messageSent' ? event.message.seq : 0));
    expect(seqs).toEqual(Array.from({ length: 300 }, (_, index) => index + 1));
  });

  test('a retry returns the first message and tells nobody', async () => {
    const first = await chat.send(alice, { receiverId: 'bob', text: 'hello', clientMessageId: 'k1' });
    await clock.advance(1000);
    const second = await chat.send(alice, { receiverId: 'bob', text: 'hello', clientMessageId: 'k1' });
    expect(second).toEqual({ message: first.message, duplicate: true });
    expect(await streamOf('bob')).toHaveLength(1);
    expect(await streamOf('alice')).toHaveLength(1);
  });

  test('a thousand racing retries make one message', async () => {
    const results = await Promise.all(
      Array.from({ length: 1000 }, () => chat.send(alice, { receiverId: 'bob', text: 'hello', clientMessageId: 'k1' })),
    );
    expect(new Set(results.map((result) => result.message.id)).size).toBe(1);
    expect(results.filter((result) => !result.duplicate)).toHaveLength(1);
    expect(await streamOf('bob')).toHaveLength(1);
  });

  test.each([
    ['text', { text: 'other' }],
    ['receiver', { receiverId: 'carol' }],
  ])('another %s under a used client id is an error and stores nothing', async (_name, change) => {
    const request = { receiverId: 'bob', text: 'hello', clientMessageId: 'k1' };
    await chat.send(alice, request);
    await expect(chat.send(alice, { ...request, ...change })).rejects.toMatchObject({
      code: 'alreadyExists',
      reason: 'CLIENT_MESSAGE_ID_REUSED',
    });
    expect(await streamOf('alice')).toHaveLength(1);
    expect(await streamOf('carol')).toEqual([]);
  });

  test('the same client id of another sender is another message', async () => {
    await chat.send(alice, { receiverId: 'bob', text: 'hello', clientMessageId: 'k1' });
    const { duplicate } = await chat.send(eve, { receiverId: 'bob', text: 'hello', clientMessageId: 'k1' });
    expect(duplicate).toBe(false);
  });

  test('a retry is recognised by what was asked, though the policy changes the text in between', async () => {
    review = () => ({ text: '***', warning: 'no numbers' });
    const first = await chat.send(alice, { receiverId: 'bob', text: '12345', clientMessageId: 'k1' });
    review = () => ({ text: '[removed]', warning: 'no numbers' });
    const second = await chat.send(alice, { receiverId: 'bob', text: '12345', clientMessageId: 'k1' });
    expect(first.message.text).toBe('***');
    expect(second).toEqual({ message: first.message, duplicate: true, warning: 'no numbers' });
    expect(typesOf(await streamOf('alice'))).toEqual(['messageSent', 'messageRedacted']);
    expect(typesOf(await streamOf('bob'))).toEqual(['messageSent']);
  });

  test.each<[string, Partial<SendRequest> | { text: unknown }, string, string]>([
    ['an empty text', { text: '' }, 'TEXT_EMPTY', 'text'],
    ['a text of white space', { text: ' \n\t ' }, 'TEXT_EMPTY', 'text'],
    ['a text too long', { text: 'x'.repeat(5001) }, 'TEXT_TOO_LONG', 'text'],
    ['a text that is no string', { text: 7 }, 'INVALID_FIELD', 'text'],
    ['no receiver', { receiverId: '' }, 'INVALID_FIELD', 'receiver_id'],
    ['oneself as the receiver', { receiverId: 'alice' }, 'RECEIVER_IS_SENDER', 'receiver_id'],
    ['a client id too long', { clientMessageId: 'x'.repeat(129) }, 'INVALID_FIELD', 'client_message_id'],
  ])('%s is refused, and nothing is stored', async (_name, request, reason, field) => {
    await expect(
      chat.send(alice, { receiverId: 'bob', text: 'x', ...(request as Partial<SendRequest>) }),
    ).rejects.toMatchObject({
      code: 'invalidArgument',
      reason,
      violations: [expect.objectContaining({ field })],
    });
    expect(store.batches).toEqual([]);
  });

  test('takes the longest text there may be, and repairs lone surrogates', async () => {
    expect((await chat.send(alice, { receiverId: 'bob', text: 'x'.repeat(5000) })).message.text).toHaveLength(5000);
    expect((await chat.send(alice, { receiverId: 'bob', text: 'a\ud800' })).message.text).toBe('a\ufffd');
  });

  test('is limited per sender, with a hint when to come again', async () => {
    chat = make({ ...DEFAULT_LIMITS, sendsPerSecond: 10, sendBurst: 2 });
    await send();
    await send();
    await expect(send()).rejects.toMatchObject({
      code: 'resourceExhausted',
      reason: 'RATE_LIMITED',
      retryAfterMs: 100,
    });
    await chat.send(eve, { receiverId: 'bob', text: 'x' });
    await clock.advance(100);
    await send();
    expect(store.batches.flat()).toHaveLength(4);
  });

  test('for somebody else is for services only', async () => {
    const request = { senderId: 'alice', receiverId: 'bob', text: 'x' };
    expect((await chat.send(service, request)).message.senderId).toBe('alice');
    for (const identity of [eve, admin]) {
      await expect(chat.send(identity, request)).rejects.toMatchObject({ code: 'permissionDenied' });
    }
    await expect(chat.send(identityOf(undefined), request)).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  test('binds a further client id to a message, and not to two', async () => {
    const first = await chat.send(alice, { receiverId: 'bob', text: 'hello', withoutId: true });
    await chat.bindClientId(first.message, 'k1', 'hello');
    const retry = await chat.send(alice, { receiverId: 'bob', text: 'hello', clientMessageId: 'k1' });
    expect(retry).toEqual({ message: first.message, duplicate: true });
    const second = await chat.send(alice, { receiverId: 'bob', text: 'hello' });
    await expect(chat.bindClientId(second.message, 'k1', 'hello')).rejects.toMatchObject({ code: 'alreadyExists' });
  });
});

describe('acknowledging', () => {
  test('a message acknowledges all before it, and tells both people once of the messages passed', async () => {
    const ids = [await send('1'), await send('2'), await send('3')];
    const atMs = clock.now();
    const result = await chat.mark(bob, 'delivered', { upTo: { messageId: ids[1] ?? '' } });
    expect(result).toEqual({ upToSeq: 2, moved: true });
    const event = {
      type: 'statusAdvanced',
      status: 'delivered',
      readerId: 'bob',
      senderId: 'alice',
      fromSeq: 0,
      upToSeq: 2,
      messageIds: ids.slice(0, 2),
      atMs,
    };
    expect((await streamOf('alice')).slice(3)).toEqual([event]);
    expect((await streamOf('bob')).slice(3)).toEqual([event]);
  });

  test('again, or something older, moves nothing and tells nobody', async () => {
    const ids = [await send('1'), await send('2')];
    await chat.mark(bob, 'read', { upTo: { messageId: ids[1] ?? '' } });
    const before = (await streamOf('alice')).length;
    for (const status of ['delivered', 'read'] as const) {
      for (const messageId of ids) {
        expect(await chat.mark(bob, status, { upTo: { messageId } })).toEqual({ upToSeq: 2, moved: false });
      }
      expect((await chat.mark(bob, status, { upTo: { otherUserId: 'alice' } })).moved).toBe(false);
    }
    expect(await streamOf('alice')).toHaveLength(before);
  });

  test('the whole conversation tells that it was read, after the statuses', async () => {
    await send('1');
    await send('2');
    expect(await chat.mark(bob, 'read', { upTo: { otherUserId: 'alice' } })).toEqual({ upToSeq: 2, moved: true });
    expect(typesOf(await streamOf('alice')).slice(2)).toEqual(['statusAdvanced', 'conversationRead']);
    expect(typesOf(await streamOf('bob')).slice(2)).toEqual(['statusAdvanced', 'conversationRead']);
  });

  test('the whole conversation as delivered is no reading of it', async () => {
    await send();
    await chat.mark(bob, 'delivered', { upTo: { otherUserId: 'alice' } });
    expect(typesOf(await streamOf('alice'))).not.toContain('conversationRead');
  });

  test.each(['eve', 'bob'])('a conversation with %s that does not exist moves nothing', async (otherUserId) => {
    expect(await chat.mark(bob, 'read', { upTo: { otherUserId } })).toEqual({ upToSeq: 0, moved: false });
    expect(await streamOf('bob')).toEqual([]);
  });

  test('more than one move can pass is repeated until the end, and told once as read', async () => {
    store.maxPassed = 3;
    const ids: string[] = [];
    for (let number = 1; number <= 8; number += 1) ids.push(await send(`${number}`));
    expect(await chat.mark(bob, 'read', { upTo: { otherUserId: 'alice' } })).toEqual({ upToSeq: 8, moved: true });
    const events = (await streamOf('alice')).slice(8);
    expect(events.flatMap((event) => (event.type === 'statusAdvanced' ? [event.upToSeq] : []))).toEqual([3, 6, 8]);
    expect(events.flatMap((event) => (event.type === 'statusAdvanced' ? event.messageIds : []))).toEqual(ids);
    expect(typesOf(events).filter((type) => type === 'conversationRead')).toHaveLength(1);
  });

  test('a store that says more without moving is not asked for ever', async () => {
    const messageId = await send();
    const write = store.write.bind(store);
    let asked = 0;
    store.write = async (operations) => {
      asked += 1;
      if (asked > 10) throw new Error('asked for ever');
      const outcomes = await write(operations);
      return outcomes.map((outcome) => (outcome.type === 'advanced' ? { ...outcome, more: true } : outcome));
    };
    expect(await chat.mark(bob, 'read', { upTo: { messageId } })).toEqual({ upToSeq: 1, moved: true });
  });

  test('a move that passes very many is split into events with ascending places', async () => {
    const count = MAX_PASSED_PER_EVENT + 20;
    const ids = await Promise.all(Array.from({ length: count }, (_, index) => send(`${index}`)));
    await chat.mark(bob, 'delivered', { upTo: { otherUserId: 'alice' } });
    const events = (await streamOf('alice')).filter((event) => event.type === 'statusAdvanced');
    expect(events.map((event) => [event.upToSeq, event.messageIds.length])).toEqual([
      [MAX_PASSED_PER_EVENT, MAX_PASSED_PER_EVENT],
      [count, 20],
    ]);
    expect(events.flatMap((event) => event.messageIds)).toEqual(ids);
  });

  test('leaves tombstones and the own messages out of what was passed', async () => {
    const first = await send('1');
    const deleted = await send('2');
    await chat.send(bob, { receiverId: 'alice', text: 'mine' });
    await chat.deleteMessage(alice, { messageId: deleted });
    await chat.mark(bob, 'read', { upTo: { otherUserId: 'alice' } });
    const events = (await streamOf('alice')).filter((event) => event.type === 'statusAdvanced');
    expect(events.map((event) => [event.upToSeq, event.messageIds])).toEqual([[3, [first]]]);
  });

  test('is for the receiver; the sender is told so, and strangers learn nothing', async () => {
    const messageId = await send();
    await expect(chat.mark(alice, 'read', { upTo: { messageId } })).rejects.toMatchObject({
      code: 'permissionDenied',
      reason: 'NOT_MESSAGE_RECEIVER',
    });
    const unknown = await chat.mark(eve, 'read', { upTo: { messageId: 'no-such' } }).catch((error: unknown) => error);
    const foreign = await chat.mark(eve, 'read', { upTo: { messageId } }).catch((error: unknown) => error);
    expect(foreign).toMatchObject({ code: 'notFound', reason: 'MESSAGE_NOT_FOUND' });
    expect(foreign).toEqual(unknown);
  });

  test('treats a message it remembers and one it has to look up alike', async () => {
    const messageId = await send();
    chat = make();
    await expect(chat.mark(eve, 'read', { upTo: { messageId } })).rejects.toMatchObject({ code: 'notFound' });
    await expect(chat.mark(alice, 'read', { upTo: { messageId } })).rejects.toMatchObject({ code: 'permissionDenied' });
    expect(await chat.mark(bob, 'read', { upTo: { messageId } })).toEqual({ upToSeq: 1, moved: true });
  });

  test('for somebody else is for services only', async () => {
    const messageId = await send();
    await expect(chat.mark(admin, 'read', { userId: 'bob', upTo: { messageId } })).rejects.toMatchObject({
      code: 'permissionDenied',
    });
    expect((await chat.mark(service, 'read', { userId: 'bob', upTo: { messageId } })).moved).toBe(true);
  });

  test('evidence of receipt moves the internal mark and tells nobody', async () => {
    await send('1');
    await send('2');
    await chat.noteReceived('bob', 'alice', 2);
    expect((await store.findConversation('bob', 'alice'))?.own).toEqual({ received: 2, delivered: 0, read: 0 });
    expect(typesOf(await streamOf('alice'))).toEqual(['messageSent', 'messageSent']);
  });

  test('evidence of receipt that begins above a hole moves nothing', async () => {
    await send('1');
    await send('2');
    await chat.noteReceived('bob', 'alice', 2, 2);
    expect((await store.findConversation('bob', 'alice'))?.own.received).toBe(0);
    await chat.noteReceived('bob', 'alice', 1, 1);
    await chat.noteReceived('bob', 'alice', 2, 2);
    expect((await store.findConversation('bob', 'alice'))?.own.received).toBe(2);
  });
});

describe('deleting', () => {
  test('leaves a tombstone and tells both people once', async () => {
    const messageId = await send();
    const tombstone = await chat.deleteMessage(alice, { messageId });
    expect(tombstone).toMatchObject({ id: messageId, seq: 1, text: '', deletedAtMs: clock.now() });
    expect(await store.findMessage(messageId)).toEqual(tombstone);
    await clock.advance(1000);
    expect(await chat.deleteMessage(alice, { messageId })).toEqual(tombstone);
    expect(typesOf(await streamOf('alice'))).toEqual(['messageSent', 'messageDeleted']);
    expect((await streamOf('bob'))[1]).toEqual({
      type: 'messageDeleted',
      messageId,
      seq: 1,
      senderId: 'alice',
      receiverId: 'bob',
      byUserId: 'alice',
      atMs: tombstone.deletedAtMs,
    });
  });

  test('is for the sender; the receiver is told so, and strangers learn nothing', async () => {
    const messageId = await send();
    await expect(chat.deleteMessage(bob, { messageId })).rejects.toMatchObject({
      code: 'permissionDenied',
      reason: 'NOT_MESSAGE_SENDER',
    });
    for (const id of [messageId, 'no-such']) {
      await expect(chat.deleteMessage(eve, { messageId: id })).rejects.toMatchObject({ reason: 'MESSAGE_NOT_FOUND' });
    }
    await expect(chat.deleteMessage(admin, { userId: 'alice', messageId })).rejects.toMatchObject({
      code: 'permissionDenied',
    });
    expect((await store.findMessage(messageId))?.deletedAtMs).toBeUndefined();
    await chat.deleteMessage(service, { userId: 'alice', messageId });
    expect((await store.findMessage(messageId))?.deletedAtMs).toBe(clock.now());
  });

  test('fails with the store and tells nobody', async () => {
    const messageId = await send();
    store.failing = () => new Error('locked');
    await expect(chat.deleteMessage(alice, { messageId })).rejects.toThrow('locked');
    expect(typesOf(await streamOf('bob'))).toEqual(['messageSent']);
  });
});

describe('typing', () => {
  test('is told to the connected sessions of the receiver and not kept', async () => {
    const heard: TransientEvent[] = [];
    await broker.subscribe('bob', {
      onEntry: () => undefined,
      onTransient: (event) => heard.push(event),
      onDoubt: () => undefined,
    });
    chat.signalTyping(alice, { receiverId: 'bob', active: true });
    expect(heard).toEqual([{ type: 'typing', fromUserId: 'alice', toUserId: 'bob', active: true }]);
    expect(await streamOf('bob')).toEqual([]);
  });

  test('is checked and limited like a message', () => {
    chat = make({ ...DEFAULT_LIMITS, sendBurst: 1 });
    expect(() => chat.signalTyping(alice, { receiverId: '', active: true })).toThrow(
      expect.objectContaining({ code: 'invalidArgument' }),
    );
    expect(() => chat.signalTyping(eve, { userId: 'alice', receiverId: 'bob', active: true })).toThrow(
      expect.objectContaining({ code: 'permissionDenied' }),
    );
    chat.signalTyping(alice, { receiverId: 'bob', active: true });
    expect(() => chat.signalTyping(alice, { receiverId: 'bob', active: true })).toThrow(
      expect.objectContaining({ code: 'resourceExhausted' }),
    );
  });
});

describe('whatever happens at the same time', () => {
  const RANK: Record<MessageStatus, number> = { sent: 0, delivered: 1, read: 2 };
  const step = fc.oneof(
    fc.record({ type: fc.constant('send' as const), from: fc.constantFrom('alice', 'bob') }),
    fc.record({
      type: fc.constant('mark' as const),
      by: fc.constantFrom('alice', 'bob'),
      status: fc.constantFrom('delivered' as const, 'read' as const),
      pick: fc.nat(),
    }),
    fc.record({
      type: fc.constant('markAll' as const),
      by: fc.constantFrom('alice', 'bob'),
      status: fc.constantFrom('delivered' as const, 'read' as const),
    }),
    fc.record({ type: fc.constant('received' as const), by: fc.constantFrom('alice', 'bob'), seq: fc.nat(30) }),
    fc.record({ type: fc.constant('delete' as const), by: fc.constantFrom('alice', 'bob'), pick: fc.nat() }),
    fc.record({ type: fc.constant('fault' as const), away: fc.boolean() }),
    fc.record({ type: fc.constant('turn' as const) }),
  );
  const other = (userId: string): string => (userId === 'alice' ? 'bob' : 'alice');

  test('statuses never go back, events tell each passed message once, and unread equals a recount', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 80, size: 'max' }),
        fc.integer({ min: 1, max: 4 }),
        async (steps, maxPassed) => {
          clock = new FakeClock();
          store = new FakeMessageStore();
          store.maxPassed = maxPassed;
          broker = new MemoryBroker({ clock, maxEvents: 100_000 });
          chat = make();
          const pending: Promise<unknown>[] = [];
          const sent: { id: string; senderId: string }[] = [];
          const ranks = new Map<string, number>();
          const check = async (): Promise<void> => {
            const { fault } = store;
            store.fault = () => undefined;
            for (const message of await store.listMessages('alice', 'bob', { afterSeq: 0, limit: 1000 })) {
              expect(RANK[message.status]).toBeGreaterThanOrEqual(ranks.get(message.id) ?? 0);
              ranks.set(message.id, RANK[message.status]);
            }
            store.fault = fault;
          };
          for (const item of steps) {
            const run = (promise: Promise<unknown>): unknown => pending.push(promise.catch(() => undefined));
            const mine = (userId: string, pick: number): string | undefined => {
              const list = sent.filter((message) => message.senderId === userId);
              return list[pick % Math.max(1, list.length)]?.id;
            };
            switch (item.type) {
              case 'send':
                run(
                  chat.send(identityOf(item.from), { receiverId: other(item.from), text: 'x' }).then(({ message }) => {
                    sent.push({ id: message.id, senderId: item.from });
                  }),
                );
                break;
              case 'mark': {
                const messageId = mine(other(item.by), item.pick);
                if (messageId) run(chat.mark(identityOf(item.by), item.status, { upTo: { messageId } }));
                break;
              }
              case 'markAll':
                run(chat.mark(identityOf(item.by), item.status, { upTo: { otherUserId: other(item.by) } }));
                break;
              case 'received':
                run(chat.noteReceived(item.by, other(item.by), item.seq));
                break;
              case 'delete': {
                const messageId = mine(item.by, item.pick);
                if (messageId) run(chat.deleteMessage(identityOf(item.by), { messageId }));
                break;
              }
              case 'fault':
                store.fault = item.away ? () => Promise.reject(new Error('away')) : () => undefined;
                break;
              case 'turn':
                await settle(1);
                await check();
                break;
            }
          }
          store.fault = () => undefined;
          await Promise.all(pending);
          await check();

          for (const reader of ['alice', 'bob']) {
            const messages = await store.listMessages('alice', 'bob', { afterSeq: 0, limit: 1000 });
            const own = (await store.findConversation(reader, other(reader)))?.own ?? {
              received: 0,
              delivered: 0,
              read: 0,
            };
            expect(own.read).toBeLessThanOrEqual(own.delivered);
            expect(own.delivered).toBeLessThanOrEqual(own.received);
            expect(own.received).toBeLessThanOrEqual(messages.length);
            for (const status of ['delivered', 'read'] as const) {
              const moves = (await streamOf(other(reader))).filter(
                (event) => event.type === 'statusAdvanced' && event.readerId === reader && event.status === status,
              ) as Extract<StreamEvent, { type: 'statusAdvanced' }>[];
              const places = moves.map((event) => event.upToSeq);
              expect(places).toEqual(places.toSorted((a, b) => a - b));
              expect(new Set(places).size).toBe(places.length);
              const passed = moves.flatMap((event) => event.messageIds);
              expect(new Set(passed).size).toBe(passed.length);
            }
            const unread = messages.filter(
              (message) => message.receiverId === reader && message.seq > own.read && message.deletedAtMs === undefined,
            ).length;
            const counts = await store.unreadCounts(reader);
            expect(counts.reduce((sum, item) => sum + item.count, 0)).toBe(unread);
          }
          for (const userId of ['alice', 'bob']) {
            const events = await streamOf(userId);
            const once = events.map((event) =>
              event.type === 'messageSent'
                ? event.message.id
                : event.type === 'messageDeleted'
                  ? `-${event.messageId}`
                  : '',
            );
            const named = once.filter((name) => name !== '');
            expect(new Set(named).size).toBe(named.length);
          }
        },
      ),
      { numRuns: 150 },
    );
  }, 120_000);
});
