import { expect, test } from 'vitest';
import type { StreamEvent } from '../../../src/core/events.ts';
import type { Message, MessageView } from '../../../src/core/message.ts';
import { noMetrics } from '../../../src/core/metrics.ts';
import { MissingMessages } from '../../../src/core/missing-messages.ts';
import type { AppendEntry, MessageRange, StreamGap } from '../../../src/core/ports.ts';
import { Publisher } from '../../../src/core/publisher.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';
import { FaultyBroker } from '../../fixtures/faulty-broker.ts';
import { settle } from '../../fixtures/settle.ts';

const message = (seq: number, more: Partial<Message> = {}): Message => ({
  id: `m${seq}`,
  seq,
  senderId: 'ann',
  receiverId: 'bob',
  text: 'x',
  sentAtMs: seq * 1000,
  ...more,
});
const sent = (seq: number): StreamEvent => ({ type: 'messageSent', message: message(seq) });
const entry = (seq: number, afterSeq?: number): AppendEntry => ({
  userId: 'bob',
  event: sent(seq),
  ...(afterSeq !== undefined && { afterSeq }),
});

/** A store with the messages 1 to `count`, of which some are deleted. */
function store(count: number, deleted: readonly number[] = []) {
  return {
    findMessage: async (id: string) => {
      const seq = Number(id.slice(1));
      return seq > count ? undefined : message(seq, deleted.includes(seq) ? { text: '', deletedAtMs: 1 } : {});
    },
    listMessages: async (_userId: string, _otherId: string, range: MessageRange): Promise<MessageView[]> => {
      const all = Array.from({ length: count }, (_, index): MessageView => {
        const seq = index + 1;
        return { ...message(seq, deleted.includes(seq) ? { text: '', deletedAtMs: 1 } : {}), status: 'sent' };
      });
      if ('afterSeq' in range) return all.filter(({ seq }) => seq > range.afterSeq).slice(0, range.limit);
      const { beforeSeq = Number.POSITIVE_INFINITY } = range;
      return all.filter(({ seq }) => seq < beforeSeq).slice(-range.limit);
    },
  };
}

test('a gap is filled with what lies in it, then what was left out', async () => {
  const missing = new MissingMessages(store(9), { recentMs: 5000 });
  const read: StreamEvent = { type: 'conversationRead', readerId: 'ann', senderId: 'bob', upToSeq: 1, atMs: 0 };
  const gap: StreamGap = { userId: 'bob', afterSeq: 2, entries: [entry(5), { userId: 'bob', event: read }] };
  expect(await missing.fill(gap)).toEqual([entry(3, 2), entry(4, 2), entry(5, 2), { userId: 'bob', event: read }]);
});

test('a message that was deleted meanwhile is left out', async () => {
  const missing = new MissingMessages(store(9, [3]), { recentMs: 5000 });
  expect(await missing.fill({ userId: 'bob', afterSeq: 2, entries: [entry(5)] })).toEqual([entry(4, 2), entry(5, 2)]);
});

test('where it is not known what the stream has, what is recent is taken for missing', async () => {
  const missing = new MissingMessages(store(30), { recentMs: 3000 });
  expect(await missing.fill({ userId: 'bob', entries: [entry(20)] })).toEqual([17, 18, 19, 20].map((n) => entry(n, 0)));
});

test('a move of a cursor is told from where the stream has come to', async () => {
  const missing = new MissingMessages(store(9, [6]), { recentMs: 5000 });
  const move = (fromSeq: number, messageIds: readonly string[]): StreamEvent => ({
    type: 'statusAdvanced',
    status: 'delivered',
    readerId: 'bob',
    senderId: 'ann',
    fromSeq,
    upToSeq: 8,
    messageIds,
    atMs: 0,
  });
  const fill = (event: StreamEvent, afterSeq?: number) =>
    missing.fill({ userId: 'bob', entries: [{ userId: 'bob', event }], ...(afterSeq !== undefined && { afterSeq }) });
  const whole = { userId: 'bob', event: move(4, ['m5', 'm7', 'm8']), afterSeq: 4 };
  expect(await fill(move(6, ['m7', 'm8']), 4)).toEqual([whole]);
  expect(await fill(move(2, ['m3', 'm4', 'm5', 'm7', 'm8']), 4)).toEqual([whole]);
  expect(await fill(move(4, ['m5', 'm7', 'm8']))).toEqual([whole]);
  expect(await fill(move(4, []), 8)).toEqual([]);
});

test('of messages that were read since it is not told that they were delivered', async () => {
  const read = {
    listMessages: async () => [1, 2, 3].map((n) => ({ ...message(n), status: n < 3 ? 'read' : 'delivered' }) as const),
  };
  const event: StreamEvent = {
    type: 'statusAdvanced',
    status: 'delivered',
    readerId: 'bob',
    senderId: 'ann',
    fromSeq: 0,
    upToSeq: 3,
    messageIds: ['m1', 'm2', 'm3'],
    atMs: 0,
  };
  const filled = await new MissingMessages({ ...store(3), ...read }, { recentMs: 0 }).fill({
    userId: 'ann',
    entries: [{ userId: 'ann', event }],
  });
  expect(filled).toEqual([{ userId: 'ann', event: { ...event, messageIds: ['m3'] }, afterSeq: 0 }]);
});

test('of deleted messages the deletions are told again, of others nothing', async () => {
  const missing = new MissingMessages(store(9, [5, 6]), { recentMs: 5000 });
  const people = { senderId: 'ann', receiverId: 'bob', byUserId: 'ann' };
  expect(await missing.deletions(['m4', 'm5', 'm10'])).toEqual([
    { type: 'messageDeleted', messageId: 'm5', seq: 5, ...people, atMs: 1 },
  ]);
});

test('before a deletion of a message that is not in the stream comes what is missing before it', async () => {
  const missing = new MissingMessages(store(9, [5]), { recentMs: 5000 });
  const event: StreamEvent = {
    type: 'messageDeleted',
    messageId: 'm5',
    seq: 5,
    senderId: 'ann',
    receiverId: 'bob',
    byUserId: 'ann',
    atMs: 0,
  };
  expect(await missing.fill({ userId: 'bob', afterSeq: 3, entries: [{ userId: 'bob', event }] })).toEqual([
    entry(4, 3),
    { userId: 'bob', event, afterSeq: 3 },
  ]);
});

test('a gap that is too long is not filled, and its stream begins a new epoch', async () => {
  const missing = new MissingMessages(store(1000), { recentMs: 3000 });
  const gap: StreamGap = { userId: 'bob', afterSeq: 100, entries: [entry(900), entry(901)] };
  expect(await missing.fill(gap)).toBeUndefined();

  const clock = new FakeClock();
  const broker = new FaultyBroker(clock);
  const { epoch } = await broker.top('bob');
  const append = broker.append.bind(broker);
  const appended: (readonly AppendEntry[])[] = [];
  broker.append = async (entries) => {
    appended.push(entries);
    return appended.length === 1 ? [gap] : append(entries);
  };
  const publisher = new Publisher(broker, noMetrics, { onPublishFailed: () => undefined }, clock, { missing });
  publisher.publish(sent(900), 'bob');
  publisher.publish(sent(901), 'bob');
  await settle();
  expect(appended[1]).toEqual([entry(900, 0), entry(901)]);
  expect((await broker.top('bob')).epoch).not.toBe(epoch);
});

test('the publisher fills gaps before it goes on, and waits for a store that is away', async () => {
  const clock = new FakeClock();
  const broker = new FaultyBroker(clock);
  const append = broker.append.bind(broker);
  const first = entry(5);
  const gaps: StreamGap[][] = [[{ userId: 'bob', afterSeq: 3, entries: [first] }]];
  broker.append = async (entries) => {
    const answer = gaps.shift();
    if (answer !== undefined) return answer;
    return append(entries);
  };
  const messages = store(9);
  let away = true;
  const listMessages: typeof messages.listMessages = (...query) =>
    away ? Promise.reject(new Error('away')) : messages.listMessages(...query);
  const missing = new MissingMessages({ ...messages, listMessages }, { recentMs: 1000 });
  const publisher = new Publisher(broker, noMetrics, { onPublishFailed: () => undefined }, clock, { missing });
  publisher.publish(sent(5), 'bob');
  publisher.publish(sent(6), 'bob');
  gaps.push([{ userId: 'bob', afterSeq: 3, entries: [first, entry(6)] }]);
  const published = publisher.published();
  await settle();
  away = false;
  await clock.advance(500);
  expect(await published).toBe(true);
  const { epoch } = await broker.top('bob');
  const { entries } = await broker.readSince('bob', { epoch, offset: 0 }, 100);
  expect(entries.map(({ event }) => (event.type === 'messageSent' ? event.message.seq : 0))).toEqual([4, 5, 6]);
});
