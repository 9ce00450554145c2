/**
 * MongoDB goes away, is slow, or commits and does not answer, for all instances or for one, amid the traffic of all. What a driver
 * sees of an election is every connection cut; a real one needs a replica set (docs/storage.md, "Tests on real parts").
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Cluster, type Instance } from '../support/cluster.ts';
import { openPage } from '../support/pages.ts';
import { productionSkipReason, startPair, withReason } from '../support/production.ts';
import { startServer } from '../support/server.ts';
import { Traffic } from '../support/traffic.ts';

const AWAY_MS = 4000;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function health({ server }: Instance): Promise<unknown> {
  const [ready, live] = await Promise.all(['health', 'live'].map((page) => fetch(`${server.url}/api/${page}`)));
  return { ready: ready?.status, body: await ready?.json(), live: live?.status };
}

const SERVES = { ready: 200, body: { status: 'ok' }, live: 200 };
const LACKS_STORE = { ready: 503, body: { status: 'unavailable', reasons: ['store'] }, live: 200 };

describe.skipIf(productionSkipReason !== undefined)(withReason('While MongoDB', productionSkipReason), () => {
  let cluster: Cluster;
  let traffic: Traffic;
  beforeEach(async () => {
    cluster = await Cluster.start({ instances: 2 });
    traffic = await Traffic.start({ url: cluster.url });
    await traffic.flows();
  });
  afterEach(async () => {
    await traffic[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  });

  async function settlesCleanly(): Promise<void> {
    await traffic.flows();
    const account = await traffic.settle();
    expect(account.arrived).toBe(account.acknowledged);
    await traffic.leave();
  }

  function goes(instances: readonly Instance[], away: boolean): void {
    for (const { mongo } of instances) {
      mongo.accepting = !away;
      if (away) mongo.cut();
    }
  }

  test('is away, the instances say that they do not serve and live; nothing is missing when it is back', async () => {
    const { instances } = cluster;
    for (const instance of instances) expect(await health(instance)).toEqual(SERVES);
    goes(instances, true);
    for (const instance of instances) {
      await expect.poll(() => health(instance), { timeout: 20_000 }).toEqual(LACKS_STORE);
    }
    const before = traffic.acknowledged;
    await pause(AWAY_MS);
    // Nothing can be stored, so nothing is acknowledged.
    expect(traffic.acknowledged).toBe(before);
    goes(instances, false);
    for (const instance of instances) {
      await expect.poll(() => health(instance), { timeout: 20_000 }).toEqual(SERVES);
    }
    await settlesCleanly();
  }, 90_000);

  test('cannot be reached by one instance, the others go on, and its people lack nothing', async () => {
    const cutOff = cluster.instance(0);
    goes([cutOff], true);
    await expect.poll(() => health(cutOff), { timeout: 20_000 }).toEqual(LACKS_STORE);
    expect(await health(cluster.instance(1))).toEqual(SERVES);
    await traffic.flows(200);
    goes([cutOff], false);
    await expect.poll(() => health(cutOff), { timeout: 20_000 }).toEqual(SERVES);
    await settlesCleanly();
  }, 90_000);

  test('is slow for one instance, nothing is lost, doubled or out of order', async () => {
    const { mongo } = cluster.instance(0);
    mongo.delayMs = 150;
    await traffic.flows(200);
    mongo.delayMs = 0;
    await settlesCleanly();
  }, 90_000);

  test.each([
    ['commits and does not answer', 'swallowAnswers'],
    ['does not hear', 'swallowRequests'],
  ] as const)(
    '%s one instance, what was repeated is stored and told once',
    async (_name, fault) => {
      const { mongo } = cluster.instance(0);
      mongo[fault]();
      await traffic.flows(100);
      await pause(AWAY_MS);
      await traffic.flows(100);
      mongo.thaw();
      mongo.cut();
      await settlesCleanly();
    },
    90_000,
  );

  test('cuts all connections again and again, as in elections, nothing is lost, doubled or out of order', async () => {
    for (let times = 0; times < 5; times += 1) {
      for (const { mongo } of cluster.instances) mongo.cut();
      await traffic.flows(50);
    }
    await settlesCleanly();
  }, 90_000);
});

describe.skipIf(productionSkipReason !== undefined)(withReason('Two instances', productionSkipReason), () => {
  test('that start at once on an empty database both serve, five times', async () => {
    for (let times = 0; times < 5; times += 1) {
      await using pair = await startPair();
      const [first, second] = await Promise.all([startServer(pair.env), startServer(pair.env)]);
      await using alice = await openPage(first, 'alice');
      await using bob = await openPage(second, 'bob');
      const id = await alice.send('alice', 'bob', 'Hello');
      await bob.until(() => bob.received.includes(id));
      await Promise.all([alice.hub.stop(), bob.hub.stop()]);
      await first[Symbol.asyncDispose]();
      await second[Symbol.asyncDispose]();
    }
  }, 90_000);
});
