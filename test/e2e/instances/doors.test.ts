/** Three instances behind a load balancer without sticky sessions: every door to every other, wherever its client landed. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeDoors } from '../support/door-suite.ts';
import { type ProductionPair, productionSkipReason, startPair, withReason } from '../support/production.ts';
import { RoundRobin } from '../support/round-robin.ts';
import { startServer, type TestServer } from '../support/server.ts';

describe.skipIf(productionSkipReason !== undefined)(withReason('On three instances', productionSkipReason), () => {
  let pair: ProductionPair;
  let instances: TestServer[];
  let balancer: RoundRobin;
  beforeAll(async () => {
    pair = await startPair();
    // All at once, on an empty database.
    instances = await Promise.all([1, 2, 3].map(() => startServer(pair.env)));
    balancer = await RoundRobin.open(instances.map(({ port }) => port));
  });
  afterAll(async () => {
    await balancer[Symbol.asyncDispose]();
    for (const instance of instances) await instance[Symbol.asyncDispose]();
    await pair[Symbol.asyncDispose]();
  });

  describeDoors(() => balancer.url);

  it('they took equal parts', () => {
    const parts = instances.map(({ port }) => balancer.taken.get(port) ?? 0);
    expect(Math.min(...parts)).toBeGreaterThan(100);
    expect(Math.max(...parts) - Math.min(...parts)).toBeLessThanOrEqual(1);
  });
});
