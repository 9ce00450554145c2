/** A new version is rolled out: every instance is asked to stop and comes back, one after the other, under load. */
import { describe, expect, test } from 'vitest';
import { Cluster } from '../support/cluster.ts';
import { productionSkipReason, withReason } from '../support/production.ts';
import { Traffic } from '../support/traffic.ts';

describe.skipIf(productionSkipReason !== undefined)(withReason('A rolling restart', productionSkipReason), () => {
  test('of three instances loses nothing, and all clients come back by themselves', async () => {
    await using cluster = await Cluster.start({ instances: 3 });
    await using traffic = await Traffic.start({ url: cluster.url, people: 30, pauseMs: 100 });
    for (const { server } of cluster.instances) {
      await traffic.flows();
      expect(await server.stop('SIGTERM')).toBe(0);
      await server.start();
    }
    await traffic.flows();
    const { acknowledged, arrived, comebacksMs, repeated } = await traffic.settle();
    expect(arrived).toBe(acknowledged);
    // Each of the thirty listened on an instance that was stopped at least once.
    expect(comebacksMs.length).toBeGreaterThanOrEqual(30);
    const p95 = comebacksMs[Math.floor(comebacksMs.length * 0.95)] ?? 0;
    const counts = `${acknowledged} acknowledged, ${repeated} repeated, ${comebacksMs.length} reconnects`;
    process.stdout.write(`Rolling restart: ${counts}, back within ${Math.round(p95)} ms at p95\n`);
    await traffic.leave();
  }, 120_000);
});
