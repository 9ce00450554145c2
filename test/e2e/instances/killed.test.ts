/** An instance dies amid the traffic of all. */
import { describe, expect, test } from 'vitest';
import { Cluster } from '../support/cluster.ts';
import { productionSkipReason, withReason } from '../support/production.ts';
import { Traffic } from '../support/traffic.ts';

describe.skipIf(productionSkipReason !== undefined)(withReason('An instance of three', productionSkipReason), () => {
  test('is killed three times: nothing acknowledged is missing, doubled or out of order, and nobody stays online', async () => {
    await using cluster = await Cluster.start({ instances: 3 });
    await using traffic = await Traffic.start({ url: cluster.url });
    for (let index = 0; index < 3; index += 1) {
      await traffic.flows();
      const { server } = cluster.instance(index);
      await server.stop('SIGKILL');
      await traffic.flows();
      await server.start();
    }
    await traffic.flows();
    const account = await traffic.settle();
    expect(account.repeated).toBeGreaterThan(0);
    expect(account.reconnects).toBeGreaterThan(0);
    await traffic.leave();
  }, 120_000);
});
