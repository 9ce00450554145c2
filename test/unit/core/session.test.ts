import { beforeEach, describe, expect, test } from 'vitest';
import { MemoryBroker } from '../../../src/broker/memory.ts';
import type { StreamEvent, StreamPosition } from '../../../src/core/events.ts';
import type { Message } from '../../../src/core/message.ts';
import type { Broker, History, ReplayCursor, StreamEntry } from '../../../src/core/ports.ts';
import { NOWHERE, Session } from '../../../src/core/session.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';
import { FakeMessageStore } from '../../fixtures/fake-message-store.ts';
import { RecordingSink } from '../../fixtures/recording-sink.ts';
import { settle } from '../../fixtures/settle.ts';

let clock: FakeClock;
let store: FakeMessageStore;
let broker: MemoryBroker;
let errors: unknown[];

beforeEach(() => {
  clock = new FakeClock();
  store = new FakeMessageStore();
  broker = new MemoryBroker({ clock, maxEvents: 500 });
  errors = [];
});

/** Commits a message of alice to bob without publishing it. */
async function commit(id: string): Promise<Message> {
  const [outcome] = await store.write([
    { type: 'append', id, senderId: 'alice', receiverId: 'bob', text: id, atMs: clock.now() },
  ]);
  if (outcome?.type !== 'appended') throw new Error('The message was not stored');
  return outcome.message;
}

function publish(message: Message): Promise<unknown> {
  return broker.append([{ userId: 'bob', event: { type: 'messageSent', message } }]);
}

async function send(...ids: readonly string[]): Promise<void> {
  for (const id of ids) await publish(await commit(id));
}

const range = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `m${from + index}`);

interface Opening {
  readonly position?: StreamPosition;
  readonly sink?: RecordingSink;
  readonly source?: Pick<Broker, 'readSince' | 'top'>;
  readonly pending?: FakeMessageStore['listPending'];
  readonly above?: 'received' | 'delivered';
  readonly sinceMs?: number;
}

/** A session of bob whose subscription is live; it recovers when `start` is called. */
async function make(opening: Opening = {}): Promise<{ session: Session; sink: RecordingSink; entries: StreamEntry[] }> {
  const sink = opening.sink ?? new RecordingSink();
  const session = new Session(
    {
      store:
        opening.pending === undefined
          ? store
          : { listPending: opening.pending, findMessage: (id) => store.findMessage(id) },
      broker: opening.source ?? broker,
      clock,
      onError: (error) => errors.push(error),
    },
    {
      userId: 'bob',
      replayAbove: opening.above ?? 'delivered',
      ...(opening.position !== undefined && { position: opening.position }),
      replaySinceMs: opening.sinceMs,
    },
    sink,
  );
  const entries: StreamEntry[] = [];
  await broker.subscribe('bob', {
    onEntry: (entry) => {
      entries.push(entry);
      session.onEntry(entry);
    },
    onTransient: (event) => session.onTransient(event),
    onDoubt: () => session.onDoubt(),
  });
  return { session, sink, entries };
}

async function open(opening: Opening = {}): Promise<{ session: Session; sink: RecordingSink }> {
  const made = await make(opening);
  made.session.start();
  await settle();
  return made;
}

const read = (id: string): StreamEvent => ({
  type: 'statusAdvanced',
  status: 'read',
  readerId: 'alice',
  senderId: 'bob',
  upToSeq: 1,
  messageIds: [id],
  atMs: 0,
});

describe('a session without a position', () => {
  test('is ready at the top of its stream at once if nothing is pending, and does not claim to have recovered', async () => {
    const { sink } = await open();
    const top = await broker.top('bob');
    expect(sink.calls).toEqual([{ call: 'ready', position: top, recovered: false }]);
  });

  test('is brought what is pending, without positions, before it stands anywhere', async () => {
    await send('m1', 'm2');
    const { session, sink } = await open();
    const top = await broker.top('bob');
    expect(sink.opened).toEqual({ position: NOWHERE, recovered: false });
    expect(sink.messageIds).toEqual(['m1', 'm2']);
    expect(sink.calls.slice(1, 3)).toMatchObject([
      { position: undefined, replayed: true },
      { position: undefined, replayed: true },
    ]);
    expect(sink.calls.at(-1)).toEqual({ call: 'caughtUp', position: top });
    expect(session.position).toEqual(top);
  });

  test('goes on live with the positions of the stream', async () => {
    await send('m1');
    const { sink } = await open();
    await send('m2');
    expect(sink.calls.at(-1)).toMatchObject({ call: 'event', position: { offset: 2 }, replayed: false });
    expect(sink.messageIds).toEqual(['m1', 'm2']);
  });

  test('treats an empty epoch as no position, whatever the offset', async () => {
    await send('m1');
    const { sink } = await open({ position: { epoch: '', offset: 1 } });
    expect(sink.opened).toEqual({ position: NOWHERE, recovered: false });
    expect(sink.messageIds).toEqual(['m1']);
  });

  test('is also replayed what was sent since a time, until a replay is complete', async () => {
    for (const id of ['m1', 'm2', 'm3', 'm4']) {
      await send(id);
      await clock.advance(1000);
    }
    await store.write([{ type: 'advance', personId: 'bob', otherId: 'alice', kind: 'received', toSeq: 4, atMs: 0 }]);
    const sinceMs = clock.now() - 3000;
    let failures = 1;
    store.fault = () => {
      failures -= 1;
      if (failures >= 0) throw new Error('The store is away');
    };
    const { session, sink } = await open({ above: 'received', sinceMs });
    await clock.advance(1000);
    expect(sink.messageIds).toEqual(['m2', 'm3', 'm4']);
    // The stream has lost its history: what counts now is the cursor alone.
    session.onEntry({ position: { epoch: 'another', offset: 1 }, event: read('m1') });
    await settle();
    await send('m5');
    expect(sink.messageIds).toEqual(['m2', 'm3', 'm4', 'm5']);
  });

  test.each(['received', 'delivered'] as const)('is replayed what lies above its %s cursor', async (above) => {
    await send(...range(1, 4));
    await store.write([{ type: 'advance', personId: 'bob', otherId: 'alice', kind: 'received', toSeq: 3, atMs: 0 }]);
    await store.write([{ type: 'advance', personId: 'bob', otherId: 'alice', kind: 'delivered', toSeq: 1, atMs: 0 }]);
    const { sink } = await open({ above });
    expect(sink.messageIds).toEqual(above === 'received' ? ['m4'] : ['m2', 'm3', 'm4']);
  });

  test('pages a long replay and waits for room between the pages', async () => {
    await send(...range(1, 250));
    const sink = new RecordingSink();
    sink.full = true;
    const { session } = await open({ sink });
    expect(sink.messageIds).toEqual(range(1, 100));
    expect(sink.calls.some((call) => call.call === 'caughtUp')).toBe(false);
    expect(session.position).toEqual(NOWHERE);
    sink.release();
    await settle();
    expect(sink.messageIds).toEqual(range(1, 250));
    expect(sink.calls.at(-1)?.call).toBe('caughtUp');
  });

  test('gets a message that is committed and published while it pages, once and after the older ones', async () => {
    await send(...range(1, 100));
    const sink = new RecordingSink();
    sink.full = true;
    await open({ sink });
    await send('m101');
    sink.release();
    await settle();
    await send('m102');
    expect(sink.messageIds).toEqual(range(1, 102));
  });

  test('keeps the order of a conversation whose messages are committed between pages and sort around their end', async () => {
    for (const id of range(1, 120)) {
      await store.write([{ type: 'append', id, senderId: 'carol', receiverId: 'bob', text: id, atMs: clock.now() }]);
    }
    const sink = new RecordingSink();
    sink.full = true;
    await open({ sink });
    const first = await commit('alice1');
    await clock.advance(1);
    const second = await commit('alice2');
    sink.release();
    await settle();
    await publish(first);
    await publish(second);
    expect(sink.messageIds).toEqual([...range(1, 120), 'alice1', 'alice2']);
  });

  test('pages what is older than a minute and takes the rest in one stroke', async () => {
    await send(...range(1, 250));
    await clock.advance(61_000);
    await send(...range(251, 400));
    const limits: number[] = [];
    const { sink } = await open({
      pending: (userId, page) => {
        limits.push(page.limit);
        return store.listPending(userId, page);
      },
    });
    expect(sink.messageIds).toEqual(range(1, 400));
    expect(limits).toEqual([100, 100, 100, 2000]);
  });

  test('gets the rest of a stroke even if another device acknowledged it meanwhile, but nothing that was deleted', async () => {
    await send(...range(1, 250));
    const sink = new RecordingSink();
    sink.full = true;
    await open({ sink });
    await store.write([
      { type: 'advance', personId: 'bob', otherId: 'alice', kind: 'read', toSeq: 250, atMs: clock.now() },
      { type: 'delete', messageId: 'm200', atMs: clock.now() },
    ]);
    sink.release();
    await settle();
    expect(sink.messageIds).toEqual([...range(1, 199), ...range(201, 250)]);
    expect(sink.calls.at(-1)?.call).toBe('caughtUp');
  });

  test('gets a message that was committed before the replay and is published after it, once', async () => {
    const late = await commit('m1');
    const { sink } = await open();
    expect(sink.messageIds).toEqual(['m1']);
    await publish(late);
    await send('m2');
    expect(sink.messageIds).toEqual(['m1', 'm2']);
    expect(sink.clientPosition).toEqual(await broker.top('bob'));
  });

  test('gets what was replayed once, however late the stream brings it too', async () => {
    const late = [await commit('m1'), await commit('m2')];
    await clock.advance(61_000);
    const { session, sink } = await open();
    await clock.advance(61_000);
    // The stream lost its history once more: what was replayed before is known all the same.
    await store.write([{ type: 'advance', personId: 'bob', otherId: 'alice', kind: 'delivered', toSeq: 2, atMs: 0 }]);
    session.onEntry({ position: { epoch: 'another', offset: 1 }, event: read('x') });
    await settle();
    for (const message of late) await publish(message);
    await send('m3');
    expect(sink.messageIds).toEqual(['m1', 'm2', 'm3']);
    expect(sink.clientPosition).toEqual(await broker.top('bob'));
  });

  test('gets a message that no replay brought, though one brought its successors', async () => {
    const late = await commit('m1');
    await send('m2');
    const { sink } = await open({
      pending: async (userId, page) => {
        const messages = await store.listPending(userId, page);
        return messages.filter(({ id }) => id !== 'm1');
      },
    });
    await publish(late);
    expect(sink.messageIds).toEqual(['m2', 'm1']);
  });

  test('gets what comes between the subscription and the reading of the top once', async () => {
    const { session, sink } = await make();
    await send('m1');
    session.start();
    await send('m2');
    await settle();
    expect(sink.messageIds).toEqual(['m1', 'm2']);
  });
});

describe('a session with a position', () => {
  test('is told that it recovered, and gets exactly what followed, with positions', async () => {
    await send('m1', 'm2');
    const position = await broker.top('bob');
    await send('m3', 'm4');
    const { sink } = await open({ position });
    expect(sink.opened).toEqual({ position, recovered: true });
    expect(sink.messageIds).toEqual(['m3', 'm4']);
    expect(sink.calls.slice(1)).toMatchObject([
      { position: { offset: 3 }, replayed: true },
      { position: { offset: 4 }, replayed: true },
    ]);
    expect(sink.calls.some((call) => call.call === 'caughtUp')).toBe(false);
  });

  test('merges what came meanwhile behind the history, without repeats', async () => {
    await send('m1');
    const position = await broker.top('bob');
    await send('m2');
    const { session, sink } = await make({ position });
    await send('m3');
    session.start();
    await send('m4');
    await settle();
    await send('m5');
    expect(sink.opened?.recovered).toBe(true);
    expect(sink.messageIds).toEqual(['m2', 'm3', 'm4', 'm5']);
  });

  test.each<[string, (top: StreamPosition) => StreamPosition]>([
    ['another epoch', () => ({ epoch: 'gone', offset: 1 })],
    ['an offset from the future', (top) => ({ ...top, offset: top.offset + 1 })],
  ])('that has %s is brought up to date from the store', async (_name, change) => {
    await send('m1', 'm2');
    const top = await broker.top('bob');
    const { sink } = await open({ position: change(top) });
    expect(sink.opened).toEqual({ position: NOWHERE, recovered: false });
    expect(sink.messageIds).toEqual(['m1', 'm2']);
    expect(sink.calls.at(-1)).toEqual({ call: 'caughtUp', position: top });
  });

  test('that the history no longer reaches is brought up to date from the store', async () => {
    const position = await broker.top('bob');
    await send(...range(1, 800));
    const { sink } = await open({ position });
    expect(sink.opened?.recovered).toBe(false);
    expect(sink.messageIds).toEqual(range(1, 800));
  });

  test.each<[string, (history: History) => History]>([
    ['leaves one out', (history) => ({ ...history, entries: history.entries.filter((_, index) => index !== 1) })],
    ['stops before its top', (history) => ({ ...history, entries: history.entries.slice(0, -1) })],
    ['begins too late', (history) => ({ ...history, entries: history.entries.slice(1) })],
  ])('is not told that it recovered by a history that says it is complete and %s', async (_name, damage) => {
    const position = await broker.top('bob');
    await send('m1', 'm2', 'm3');
    const { sink } = await open({
      position,
      source: {
        top: (userId) => broker.top(userId),
        readSince: async (userId, since, limit) => damage(await broker.readSince(userId, since, limit)),
      },
    });
    expect(sink.opened?.recovered).toBe(false);
    expect(sink.messageIds).toEqual(['m1', 'm2', 'm3']);
  });

  test('waits for room while a long history is handed on, and merges what came meanwhile', async () => {
    const position = await broker.top('bob');
    await send(...range(1, 250));
    const sink = new RecordingSink();
    sink.full = true;
    const { session } = await open({ position, sink });
    expect(sink.messageIds).toHaveLength(100);
    expect(session.position.offset).toBe(100);
    await send('m251');
    expect(sink.messageIds).toHaveLength(100);
    sink.release();
    await settle();
    expect(sink.messageIds).toEqual(range(1, 251));
  });
});

describe('a live session', () => {
  test('fills a gap from the history before it goes on', async () => {
    const { session, sink, entries } = await liveWithoutStream();
    await send('m1', 'm2', 'm3');
    deliver(session, entries, 1, 3);
    await settle();
    expect(sink.messageIds).toEqual(['m1', 'm2', 'm3']);
    expect(sink.calls.map((call) => ('position' in call ? call.position?.offset : undefined))).toEqual([0, 1, 2, 3]);
  });

  test('drops an entry that comes twice', async () => {
    const { session, sink, entries } = await liveWithoutStream();
    await send('m1', 'm2');
    deliver(session, entries, 1, 2, 1, 2);
    await settle();
    expect(sink.messageIds).toEqual(['m1', 'm2']);
  });

  test('fills a gap from the store if the history was trimmed, and says where it stands then', async () => {
    const { session, sink, entries } = await liveWithoutStream();
    await send('m1');
    deliver(session, entries, 1);
    await clock.advance(600_001);
    await send('m2');
    await clock.advance(600_001);
    await send('m3');
    deliver(session, entries, 3);
    await settle();
    expect(new Set(sink.messageIds)).toEqual(new Set(['m1', 'm2', 'm3']));
    expect(sink.calls.at(-1)).toEqual({ call: 'caughtUp', position: await broker.top('bob') });
  });

  test('says where it stands after another epoch even if nothing is pending', async () => {
    const { session, sink } = await open();
    const second = new MemoryBroker({ clock });
    broker.readSince = (...args) => second.readSince(...args);
    broker.top = (userId) => second.top(userId);
    session.onDoubt();
    await settle();
    expect(sink.calls.at(-1)).toEqual({ call: 'caughtUp', position: await second.top('bob') });
  });

  test('reads again when the broker doubts, and finds what was dropped without a later entry', async () => {
    const { session, sink } = await liveWithoutStream();
    await send('m1', 'm2');
    expect(sink.messageIds).toEqual([]);
    session.onDoubt();
    await settle();
    expect(sink.messageIds).toEqual(['m1', 'm2']);
  });

  test('reads again when the broker doubts while it recovers', async () => {
    let during: () => void = () => undefined;
    const { session, sink } = await liveWithoutStream({
      readSince: async (userId, since, limit) => {
        const history = await broker.readSince(userId, since, limit);
        await send('late');
        during();
        during = () => undefined;
        return history;
      },
    });
    during = () => session.onDoubt();
    session.onDoubt();
    await settle();
    expect(sink.messageIds).toContain('late');
  });

  test('does not spin when an entry of an ended stream comes late', async () => {
    let reads = 0;
    const { session, sink } = await liveWithoutStream({
      readSince: (userId, since, limit) => {
        reads += 1;
        return broker.readSince(userId, since, limit);
      },
    });
    await send('m1');
    session.onDoubt();
    await settle();
    reads = 0;
    const message = await commit('m2');
    session.onEntry({ position: { epoch: 'ended', offset: 7 }, event: { type: 'messageSent', message } });
    await settle(50);
    expect(reads).toBeLessThan(4);
    expect(sink.messageIds).toContain('m2');
    await send('m3');
    session.onDoubt();
    await settle();
    expect(sink.messageIds.at(-1)).toBe('m3');
  });

  test('does not spin when the epoch changes while it recovers', async () => {
    const { session, sink } = await make();
    const message = await commit('m1');
    session.onEntry({ position: { epoch: 'ended', offset: 1 }, event: { type: 'messageSent', message } });
    session.start();
    await settle(50);
    expect(sink.messageIds).toEqual(['m1']);
    await send('m2');
    expect(sink.messageIds).toEqual(['m1', 'm2']);
  });

  test('waits between its questions to a broker whose history lags behind what it publishes', async () => {
    let reads = 0;
    let lags = true;
    const { session, sink, entries } = await liveWithoutStream({
      readSince: async (userId, since, limit) => {
        reads += 1;
        return lags ? { entries: [], complete: true, top: since } : broker.readSince(userId, since, limit);
      },
    });
    await send('m1', 'm2');
    reads = 0;
    deliver(session, entries, 2);
    await settle(50);
    expect(reads).toBe(1);
    lags = false;
    await clock.advance(5000);
    expect(sink.messageIds).toEqual(['m1', 'm2']);
  });

  test('hands on transient events, and presence also while it heals', async () => {
    const { session, sink } = await open();
    session.onTransient({ type: 'typing', fromUserId: 'alice', toUserId: 'bob', active: true });
    store.fault = () => Promise.reject(new Error('down'));
    broker.readSince = () => Promise.reject(new Error('down'));
    session.onDoubt();
    session.onTransient({ type: 'typing', fromUserId: 'alice', toUserId: 'bob', active: false });
    session.onTransient({ type: 'presenceChanged', changes: [{ userId: 'alice', online: false }] });
    expect(sink.events).toEqual([
      { type: 'typing', fromUserId: 'alice', toUserId: 'bob', active: true },
      { type: 'presenceChanged', changes: [{ userId: 'alice', online: false }] },
    ]);
  });

  test('drops transient events before it is ready', async () => {
    const { session, sink } = await make();
    session.onTransient({ type: 'presenceChanged', changes: [{ userId: 'alice', online: true }] });
    session.start();
    await settle();
    expect(sink.events).toEqual([]);
  });

  /** A live session that hears nothing by itself: the test hands it entries of the stream. */
  async function liveWithoutStream(
    source: Partial<Pick<Broker, 'readSince' | 'top'>> = {},
  ): Promise<{ session: Session; sink: RecordingSink; entries: StreamEntry[] }> {
    const sink = new RecordingSink();
    const session = new Session(
      {
        store,
        broker: {
          top: (userId) => broker.top(userId),
          readSince: (userId, since, limit) => broker.readSince(userId, since, limit),
          ...source,
        },
        clock,
        onError: (error) => errors.push(error),
      },
      { userId: 'bob', replayAbove: 'delivered' },
      sink,
    );
    const entries: StreamEntry[] = [];
    await broker.subscribe('bob', {
      onEntry: (entry) => entries.push(entry),
      onTransient: () => undefined,
      onDoubt: () => undefined,
    });
    session.start();
    await settle();
    return { session, sink, entries };
  }

  function deliver(session: Session, entries: readonly StreamEntry[], ...offsets: readonly number[]): void {
    for (const offset of offsets) {
      const entry = entries.find((item) => item.position.offset === offset);
      if (entry === undefined) throw new Error(`No entry ${offset}`);
      session.onEntry(entry);
    }
  }
});

describe('a session whose store or broker fails', () => {
  test('is ready all the same, keeps trying, and then misses nothing', async () => {
    await send('m1');
    store.fault = () => Promise.reject(new Error('down'));
    const { sink } = await open();
    expect(sink.calls).toEqual([{ call: 'ready', position: NOWHERE, recovered: false }]);
    await clock.advance(3000);
    expect(errors.length).toBeGreaterThan(2);
    store.fault = () => undefined;
    await send('m2');
    await clock.advance(2000);
    expect(sink.messageIds).toEqual(['m1', 'm2']);
    expect(sink.calls.at(-1)).toEqual({ call: 'caughtUp', position: await broker.top('bob') });
  });

  test('is told where it stands after a failure even if nothing was pending', async () => {
    store.fault = () => Promise.reject(new Error('down'));
    const { sink } = await open();
    store.fault = () => undefined;
    await clock.advance(2000);
    expect(sink.calls.at(-1)).toEqual({ call: 'caughtUp', position: await broker.top('bob') });
  });

  test('asks less and less often', async () => {
    store.fault = () => Promise.reject(new Error('down'));
    await open();
    await clock.advance(60_000);
    expect(errors.length).toBeGreaterThan(25);
    expect(errors.length).toBeLessThan(40);
  });

  test('repeats a replay that broke off, in order', async () => {
    await send(...range(1, 150));
    await clock.advance(61_000);
    let pages = 0;
    store.fault = (method) => {
      if (method === 'listPending') pages += 1;
      if (pages === 2) throw new Error('down');
    };
    const { sink } = await open();
    expect(sink.messageIds).toEqual(range(1, 100));
    await clock.advance(100);
    await settle();
    expect([...new Set(sink.messageIds)]).toEqual(range(1, 150));
    expect(sink.calls.filter((call) => call.call === 'ready')).toHaveLength(1);
    expect(sink.calls.filter((call) => call.call === 'caughtUp')).toHaveLength(1);
  });

  test('that has a position goes on behind it once the broker answers', async () => {
    await send('m1');
    const position = await broker.top('bob');
    await send('m2');
    let down = true;
    const { sink } = await open({
      position,
      source: {
        top: (userId) => broker.top(userId),
        readSince: (userId, since, limit) =>
          down ? Promise.reject(new Error('down')) : broker.readSince(userId, since, limit),
      },
    });
    expect(sink.opened).toEqual({ position: NOWHERE, recovered: false });
    down = false;
    await clock.advance(100);
    expect(sink.messageIds).toEqual(['m2']);
    expect(sink.clientPosition).toEqual(await broker.top('bob'));
  });

  test('ends as a slow consumer when more comes meanwhile than it may hold', async () => {
    store.fault = () => Promise.reject(new Error('down'));
    const { session, sink } = await open();
    const { epoch } = await broker.top('bob');
    for (let offset = 1; offset <= 10_001; offset += 1) {
      session.onEntry({ position: { epoch, offset }, event: read('x') });
    }
    expect(sink.calls.at(-1)).toEqual({ call: 'end', reason: 'slowConsumer' });
    expect(sink.calls.filter((call) => call.call === 'end')).toHaveLength(1);
    expect(clock.pending).toBe(1); // the broker's own timer, no retry
  });
});

describe('a session that is closed', () => {
  const silent = (sink: RecordingSink, before: number): void => expect(sink.calls).toHaveLength(before);

  test('before it starts, asks nothing and says nothing', async () => {
    let asked = 0;
    store.fault = () => {
      asked += 1;
    };
    const { session, sink } = await make();
    session.close();
    session.start();
    await settle();
    silent(sink, 0);
    expect(asked).toBe(0);
  });

  test.each(['top', 'listPending'] as const)('while it waits for %s, says nothing more', async (step) => {
    await send('m1');
    const gate = Promise.withResolvers<void>();
    const { session, sink } = await open({
      source: {
        readSince: (...args) => broker.readSince(...args),
        top: async (userId) => {
          if (step === 'top') await gate.promise;
          return broker.top(userId);
        },
      },
      pending: async (userId, page: { above: 'delivered'; after?: ReplayCursor; limit: number }) => {
        if (step === 'listPending') await gate.promise;
        return store.listPending(userId, page);
      },
    });
    session.close();
    gate.resolve();
    await settle();
    silent(sink, 0);
  });

  test('while it waits for the history, says nothing more', async () => {
    const position = await broker.top('bob');
    await send('m1');
    const gate = Promise.withResolvers<void>();
    const { session, sink } = await open({
      position,
      source: {
        top: (userId) => broker.top(userId),
        readSince: async (userId, since, limit) => {
          await gate.promise;
          return broker.readSince(userId, since, limit);
        },
      },
    });
    session.close();
    gate.resolve();
    await settle();
    silent(sink, 0);
  });

  test.each(['released', 'rejected'])('while it waits for room that is then %s, says nothing more', async (how) => {
    await send(...range(1, 150));
    const sink = new RecordingSink();
    sink.full = true;
    const { session } = await open({ sink });
    expect(sink.waiting).toBe(1);
    const before = sink.calls.length;
    session.close();
    if (how === 'released') sink.release();
    else sink.reject();
    await settle();
    await clock.advance(10_000);
    silent(sink, before);
    expect(errors).toEqual([]);
  });

  test('while it waits to try again, does not try again', async () => {
    store.fault = () => Promise.reject(new Error('down'));
    const { session, sink } = await open();
    session.close();
    const failures = errors.length;
    await clock.advance(10_000);
    expect(errors).toHaveLength(failures);
    silent(sink, 1);
  });

  test.each<[string, () => Promise<Opening>]>([
    ['a replay from the store', async () => ({})],
    ['a history', async () => ({ position: { ...(await broker.top('bob')), offset: 0 } })],
  ])('by its sink amid %s, gets nothing more and does not come back to life', async (_name, opening) => {
    await send(...range(1, 5));
    const sink = new RecordingSink();
    const made = await make({ ...(await opening()), sink });
    sink.onEvent = () => {
      if (sink.events.length === 2) made.session.end('slowConsumer');
    };
    made.session.start();
    await settle();
    await send('m6');
    expect(sink.messageIds).toEqual(['m1', 'm2']);
    expect(sink.calls.at(-1)).toEqual({ call: 'end', reason: 'slowConsumer' });
  });

  test('by its sink amid what was held back, does not come back to life', async () => {
    const sink = new RecordingSink();
    const { session } = await make({ sink });
    const { epoch } = await broker.top('bob');
    session.start();
    for (let offset = 1; offset <= 3; offset += 1)
      session.onEntry({ position: { epoch, offset }, event: read(`${offset}`) });
    sink.onEvent = () => session.end('slowConsumer');
    await settle();
    session.onTransient({ type: 'typing', fromUserId: 'alice', toUserId: 'bob', active: true });
    session.onEntry({ position: { epoch, offset: 4 }, event: read('4') });
    expect(sink.events).toHaveLength(1);
    expect(sink.calls.at(-1)).toEqual({ call: 'end', reason: 'slowConsumer' });
  });

  test('says its end once', async () => {
    const { session, sink } = await open();
    session.end('revoked');
    session.end('slowConsumer');
    session.close();
    await send('m1');
    session.onDoubt();
    await settle();
    expect(sink.calls.slice(1)).toEqual([{ call: 'end', reason: 'revoked' }]);
  });
});
