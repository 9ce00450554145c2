/** Redis goes away, comes back empty, forgets, or answers one instance only, amid the traffic of all. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Cluster } from '../support/cluster.ts';
import { productionSkipReason, withReason } from '../support/production.ts';
import { Traffic } from '../support/traffic.ts';

const AWAY_MS = 3000;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

describe.skipIf(productionSkipReason !== undefined)(withReason('While Redis', productionSkipReason), () => {
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

  test('is away, messages are acknowledged; when it is back and empty, everybody gets everything, once', async () => {
    await cluster.pair.redis.kill();
    await traffic.flows(200);
    await pause(AWAY_MS);
    await traffic.flows(200);
    await cluster.pair.redis.run();
    await settlesCleanly();
  }, 90_000);

  test('stands still, messages are acknowledged, and nothing is missing when it goes on', async () => {
    cluster.pair.redis.signal('SIGSTOP');
    await traffic.flows(200);
    await pause(AWAY_MS);
    await traffic.flows(200);
    cluster.pair.redis.signal('SIGCONT');
    await settlesCleanly();
  }, 90_000);

  test('cannot be reached by one instance, its people lack nothing afterwards', async () => {
    const { redis } = cluster.instance(0);
    redis.accepting = false;
    redis.cut();
    await traffic.flows(200);
    await pause(AWAY_MS);
    await traffic.flows(200);
    redis.accepting = true;
    await settlesCleanly();
  }, 90_000);

  test('takes what one instance says and its answers are lost, nothing is told twice', async () => {
    const { redis } = cluster.instance(0);
    redis.swallowAnswers();
    await pause(AWAY_MS);
    await traffic.flows(200);
    redis.thaw();
    redis.cut();
    await settlesCleanly();
  }, 90_000);

  test('forgets everything again and again, everybody gets everything', async () => {
    for (let times = 0; times < 5; times += 1) {
      await cluster.pair.redis.use((client) => client.flushAll());
      await traffic.flows(100);
    }
    await settlesCleanly();
  }, 90_000);

  test('has no room and drops keys as it likes, everybody gets everything', async () => {
    await cluster.pair.redis.use(async (client) => {
      await client.configSet('maxmemory-policy', 'allkeys-random');
      // Less than it uses already: every command drops something.
      await client.configSet('maxmemory', '1100kb');
    });
    await traffic.flows(300);
    await cluster.pair.redis.use((client) => client.configSet('maxmemory', '0'));
    await settlesCleanly();
  }, 90_000);
});
