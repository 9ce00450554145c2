/** Two instances behind the load balancer of deploy/, with its configuration as it is. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Haproxy, haproxySkipReason } from '../../servers/haproxy.ts';
import { describeDoors } from '../support/door-suite.ts';
import { type ProductionPair, productionSkipReason, startPair, withReason } from '../support/production.ts';
import { startServer, type TestServer } from '../support/server.ts';

const skipReason = productionSkipReason ?? haproxySkipReason;

describe.skipIf(skipReason !== undefined)(withReason('Two instances behind HAProxy', skipReason), () => {
  let pair: ProductionPair;
  let instances: TestServer[];
  let balancer: Haproxy;
  beforeAll(async () => {
    pair = await startPair();
    instances = await Promise.all([1, 2].map(() => startServer({ ...pair.env, TRUST_PROXY: 'true' })));
    const [first, second] = instances.map(({ port }) => port);
    balancer = await Haproxy.start(first ?? 0, second ?? 0);
  });
  afterAll(async () => {
    await balancer[Symbol.asyncDispose]();
    for (const instance of instances) await instance[Symbol.asyncDispose]();
    await pair[Symbol.asyncDispose]();
  });

  describeDoors(() => balancer.url);

  it.each(['page', 'typed'] as const)('they took equal parts of %s', async (backend) => {
    const [first = 0, second = 0] = await balancer.requests(backend);
    expect(Math.min(first, second)).toBeGreaterThan(100);
    expect(Math.abs(first - second)).toBeLessThanOrEqual(1);
  });
});
