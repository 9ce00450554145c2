/** A Redis Cluster that changes under a broker: a slot moves to another server, a server dies and comes back empty. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openRedisBroker, type RedisBroker } from '../../../../src/broker/redis/broker.ts';
import { slotOf } from '../../../../src/broker/redis/names.ts';
import type { StreamEvent } from '../../../../src/core/events.ts';
import { noMetrics } from '../../../../src/core/metrics.ts';
import { Publisher } from '../../../../src/core/publisher.ts';
import { TcpProxy } from '../../../e2e/support/tcp-proxy.ts';
import { type RedisServer, redisSkipReason, startCluster } from '../../../servers/redis-server.ts';
import { Follower } from './follower.ts';

const SLOT = slotOf('carepro_{bob}');
const OWNER = SLOT < 5461 ? 0 : SLOT < 10_923 ? 1 : 2;

describe.skipIf(redisSkipReason !== undefined)(`A Redis Cluster that changes ${redisSkipReason ?? ''}`, () => {
  let cluster: Awaited<ReturnType<typeof startCluster>>;
  let broker: RedisBroker;
  let publisher: Publisher;
  let store: string[];
  let owner: RedisServer;
  let other: RedisServer;

  beforeEach(async () => {
    cluster = await startCluster();
    const [first, second] = [cluster.servers[OWNER], cluster.servers[(OWNER + 1) % 3]];
    if (first === undefined || second === undefined) throw new Error('Three servers were wanted');
    [owner, other] = [first, second];
    broker = await openRedisBroker({ url: other.url, checkMs: 300, deadlineMs: 1000, pingMs: 100 });
    publisher = new Publisher(broker, noMetrics, { onPublishFailed: () => undefined });
    store = [];
  });
  afterEach(async () => {
    await publisher.close();
    await broker[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  });

  function send(from: number, to: number): void {
    for (let number = from; number <= to; number += 1) {
      const id = `m${number}`;
      store.push(id);
      const message = { id, seq: number, senderId: 'alice', receiverId: 'bob', text: 'text', sentAtMs: number };
      const event: StreamEvent = { type: 'messageSent', message };
      publisher.publish(event, 'bob');
    }
  }

  const has = (follower: Follower): Promise<void> =>
    vi.waitFor(() => expect(follower.have).toEqual(store), { timeout: 15_000, interval: 20 });

  test('a stream whose slot moves to another server goes on, and its receiver gets everything, once', async () => {
    const follower = new Follower(broker, 'bob', store);
    await follower.start();
    send(1, 20);
    await has(follower);
    const id = (server: RedisServer): Promise<string> => server.use((client) => client.clusterMyId());
    const [from, to] = [await id(owner), await id(other)];
    const setSlot = (server: RedisServer, ...args: string[]): Promise<unknown> =>
      server.use((client) => client.sendCommand(['CLUSTER', 'SETSLOT', `${SLOT}`, ...args]));
    await setSlot(other, 'IMPORTING', from);
    await setSlot(owner, 'MIGRATING', to);
    send(21, 40);
    await owner.use(async (client) => {
      for (const key of await client.clusterGetKeysInSlot(SLOT, 10)) {
        await client.sendCommand(['MIGRATE', '127.0.0.1', `${other.port}`, key, '0', '5000']);
        send(store.length + 1, store.length + 20);
      }
    });
    send(store.length + 1, store.length + 20);
    await setSlot(other, 'NODE', to);
    await setSlot(owner, 'NODE', to);
    send(store.length + 1, store.length + 20);
    await has(follower);
    await vi.waitFor(async () => {
      const channels = await other.use((client) => client.pubSubShardChannels());
      expect(channels).toContain('carepro_{bob}');
    });
    send(store.length + 1, store.length + 20);
    await has(follower);
  });

  test('a cluster whose servers all come back elsewhere is found again at the address that was given', async () => {
    const proxy = await TcpProxy.open(other.port);
    await using stack = new AsyncDisposableStack();
    stack.use(proxy);
    const given = await openRedisBroker({ url: `redis://127.0.0.1:${proxy.port}`, checkMs: 300, pingMs: 100 });
    stack.use(given);
    const follower = new Follower(given, 'bob', store);
    await follower.start();
    for (const server of cluster.servers) await server.kill();
    proxy.cut();
    const moved = stack.use(await startCluster());
    proxy.upstreamPort = moved.servers[0]?.port ?? 0;
    const again = new Publisher(given, noMetrics, { onPublishFailed: () => undefined });
    stack.defer(() => again.close());
    store.push('m1');
    const message = { id: 'm1', seq: 1, senderId: 'alice', receiverId: 'bob', text: 'text', sentAtMs: 1 };
    again.publish({ type: 'messageSent', message }, 'bob');
    await has(follower);
    await vi.waitFor(async () => expect((await given.top('bob')).offset).toBe(1), { timeout: 5000 });
  });

  test('while one server is away, the streams of the others go on, however much waits for it', async () => {
    for (const server of cluster.servers) {
      await server.use((client) => client.configSet('cluster-require-full-coverage', 'no'));
    }
    const elsewhere = Array.from({ length: 20 }, (_, index) => `user-${index}`).find((userId) => {
      const slot = slotOf(`carepro_{${userId}}`);
      return Math.floor((slot * 3) / 16_384) === (OWNER + 1) % 3;
    });
    if (elsewhere === undefined) throw new Error('Nobody is on another server');
    const heard: number[] = [];
    await broker.subscribe(elsewhere, {
      onEntry: ({ event }) => event.type === 'conversationRead' && heard.push(event.upToSeq),
      onTransient: () => undefined,
      onDoubt: () => undefined,
    });
    const read = (userId: string, upToSeq: number): void => {
      publisher.publish({ type: 'conversationRead', readerId: userId, senderId: 'alice', upToSeq, atMs: 0 }, userId);
    };
    await owner.kill();
    for (let number = 1; number <= 1100; number += 1) read('bob', number);
    for (let number = 1; number <= 5; number += 1) read(elsewhere, number);
    await vi.waitFor(() => expect(heard).toEqual([1, 2, 3, 4, 5]), { timeout: 5000 });
    const known = await broker.top(elsewhere);
    await owner.run();
    await vi.waitFor(async () => expect((await broker.top('bob')).offset).toBe(1100), { timeout: 15_000 });
    expect(await broker.top(elsewhere)).toEqual(known);
  });

  test('a server that dies and comes back empty costs nobody a message', async () => {
    const follower = new Follower(broker, 'bob', store);
    await follower.start();
    send(1, 10);
    await has(follower);
    const before = follower.position;
    await owner.kill();
    send(11, 20);
    await expect(broker.top('bob')).rejects.toThrow();
    await owner.run();
    await has(follower);
    expect((await broker.readSince('bob', before, 1000)).complete).toBe(false);
  });
});
