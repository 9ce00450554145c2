import { beforeEach, describe, expect, test } from 'vitest';
import type { PresenceChanged } from '../../../src/core/events.ts';
import { noMetrics } from '../../../src/core/metrics.ts';
import { type OpenOptions, type OpenSession, Registry } from '../../../src/core/registry.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';
import { FakeMessageStore } from '../../fixtures/fake-message-store.ts';
import { FaultyBroker } from '../../fixtures/faulty-broker.ts';
import { RecordingSink } from '../../fixtures/recording-sink.ts';
import { settle } from '../../fixtures/settle.ts';

let clock: FakeClock;
let broker: FaultyBroker;
let registry: Registry;
let errors: unknown[];

beforeEach(() => {
  clock = new FakeClock();
  broker = new FaultyBroker(clock);
  errors = [];
  registry = new Registry({
    store: new FakeMessageStore(),
    broker,
    clock,
    metrics: noMetrics,
    onError: (error) => errors.push(error),
  });
});

function open(
  userId: string,
  options: Partial<Pick<OpenOptions, 'watch' | 'seesEverybody'>> = {},
): OpenSession & { readonly sink: RecordingSink } {
  const sink = new RecordingSink();
  const opened = registry.open(
    { userId, replayAbove: 'received', watch: 'nobody', seesEverybody: false, ...options },
    sink,
  );
  return { ...opened, sink };
}

const append = (number: number): Promise<unknown> =>
  broker.append([
    {
      userId: 'bob',
      event: { type: 'conversationRead', readerId: 'alice', senderId: 'bob', upToSeq: number, atMs: 0 },
    },
  ]);

const heard = (sink: RecordingSink): number[] =>
  sink.events.flatMap((event) => (event.type === 'conversationRead' ? [event.upToSeq] : []));

test('sessions that all begin at once read a few at a time, and all of them in the end', async () => {
  let [running, most, reads] = [0, 0, 0];
  const counted = async <T>(read: () => Promise<T>): Promise<T> => {
    running += 1;
    reads += 1;
    most = Math.max(most, running);
    await settle(2);
    running -= 1;
    return read();
  };
  const store = new FakeMessageStore();
  const listPending = store.listPending.bind(store);
  store.listPending = (...page) => counted(() => listPending(...page));
  registry = new Registry({ store, broker, clock, metrics: noMetrics, onError: (error) => errors.push(error) });
  const sinks = Array.from({ length: 500 }, (_, index) => open(`user-${index}`).sink);
  await settle(200);
  expect(sinks.every(({ opened }) => opened !== undefined)).toBe(true);
  expect(reads).toBe(500);
  expect(most).toBe(20);
});

describe('the fan-out to the sessions of a user', () => {
  test('hands the same event object to each, over one subscription', async () => {
    const first = open('bob');
    const second = open('bob');
    await settle();
    await append(1);
    expect(broker.subscriptions).toBe(1);
    expect(heard(first.sink)).toEqual([1]);
    expect(first.sink.events[0]).toBe(second.sink.events[0]);
  });

  test('leaves the other sessions alone when one closes, and ends the subscription with the last', async () => {
    const first = open('bob');
    const second = open('bob');
    await settle();
    first.close();
    first.close();
    await append(1);
    expect(heard(first.sink)).toEqual([]);
    expect(heard(second.sink)).toEqual([1]);
    expect(registry.count).toBe(1);
    second.close();
    await settle();
    expect(broker.subscriptions).toBe(0);
    expect(registry.count).toBe(0);
  });

  test('reaches a session that joins while others are live', async () => {
    open('bob');
    await settle();
    const late = open('bob');
    await append(1);
    await settle();
    await append(2);
    expect(heard(late.sink).at(-1)).toBe(2);
  });

  test('survives a session that closes itself amid the fan-out', async () => {
    const first = open('bob');
    const second = open('bob');
    await settle();
    first.sink.onEvent = () => first.close();
    await append(1);
    await append(2);
    expect(heard(first.sink)).toEqual([1]);
    expect(heard(second.sink)).toEqual([1, 2]);
  });

  test('tells the sessions of doubtful streams to read again', async () => {
    const { sink } = open('bob');
    await settle();
    broker.fates = ['lost'];
    await append(1);
    expect(heard(sink)).toEqual([]);
    registry.doubt(['somebody', 'bob']);
    await settle();
    expect(heard(sink)).toEqual([1]);
  });

  test('ends all sessions of one user and no others', async () => {
    const first = open('bob');
    const second = open('bob');
    const other = open('carol');
    await settle();
    for (const item of [first, second]) item.sink.end = () => item.close();
    registry.endUser('bob', 'revoked');
    expect(registry.count).toBe(1);
    await append(1);
    expect(heard(first.sink)).toEqual([]);
    expect(other.sink.calls.some((call) => call.call === 'end')).toBe(false);
  });
});

describe('a subscription that takes its time', () => {
  test('starts no session before it is live', async () => {
    const gate = Promise.withResolvers<void>();
    broker.beforeSubscribe = () => gate.promise;
    const { sink } = open('bob');
    await settle();
    expect(sink.calls).toEqual([]);
    gate.resolve();
    await settle();
    expect(sink.opened).toBeDefined();
  });

  test('is ended when its only session has left meanwhile, and serves nobody', async () => {
    const gate = Promise.withResolvers<void>();
    broker.beforeSubscribe = () => gate.promise;
    const { close, sink } = open('bob');
    close();
    gate.resolve();
    await settle();
    expect(broker.subscriptions).toBe(0);
    expect(sink.calls).toEqual([]);
  });

  test('does not take the next session down when the last has left meanwhile', async () => {
    const first = Promise.withResolvers<void>();
    broker.beforeSubscribe = () => first.promise;
    open('bob').close();
    const second = Promise.withResolvers<void>();
    broker.beforeSubscribe = () => second.promise;
    const { sink } = open('bob');
    second.resolve();
    await settle();
    first.resolve();
    await settle();
    expect(broker.subscriptions).toBe(1);
    await append(1);
    expect(heard(sink)).toEqual([1]);
  });
});

describe('a subscription that fails', () => {
  test('ends the sessions that wait for it, with the error told', async () => {
    broker.unreachable = true;
    const { sink } = open('bob');
    await settle();
    expect(sink.calls).toEqual([{ call: 'end', reason: 'shuttingDown' }]);
    expect(errors).toHaveLength(1);
  });

  test('is not what the next session gets, even if the doors of the ended ones are slow to close', async () => {
    broker.unreachable = true;
    const failed = open('bob');
    await settle();
    broker.unreachable = false;
    const next = open('bob');
    await settle();
    expect(next.sink.opened).toBeDefined();
    failed.close();
    await append(1);
    expect(heard(next.sink)).toEqual([1]);
    expect(registry.count).toBe(1);
  });
});

describe('announcements of presence', () => {
  const event: PresenceChanged = {
    type: 'presenceChanged',
    changes: [
      { userId: 'alice', online: true },
      { userId: 'carol', online: false },
    ],
  };

  test.each<[string, OpenOptions['watch'], readonly string[]]>([
    ['nobody', 'nobody', []],
    ['everyone', 'everyone', ['alice', 'carol']],
    ['one of them', new Set(['carol']), ['carol']],
    ['somebody else', new Set(['dave']), []],
  ])('reach a session that watches %s with just that', async (_name, watch, expected) => {
    const { sink } = open('bob', { watch });
    await settle();
    await broker.broadcast(event);
    expect(sink.events.flatMap((item) => (item.type === 'presenceChanged' ? item.changes : []))).toEqual(
      event.changes.filter((change) => expected.includes(change.userId)),
    );
    expect(sink.events).toHaveLength(expected.length > 0 ? 1 : 0);
  });

  test('are the same object for all who watch everyone', async () => {
    const sinks = [open('bob', { watch: 'everyone' }).sink, open('dave', { watch: 'everyone' }).sink];
    await settle();
    await broker.broadcast(event);
    expect(sinks.map((sink) => sink.events[0])).toEqual([event, event]);
    expect(sinks.every((sink) => sink.events[0] === event)).toBe(true);
  });

  test('reach only their audience, and those who see everybody', async () => {
    const inside = open('bob', { watch: 'everyone' });
    const outside = open('dave', { watch: 'everyone' });
    const admin = open('root', { watch: 'everyone', seesEverybody: true });
    const service = open('root', { watch: new Set(['dave']), seesEverybody: true });
    await settle();
    await broker.broadcast(event, ['bob']);
    expect([inside, outside, admin, service].map((item) => item.sink.events.length)).toEqual([1, 0, 1, 0]);
  });

  test('follow a change of mind, and stop with the session', async () => {
    const session = open('bob');
    await settle();
    session.watch('everyone');
    await broker.broadcast(event);
    session.watch('nobody');
    await broker.broadcast(event);
    session.watch(new Set(['alice']));
    session.close();
    session.watch('everyone');
    await broker.broadcast(event);
    expect(session.sink.events).toHaveLength(1);
  });

  test('are no longer heard after close', async () => {
    const { sink } = open('bob', { watch: 'everyone' });
    await settle();
    registry.close();
    await broker.broadcast(event);
    expect(sink.events).toEqual([]);
  });
});
