/** What Redis and the network do to a broker, on a real server: a subscriber ends up with everything, in order, once. */
import { RESP_TYPES } from 'redis';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openRedisBroker, type RedisBroker, type RedisBrokerOptions } from '../../../../src/broker/redis/broker.ts';
import type { StreamEvent } from '../../../../src/core/events.ts';
import { noMetrics } from '../../../../src/core/metrics.ts';
import { Publisher } from '../../../../src/core/publisher.ts';
import { TcpProxy } from '../../../e2e/support/tcp-proxy.ts';
import { type Client, RedisServer, redisSkipReason } from '../../../servers/redis-server.ts';
import { Follower } from './follower.ts';

const PLACE = 'carepro_{bob}:place';
const LOG = 'carepro_{bob}:log';
const CHANNEL = 'carepro_{bob}';

const nobody = { onEntry: () => {}, onTransient: () => {}, onDoubt: () => {} };

function sent(id: string): StreamEvent {
  // Each the first of a conversation, so that none leaves a gap.
  const message = { id, seq: 1, senderId: `sender of ${id}`, receiverId: 'bob', text: 'text', sentAtMs: 1 };
  return { type: 'messageSent', message };
}

describe.skipIf(redisSkipReason !== undefined)(`Faults of Redis ${redisSkipReason ?? ''}`, () => {
  let server: RedisServer;
  let closing: AsyncDisposable[];
  let errors: unknown[];
  /** Everything that was sent, as the store has it. */
  let store: string[];

  beforeEach(async () => {
    server = await RedisServer.start();
    closing = [server];
    errors = [];
    store = [];
  });
  afterEach(async () => {
    for (const resource of closing.toReversed()) await resource[Symbol.asyncDispose]();
  });

  async function open(options: Partial<RedisBrokerOptions> = {}): Promise<RedisBroker> {
    const broker = await openRedisBroker({
      url: server.url,
      checkMs: 3_600_000,
      deadlineMs: 500,
      pingMs: 100,
      onError: (error) => errors.push(error),
      ...options,
    });
    closing.push(broker);
    return broker;
  }

  async function follow(broker: RedisBroker): Promise<Follower> {
    const follower = new Follower(broker, 'bob', store);
    await follower.start();
    return follower;
  }

  /** Commits messages to the store and publishes them as the server does, across outages. */
  function sender(broker: RedisBroker): (from: number, to: number) => void {
    const publisher = new Publisher(broker, noMetrics, { onPublishFailed: () => undefined });
    closing.push({ [Symbol.asyncDispose]: () => publisher.close() });
    return (from, to) => {
      for (let number = from; number <= to; number += 1) {
        store.push(`m${number}`);
        publisher.publish(sent(`m${number}`), 'bob');
      }
    };
  }

  const has = (follower: Follower, last: number): Promise<void> =>
    vi.waitFor(() => expect(follower.have).toEqual(Array.from({ length: last }, (_, index) => `m${index + 1}`)), {
      timeout: 15_000,
      interval: 20,
    });
  const rejects = (append: Promise<unknown>): Promise<unknown> =>
    append.then(
      () => Promise.reject(new Error('The append was taken')),
      (error: unknown) => error,
    );

  test('what one instance appends the other delivers, in order, whoever subscribes meanwhile', async () => {
    const [one, two] = [await open(), await open()];
    const early = await follow(two);
    const send = sender(one);
    send(1, 200);
    const late = await follow(two);
    send(201, 400);
    await has(early, 400);
    await vi.waitFor(() => expect(late.have.at(-1)).toBe('m400'));
    expect(late.have).toEqual(store);
    expect(early.storeReads).toBe(1);
  });

  test('subscribing first and reading then misses nothing, whatever is appended in between', async () => {
    const broker = await open();
    for (let round = 0; round < 20; round += 1) {
      const userId = `user-${round}`;
      const start = await broker.top(userId);
      const offsets = new Set<number>();
      const writing = (async () => {
        for (let number = 1; number <= 100; number += 1) await broker.append([{ userId, event: sent(`m${number}`) }]);
      })();
      await broker.subscribe(userId, { ...nobody, onEntry: ({ position }) => offsets.add(position.offset) });
      for (const entry of (await broker.readSince(userId, start, 1000)).entries) offsets.add(entry.position.offset);
      await writing;
      await vi.waitFor(() => expect(offsets.size).toBe(100));
    }
  });

  test('a receiver whose connections are cut again and again gets everything, once', async () => {
    const proxy = await TcpProxy.open(server.port);
    closing.push(proxy);
    const receiver = await open({ url: `redis://127.0.0.1:${proxy.port}` });
    const follower = await follow(receiver);
    const send = sender(await open());
    for (let round = 0; round < 5; round += 1) {
      send(round * 20 + 1, round * 20 + 20);
      proxy.cut();
    }
    await has(follower, 100);
    expect(follower.doubts).toBeGreaterThan(0);
  });

  test('a half-open connection is found by its silence', async () => {
    const proxy = await TcpProxy.open(server.port);
    closing.push(proxy);
    const follower = await follow(await open({ url: `redis://127.0.0.1:${proxy.port}` }));
    const send = sender(await open());
    proxy.freeze();
    send(1, 10);
    await vi.waitFor(() => expect(errors).not.toEqual([]), { timeout: 5000 });
    proxy.thaw();
    await has(follower, 10);
  });

  test('an append whose answer is withheld after the commit is in the log once, though it is repeated', async () => {
    const proxy = await TcpProxy.open(server.port);
    closing.push(proxy);
    const broker = await open({ url: `redis://127.0.0.1:${proxy.port}` });
    const direct = await open();
    const follower = await follow(direct);
    const entries = ['m1', 'm2'].map((id) => ({ userId: 'bob', event: sent(id) }));
    proxy.swallowAnswers();
    await rejects(broker.append(entries));
    expect((await direct.top('bob')).offset).toBe(2);
    proxy.thaw();
    await vi.waitFor(() => broker.append(entries), { timeout: 5000 });
    await broker.append([{ userId: 'bob', event: sent('m3') }]);
    await has(follower, 3);
    expect((await direct.top('bob')).offset).toBe(3);
  });

  test('an instance that could not hear broadcasts is told for how long', async () => {
    const proxy = await TcpProxy.open(server.port);
    closing.push(proxy);
    const broker = await open({ url: `redis://127.0.0.1:${proxy.port}` });
    const deaf: number[] = [];
    const stop = broker.onBroadcast(
      () => undefined,
      (deafMs) => deaf.push(deafMs),
    );
    proxy.accepting = false;
    proxy.cut();
    await vi.waitFor(() => expect(errors.length).toBeGreaterThan(3));
    expect(deaf).toEqual([]);
    proxy.accepting = true;
    await vi.waitFor(() => expect(deaf).toHaveLength(1), { timeout: 5000 });
    expect(deaf[0]).toBeGreaterThan(50);
    stop();
  });

  test('what was never sent is not looked for in the logs when it is sent', async () => {
    const proxy = await TcpProxy.open(server.port);
    closing.push(proxy);
    const broker = await open({ url: `redis://127.0.0.1:${proxy.port}` });
    const follower = await follow(broker);
    const reads = (): Promise<number> =>
      server.use(async (client) =>
        Number(/cmdstat_xrevrange:calls=(\d+)/.exec(await client.info('commandstats'))?.[1]),
      );
    proxy.accepting = false;
    proxy.cut();
    await vi.waitFor(() => expect(errors).not.toEqual([]));
    const entries = [{ userId: 'carol', event: sent('m1') }];
    expect(String(await rejects(broker.append(entries)))).toContain('away');
    const before = await reads();
    proxy.accepting = true;
    await vi.waitFor(() => broker.append(entries), { timeout: 5000 });
    expect(await reads()).toBe(before);
    expect((await broker.top('carol')).offset).toBe(1);
    expect(follower.have).toEqual([]);
  });

  test('while Redis is away appends fail at once, and receivers catch up when it is back empty', async () => {
    const broker = await open();
    const follower = await follow(broker);
    const send = sender(broker);
    send(1, 10);
    await has(follower, 10);
    const before = follower.position;
    await server.kill();
    await vi.waitFor(() => expect(errors).not.toEqual([]));
    const startMs = performance.now();
    await rejects(broker.append([{ userId: 'nobody', event: sent('x') }]));
    expect(performance.now() - startMs).toBeLessThan(100);
    send(11, 20);
    await server.run();
    await has(follower, 20);
    expect(follower.storeReads).toBeGreaterThan(1);
    expect((await broker.readSince('bob', before, 1000)).complete).toBe(false);
  });

  test('somebody who subscribes while Redis is away is told to read when it is back', async () => {
    const broker = await open();
    await server.kill();
    await vi.waitFor(() => expect(errors).not.toEqual([]));
    let doubts = 0;
    await broker.subscribe('bob', { ...nobody, onDoubt: () => (doubts += 1) });
    await server.run();
    await vi.waitFor(() => expect(doubts).toBe(1), { timeout: 5000 });
  });

  test('a position from before a restart with an older file proves nothing, however far the log goes again', async () => {
    const broker = await open();
    const send = sender(broker);
    const follower = await follow(broker);
    send(1, 8);
    await has(follower, 8);
    await server.use(async (client) => {
      await client.set('witness', 'of the older file');
      await client.sendCommand(['SAVE']);
    });
    send(9, 10);
    await has(follower, 10);
    const position = follower.position;
    await server.kill();
    send(11, 24);
    await server.run();
    await has(follower, 24);
    expect(await server.use((client) => client.exists('witness'))).toBe(1);
    await vi.waitFor(async () => expect((await broker.top('bob')).offset).toBe(14), { timeout: 5000 });
    expect((await broker.readSince('bob', position, 1000)).complete).toBe(false);
    expect((await broker.top('bob')).epoch).not.toBe(position.epoch);
  });

  /** Sets the user's keys back to what they were, as a server that lost its last writes would have them. */
  async function setBack(change: () => Promise<void>): Promise<void> {
    await server.use(async (client) => {
      const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
      const dumps = new Map([
        [PLACE, await binary.dump(PLACE)],
        [LOG, await binary.dump(LOG)],
      ]);
      await change();
      for (const [key, dump] of dumps) await client.restore(key, 0, dump as unknown as Buffer, { REPLACE: true });
    });
  }

  test.each(['by the next look at the places', 'by the next entry'])(
    'a log set back under the same epoch is found %s, and its epoch ends',
    async (how) => {
      const broker = await open();
      const send = sender(broker);
      const follower = await follow(broker);
      send(1, 8);
      await has(follower, 8);
      await setBack(async () => {
        send(9, 10);
        await has(follower, 10);
      });
      const { epoch } = follower.position;
      if (how === 'by the next entry') send(11, 11);
      else await broker.check();
      await vi.waitFor(async () => expect((await broker.top('bob')).epoch).not.toBe(epoch), { timeout: 5000 });
      send(12, 12);
      await vi.waitFor(() => expect([...follower.have].toSorted()).toEqual([...store].toSorted()));
      expect(follower.doubts).toBeGreaterThan(0);
    },
  );

  test('a last entry that was published to nobody is found by the next look at the places', async () => {
    const broker = await open();
    const send = sender(broker);
    const follower = await follow(broker);
    send(1, 3);
    await has(follower, 3);
    await broker.check();
    expect(follower.doubts).toBe(0);
    await server.use((client) => appendSilently(client, sent('m4')));
    store.push('m4');
    await broker.check();
    await has(follower, 4);
    await broker.check();
    expect(follower.doubts).toBe(1);
  });

  test('a subscription that brings nothing, though it was answered, is replaced once that shows', async () => {
    const proxy = await TcpProxy.open(server.port);
    closing.push(proxy);
    proxy.change = (chunk) => (chunk.includes('ssubscribe') ? chunk.replace(CHANNEL, 'carepro_{b0b}') : chunk);
    const follower = await follow(await open({ url: `redis://127.0.0.1:${proxy.port}`, checkMs: 100 }));
    proxy.change = undefined;
    const send = sender(await open());
    send(1, 1);
    await has(follower, 1);
    await vi.waitFor(async () => expect(await server.use((client) => client.pubSubShardChannels())).toContain(CHANNEL));
    const { doubts } = follower;
    for (let number = 2; number <= 20; number += 1) {
      send(number, number);
      await has(follower, number);
    }
    expect(follower.doubts).toBeLessThanOrEqual(doubts + 1);
  });

  test('looks at the places while entries flow raise no doubt', async () => {
    const [broker, other] = [await open(), await open()];
    const follower = await follow(broker);
    const send = sender(other);
    for (let round = 0; round < 50; round += 1) {
      send(round * 10 + 1, round * 10 + 10);
      await broker.check();
    }
    await has(follower, 500);
    expect(follower.doubts).toBe(0);
  });

  test('a log that Redis evicted is not taken for a whole one', async () => {
    const broker = await open();
    const send = sender(broker);
    const follower = await follow(broker);
    send(1, 5);
    await has(follower, 5);
    const position = follower.position;
    await server.use(async (client) => {
      await client.configSet({ maxmemory: '4mb', 'maxmemory-policy': 'allkeys-lru' });
      for (let number = 0; (await client.exists(PLACE)) === 1; number += 1) {
        await Promise.all(
          Array.from({ length: 50 }, (_, index) => client.set(`filler:${number}:${index}`, 'x'.repeat(10_000))),
        );
      }
    });
    await broker.check();
    await vi.waitFor(() => expect(follower.doubts).toBeGreaterThan(0));
    send(6, 8);
    await has(follower, 8);
    expect((await broker.readSince('bob', position, 1000)).complete).toBe(false);
  });

  test('a server short of memory refuses appends as a whole and still answers reads', async () => {
    const broker = await open();
    const follower = await follow(broker);
    const send = sender(broker);
    send(1, 3);
    await has(follower, 3);
    await server.use((client) => client.configSet({ maxmemory: '1', 'maxmemory-policy': 'noeviction' }));
    expect(String(await rejects(broker.append([{ userId: 'bob', event: sent('x') }])))).toContain('OOM');
    expect((await broker.top('bob')).offset).toBe(3);
    send(4, 6);
    await server.use((client) => client.configSet({ maxmemory: '0' }));
    await has(follower, 6);
    expect((await broker.top('bob')).offset).toBe(6);
  });

  test('a server that stands still is left, and what it was sent before is there once when it goes on', async () => {
    const broker = await open();
    const follower = await follow(broker);
    const send = sender(broker);
    send(1, 3);
    await has(follower, 3);
    server.signal('SIGSTOP');
    send(4, 6);
    await vi.waitFor(() => expect(errors).not.toEqual([]), { timeout: 5000 });
    send(7, 9);
    server.signal('SIGCONT');
    await has(follower, 9);
    expect((await broker.top('bob')).offset).toBe(9);
  });

  test('what others write into channels and keys is reported, doubted and harms nobody', async () => {
    const broker = await open();
    const follower = await follow(broker);
    const send = sender(broker);
    send(1, 2);
    await has(follower, 2);
    const heard: unknown[] = [];
    broker.onBroadcast((event) => heard.push(event));
    const rubbish = ['', 'x', 'E', 'Ea 1\n{}', 'Ea 0\n', 'T{"type":"typing"}', 'B{}', 'B{"event":null}', '\u0000{'];
    const event = '{"type":"messageSent","message":{"id":1}}';
    await server.use(async (client) => {
      for (const payload of [...rubbish, `Ea 7\n${event}`]) {
        await client.sPublish(CHANNEL, payload);
        await client.sPublish('carepro_broadcast', payload);
      }
    });
    await vi.waitFor(() => expect(errors.length).toBeGreaterThanOrEqual(2 * rubbish.length));
    expect(heard).toEqual([]);
    await server.use(async (client) => {
      await client.del([PLACE, LOG]);
      await client.set(LOG, 'text');
      await client.lPush(PLACE, 'list');
    });
    send(3, 4);
    await has(follower, 4);
  });

  test('scripts that were flushed from the server are sent again', async () => {
    const broker = await open();
    const follower = await follow(broker);
    await server.use((client) => client.scriptFlush());
    sender(broker)(1, 2);
    await has(follower, 2);
  });

  test('a listener that ended leaves no subscription behind', async () => {
    const broker = await open();
    const stops = [await broker.subscribe('bob', nobody), await broker.subscribe('bob', nobody)];
    const channels = () => server.use((client) => client.pubSubShardChannels());
    expect(broker.subscribedUsers).toBe(1);
    for (const stop of stops) stop();
    expect(broker.subscribedUsers).toBe(0);
    await vi.waitFor(async () => expect(await channels()).toEqual(['carepro_broadcast']));
  });

  test('events that were given up while Redis was away make receivers of all instances read again', async () => {
    const [one, two] = [await open(), await open()];
    const follower = await follow(two);
    const publisher = new Publisher(one, noMetrics, { onPublishFailed: () => undefined }, undefined, { maxWaiting: 8 });
    const proxied = follower.position;
    await server.use((client) => client.configSet({ maxmemory: '1', 'maxmemory-policy': 'noeviction' }));
    for (let number = 1; number <= 30; number += 1) {
      store.push(`m${number}`);
      publisher.publish(sent(`m${number}`), 'bob');
    }
    await server.use((client) => client.configSet({ maxmemory: '0' }));
    await vi.waitFor(() => expect([...follower.have].toSorted()).toEqual([...store].toSorted()), { timeout: 10_000 });
    await publisher.close();
    expect((await two.readSince('bob', proxied, 1000)).complete).toBe(false);
  });
});

/** An append that loses its publish. */
async function appendSilently(client: Client, event: StreamEvent): Promise<void> {
  const [epoch, offset, ms, incarnation] = String(await client.get(PLACE)).split(' ');
  const next = Number(offset) + 1;
  await client.xAdd(LOG, `${ms}-${next}`, { i: 'x', e: JSON.stringify(event) });
  await client.set(PLACE, `${epoch} ${next} ${ms} ${incarnation}`);
}
