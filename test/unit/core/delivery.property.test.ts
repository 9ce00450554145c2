/** What a client can rely on, whatever is lost on the way: the whole path from the store to a session, at random. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { StreamPosition } from '../../../src/core/events.ts';
import type { Message } from '../../../src/core/message.ts';
import { noMetrics } from '../../../src/core/metrics.ts';
import { type OpenSession, Registry } from '../../../src/core/registry.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';
import { FakeMessageStore } from '../../fixtures/fake-message-store.ts';
import { type Fate, FaultyBroker } from '../../fixtures/faulty-broker.ts';
import { RecordingSink } from '../../fixtures/recording-sink.ts';
import { settle } from '../../fixtures/settle.ts';

const SENDERS = ['alice', 'carol'] as const;

type Action =
  | { readonly type: 'commit'; readonly senderId: (typeof SENDERS)[number]; readonly count: number }
  | { readonly type: 'publish'; readonly count: number }
  | { readonly type: 'status' }
  | { readonly type: 'fates'; readonly fates: readonly Fate[] }
  | { readonly type: 'deliverLate' }
  | { readonly type: 'forget'; readonly withDoubt: boolean }
  | { readonly type: 'process'; readonly share: number }
  | { readonly type: 'acknowledge' }
  | { readonly type: 'disconnect'; readonly share: number }
  | { readonly type: 'connect'; readonly withPosition: boolean }
  | { readonly type: 'store'; readonly down: boolean }
  | { readonly type: 'sink'; readonly full: boolean }
  | { readonly type: 'time'; readonly ms: number };

/** Bob's only device, and everything between it and the people who write to him. */
class World {
  readonly clock = new FakeClock();
  readonly store = new FakeMessageStore();
  readonly broker = new FaultyBroker(this.clock);
  readonly registry = new Registry({
    store: this.store,
    broker: this.broker,
    clock: this.clock,
    metrics: noMetrics,
    onError: () => undefined,
  });
  readonly committed: Message[] = [];
  readonly seen = new Map<string, Message>();
  readonly statuses: number[] = [];
  /** False once the client was told, in whichever way, that something other than messages may be missing. */
  continuous = true;
  statusCount = 0;
  #unpublished: Message[] = [];
  #connection: { readonly open: OpenSession; readonly sink: RecordingSink; processed: number } | undefined;
  #position: StreamPosition | undefined;
  #firstConnection = true;

  async run(action: Action): Promise<void> {
    switch (action.type) {
      case 'commit':
        for (let index = 0; index < action.count; index += 1) await this.commit(action.senderId);
        break;
      case 'publish':
        await this.publish(action.count);
        break;
      case 'status':
        await this.#appendStatus();
        break;
      case 'fates':
        this.broker.fates = [...action.fates];
        break;
      case 'deliverLate':
        this.broker.deliverLate();
        break;
      case 'forget':
        // Status events may be lost with the log; only a client that is connected or resumes can tell.
        this.continuous = false;
        await this.broker.forget(action.withDoubt);
        break;
      case 'process':
        this.process(action.share);
        break;
      case 'acknowledge':
        await this.acknowledge();
        break;
      case 'disconnect':
        this.disconnect(action.share);
        break;
      case 'connect':
        this.connect(action.withPosition);
        break;
      case 'store':
        this.store.fault = (method) => {
          if (action.down && method === 'listPending') throw new Error('The store is away');
        };
        break;
      case 'sink':
        if (this.#connection === undefined) break;
        if (action.full) this.#connection.sink.full = true;
        else this.#connection.sink.release();
        break;
      case 'time':
        await this.clock.advance(action.ms);
        break;
    }
  }

  async commit(senderId: string): Promise<void> {
    const id = `${senderId}-${this.committed.length}`;
    const [outcome] = await this.store.write([
      { type: 'append', id, senderId, receiverId: 'bob', text: id, atMs: this.clock.now() },
    ]);
    if (outcome?.type !== 'appended') throw new Error('The message was not stored');
    this.committed.push(outcome.message);
    this.#unpublished.push(outcome.message);
  }

  async publish(count: number): Promise<void> {
    for (const message of this.#unpublished.splice(0, count)) {
      await this.broker.append([{ userId: 'bob', event: { type: 'messageSent', message } }]);
    }
  }

  connect(withPosition: boolean): void {
    if (this.#connection !== undefined) return;
    const sink = new RecordingSink();
    const position = withPosition ? this.#position : undefined;
    if (position === undefined && !this.#firstConnection) this.continuous = false;
    this.#firstConnection = false;
    const open = this.registry.open(
      {
        userId: 'bob',
        replayAbove: 'delivered',
        watch: 'nobody',
        seesEverybody: false,
        ...(position !== undefined && { position }),
      },
      sink,
    );
    this.#connection = { open, sink, processed: 0 };
  }

  /** The device takes a share of what was written to it; the rest is still on its way. */
  process(share: number): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    const { calls } = connection.sink;
    const upTo = connection.processed + Math.ceil((calls.length - connection.processed) * share);
    for (const call of calls.slice(connection.processed, upTo)) {
      if (call.call === 'end') continue;
      if (call.call === 'ready' && !call.recovered && this.#position !== undefined) this.continuous = false;
      if (call.call === 'caughtUp') this.continuous = false;
      if (call.position !== undefined && call.position.epoch !== '') this.#position = call.position;
      if (call.call !== 'event') continue;
      if (call.event.type === 'statusAdvanced') this.statuses.push(call.event.upToSeq);
      if (call.event.type === 'messageSent') this.#see(call.event.message);
    }
    connection.processed = upTo;
  }

  async acknowledge(): Promise<void> {
    for (const senderId of SENDERS) {
      const toSeq = Math.max(0, ...this.seenFrom(senderId).map((message) => message.seq));
      await this.store.write([
        { type: 'advance', personId: 'bob', otherId: senderId, kind: 'delivered', toSeq, atMs: this.clock.now() },
      ]);
    }
  }

  /** The device takes a share of what is on its way; the rest never arrives. */
  disconnect(share: number): void {
    this.process(share);
    this.#connection?.sink.reject();
    this.#connection?.open.close();
    this.#connection = undefined;
  }

  seenFrom(senderId: string): Message[] {
    return [...this.seen.values()].filter((message) => message.senderId === senderId);
  }

  /** Everything is healthy again and one more event comes, so that a gap shows. */
  async end(): Promise<void> {
    this.broker.fates = [];
    this.store.fault = () => undefined;
    await this.publish(Number.POSITIVE_INFINITY);
    this.connect(true);
    await this.run({ type: 'sink', full: false });
    for (const senderId of SENDERS) await this.commit(senderId);
    await this.publish(Number.POSITIVE_INFINITY);
    await this.clock.advance(30_000);
    await settle();
    this.process(1);
  }

  /** The order of first sight is the order of the map. */
  #see(message: Message): void {
    if (!this.seen.has(message.id)) this.seen.set(message.id, message);
  }

  async #appendStatus(): Promise<void> {
    this.statusCount += 1;
    await this.broker.append([
      {
        userId: 'bob',
        event: {
          type: 'statusAdvanced',
          status: 'read',
          readerId: 'alice',
          senderId: 'bob',
          upToSeq: this.statusCount,
          messageIds: [],
          atMs: 0,
        },
      },
    ]);
  }
}

const share = fc.constantFrom(0, 0.3, 0.7, 1);
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('commit' as const),
      senderId: fc.constantFrom(...SENDERS),
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('commit' as const),
      senderId: fc.constantFrom(...SENDERS),
      count: fc.constant(120),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ type: fc.constant('publish' as const), count: fc.integer({ min: 1, max: 150 }) }),
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('status' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('fates' as const),
      fates: fc.array(fc.constantFrom<Fate>('arrives', 'lost', 'lostWithDoubt', 'late'), { maxLength: 6 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('deliverLate' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('forget' as const), withDoubt: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('process' as const), share }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('acknowledge' as const) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('disconnect' as const), share }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('connect' as const), withPosition: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('store' as const), down: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('sink' as const), full: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('time' as const), ms: fc.constantFrom(1, 150, 3000, 61_000) }),
  },
);
const schedule = fc.array(fc.record({ action, turns: fc.integer({ min: 0, max: 3 }) }), {
  maxLength: 60,
  size: 'max',
});

async function play(steps: readonly { readonly action: Action; readonly turns: number }[]): Promise<World> {
  const world = new World();
  world.connect(false);
  await settle();
  for (const step of steps) {
    await world.run(step.action);
    await settle(step.turns);
  }
  await world.end();
  return world;
}

test('a device sees every message, and in order, whatever the broker loses and however often it reconnects', async () => {
  await fc.assert(
    fc.asyncProperty(schedule, async (steps) => {
      const world = await play(steps);
      for (const senderId of SENDERS) {
        const sent = world.committed.filter((message) => message.senderId === senderId);
        expect(world.seenFrom(senderId).map((message) => message.seq)).toEqual(sent.map((message) => message.seq));
      }
    }),
    { numRuns: 300 },
  );
}, 120_000);

test('a device that was always told it recovered has every event of its stream, once and in order', async () => {
  let provable = 0;
  await fc.assert(
    fc.asyncProperty(schedule, async (steps) => {
      const world = await play(steps.filter((step) => step.action.type !== 'forget'));
      if (!world.continuous) return;
      provable += 1;
      expect(world.statuses).toEqual(Array.from({ length: world.statusCount }, (_, index) => index + 1));
    }),
    { numRuns: 300 },
  );
  expect(provable).toBeGreaterThan(20);
}, 120_000);
