import { beforeEach, expect, test } from 'vitest';
import type { StreamEvent } from '../../../src/core/events.ts';
import { noMetrics } from '../../../src/core/metrics.ts';
import { Publisher } from '../../../src/core/publisher.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';
import { FaultyBroker } from '../../fixtures/faulty-broker.ts';
import { settle } from '../../fixtures/settle.ts';

let clock: FakeClock;
let broker: FaultyBroker;
let failures: (readonly string[])[];
let counted: Map<string, number>;
let publisher: Publisher;

beforeEach(() => {
  clock = new FakeClock();
  broker = new FaultyBroker(clock);
  failures = [];
  counted = new Map();
  publisher = make();
});

function make(options: { maxWaiting?: number } = {}): Publisher {
  return new Publisher(
    broker,
    { ...noMetrics, count: (name, _labels, by = 1) => counted.set(name, (counted.get(name) ?? 0) + by) },
    { onPublishFailed: (userIds) => failures.push(userIds) },
    clock,
    options,
  );
}

const event = (upToSeq: number): StreamEvent => ({
  type: 'conversationRead',
  readerId: 'alice',
  senderId: 'bob',
  upToSeq,
  atMs: 0,
});

async function logOf(userId: string): Promise<number[]> {
  const { epoch } = await broker.top(userId);
  const { entries } = await broker.readSince(userId, { epoch, offset: 0 }, 1000);
  return entries.map((entry) => (entry.event.type === 'conversationRead' ? entry.event.upToSeq : 0));
}

test('an event is in the stream of everybody it concerns, once each', async () => {
  publisher.publish(event(1), 'bob', 'alice');
  publisher.publish(event(2), 'bob', 'bob');
  await settle();
  expect(await logOf('bob')).toEqual([1, 2]);
  expect(await logOf('alice')).toEqual([1]);
});

test('what is published when a commit answers its sends goes in one append, in the same turn of the event loop', async () => {
  const appended: number[] = [];
  const append = broker.append.bind(broker);
  broker.append = (entries) => {
    appended.push(entries.length);
    return append(entries);
  };
  const commits = Array.from({ length: 5 }, () => Promise.withResolvers<number>());
  const sends = commits.map(async ({ promise }) => publisher.publish(event(await promise), 'bob', 'alice'));
  for (const [index, commit] of commits.entries()) commit.resolve(index);
  await Promise.all(sends);
  await Promise.resolve();
  expect(appended).toEqual([10]);
});

test('an event that the broker refuses is published later, in order, and the refusal is told', async () => {
  broker.refuses = true;
  publisher.publish(event(1), 'bob', 'alice');
  await settle();
  publisher.publish(event(2), 'bob');
  expect(failures).toEqual([['bob', 'alice']]);
  expect(counted.get('chat_publish_failures_total')).toBe(1);
  broker.refuses = false;
  publisher.publish(event(3), 'bob');
  await settle();
  expect(await logOf('bob')).toEqual([]);
  await clock.advance(100);
  await settle();
  expect(await logOf('bob')).toEqual([1, 2, 3]);
  expect(await logOf('alice')).toEqual([1]);
});

test('an event that follows a refused one does not overtake it, though the broker would take it', async () => {
  let refusals = 1;
  const append = broker.append.bind(broker);
  broker.append = (entries) => (refusals-- > 0 ? Promise.reject(new Error('no')) : append(entries));
  publisher.publish(event(1), 'bob');
  publisher.publish(event(2), 'bob');
  await settle();
  await clock.advance(5000);
  await settle();
  expect(await logOf('bob')).toEqual([1, 2]);
});

test('a broker that is away is asked less and less often', async () => {
  broker.refuses = true;
  publisher.publish(event(1), 'bob');
  await settle();
  await clock.advance(60_000);
  expect(failures.length).toBeGreaterThan(25);
  expect(failures.length).toBeLessThan(40);
});

test('what waits is bounded, and what is given up is counted', async () => {
  publisher = make({ maxWaiting: 8 });
  broker.refuses = true;
  for (let number = 1; number <= 12; number += 1) publisher.publish(event(number), 'bob');
  await settle();
  broker.refuses = false;
  await clock.advance(5000);
  await settle();
  const log = await logOf('bob');
  expect(log.at(-1)).toBe(12);
  expect(log.length + (counted.get('chat_publish_lost_total') ?? 0)).toBe(12);
  expect(counted.get('chat_publish_lost_total')).toBeGreaterThan(0);
});

test('whose events were given up, their streams begin a new epoch before anything later is appended', async () => {
  publisher = make({ maxWaiting: 8 });
  const [bob, carol] = [await broker.top('bob'), await broker.top('carol')];
  let doubts = 0;
  await broker.subscribe('bob', { onEntry: () => {}, onTransient: () => {}, onDoubt: () => (doubts += 1) });
  broker.refuses = true;
  for (let number = 1; number <= 12; number += 1) publisher.publish(event(number), 'bob');
  publisher.publish(event(13), 'carol');
  await settle();
  broker.refuses = false;
  await clock.advance(5000);
  expect((await broker.readSince('bob', bob, 1000)).complete).toBe(false);
  expect(doubts).toBe(1);
  expect((await broker.readSince('carol', carol, 1000)).entries).toHaveLength(1);
});

test('closing publishes what waits for its next try, or gives up at once', async () => {
  broker.refuses = true;
  publisher.publish(event(1), 'bob');
  await settle();
  broker.refuses = false;
  await publisher.close();
  expect(await logOf('bob')).toEqual([1]);

  const other = make();
  broker.refuses = true;
  other.publish(event(2), 'bob');
  await settle();
  await other.close();
  broker.refuses = false;
  await clock.advance(10_000);
  expect(await logOf('bob')).toEqual([1]);
});

test('a signal that the broker refuses is counted and fails nobody', async () => {
  broker.publishToUser = () => Promise.reject(new Error('no'));
  publisher.signal({ type: 'typing', fromUserId: 'alice', toUserId: 'bob', active: true }, 'bob');
  await settle();
  expect(counted.get('chat_publish_failures_total')).toBe(1);
});

test('what was published is told to be so when the broker has it, or its streams are ended, and not when it was given up', async () => {
  expect(await publisher.published()).toBe(true);
  broker.refuses = true;
  publisher.publish(event(1), 'bob');
  const answers: string[] = [];
  void publisher.published().then((taken) => answers.push(`first ${taken}`));
  publisher.publish(event(2), 'bob');
  void publisher.published().then((taken) => answers.push(`second ${taken}`));
  await clock.advance(500);
  expect(answers).toEqual([]);
  broker.refuses = false;
  await clock.advance(2000);
  expect(answers).toEqual(['first true', 'second true']);

  broker.refuses = true;
  publisher.publish(event(3), 'bob');
  void publisher.published().then((taken) => answers.push(`third ${taken}`));
  await settle();
  await publisher.close();
  await settle();
  expect(answers.at(-1)).toBe('third false');
  expect(await publisher.published()).toBe(false);
});
