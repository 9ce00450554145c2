/** Instances that stand still for longer than their lease, stop in turns, or have a wrong clock. */
import { describe, expect, test } from 'vitest';
import { Cluster, QUICK_ENV } from '../support/cluster.ts';
import { openPage } from '../support/pages.ts';
import { productionSkipReason, startPair, withReason } from '../support/production.ts';
import { RoundRobin } from '../support/round-robin.ts';
import { startServer } from '../support/server.ts';
import { ShiftedClock } from '../support/shifted-clock.ts';
import { Traffic } from '../support/traffic.ts';

const LEASE_MS = Number(QUICK_ENV.INSTANCE_LEASE_MS);

describe.skipIf(productionSkipReason !== undefined)(withReason('An instance', productionSkipReason), () => {
  test.each([
    { leaseMs: LEASE_MS, leastMs: 0 },
    { leaseMs: 15_000, leastMs: 60_000 },
  ])(
    'that is paused for longer than its lease of $leaseMs ms (and $leastMs ms) and wakes up loses nothing, and its people are online again',
    async ({ leastMs, leaseMs }) => {
      await using cluster = await Cluster.start({ instances: 3, env: { INSTANCE_LEASE_MS: `${leaseMs}` } });
      const paused = cluster.instance(0).server;
      await using traffic = await Traffic.start({ url: cluster.url });
      await using watcher = await openPage(cluster.instance(1).server, 'watcher');
      await using visitor = await openPage(paused, 'visitor', { reconnects: true });
      const seen = (): unknown[] =>
        watcher
          .all('UserStatusChanged')
          .filter(([userId]) => userId === 'visitor')
          .map(([, status]) => status);
      const limit = { timeout: leaseMs + 20_000 };
      await expect.poll(seen, limit).toEqual(['Online']);
      await traffic.flows();

      process.kill(paused.pid, 'SIGSTOP');
      const goesOnAtMs = performance.now() + leastMs;
      // The survivors tell that its people are gone, once.
      await expect.poll(seen, limit).toEqual(['Online', 'Offline']);
      await traffic.flows();
      while (performance.now() < goesOnAtMs) await traffic.flows(10);
      expect(seen()).toEqual(['Online', 'Offline']);
      process.kill(paused.pid, 'SIGCONT');
      await expect.poll(seen, limit).toEqual(['Online', 'Offline', 'Online']);
      expect(await watcher.hub.invoke('GetOnlineStatus', 'visitor')).toBe(true);
      await traffic.flows();
      await traffic.settle();
      await traffic.leave();
      await visitor.hub.stop();
      await expect.poll(seen, limit).toEqual(['Online', 'Offline', 'Online', 'Offline']);
    },
    240_000,
  );

  test('that is killed: its people are told to be gone once, after its lease', async () => {
    await using cluster = await Cluster.start({ instances: 3 });
    await using watcher = await openPage(cluster.instance(1).server, 'watcher');
    await using other = await openPage(cluster.instance(2).server, 'other-watcher');
    const visitors = Array.from({ length: 20 }, (_, index) => `visitor-${index}`);
    const pages = await Promise.all(visitors.map((userId) => openPage(cluster.instance(0).server, userId)));
    const seen = (page: typeof watcher, status: string): string[] =>
      page
        .all('UserStatusChanged')
        .filter(([userId, now]) => String(userId).startsWith('visitor') && now === status)
        .map(([userId]) => String(userId))
        .toSorted();
    for (const page of [watcher, other]) await expect.poll(() => seen(page, 'Online')).toEqual(visitors.toSorted());
    await cluster.instance(0).server.stop('SIGKILL');
    for (const page of [watcher, other]) {
      await expect.poll(() => seen(page, 'Offline'), { timeout: 20_000 }).toEqual(visitors.toSorted());
    }
    // Two more leases: nobody tells it again.
    await new Promise((resolve) => setTimeout(resolve, 2 * LEASE_MS));
    for (const page of [watcher, other]) expect(seen(page, 'Offline')).toEqual(visitors.toSorted());
    await Promise.all(pages.map((page) => page.hub.stop()));
  }, 60_000);

  test.each([5 * 60_000, -5 * 60_000])(
    'whose clock is %i ms off sends, receives and counts as the others do',
    async (offMs) => {
      await using pair = await startPair();
      const env = { ...pair.env, ...QUICK_ENV };
      await using right = await startServer(env);
      await using wrong = await startServer(env, { clock: new ShiftedClock(offMs) });
      await using balancer = await RoundRobin.open([right.port, wrong.port]);
      await using traffic = await Traffic.start({ url: balancer.url });
      await using watcher = await openPage(right, 'watcher');
      await using visitor = await openPage(wrong, 'visitor');
      const seen = (): unknown[] =>
        watcher
          .all('UserStatusChanged')
          .filter(([userId]) => userId === 'visitor')
          .map(([, status]) => status);
      await traffic.flows(300);
      // Longer than a lease: whose lease a wrong clock would take for over.
      await new Promise((resolve) => setTimeout(resolve, LEASE_MS + 1000));
      expect(seen()).toEqual(['Online']);
      await visitor.send('visitor', 'watcher', 'What time is it?');
      await watcher.until(() => watcher.texts.includes('What time is it?'));
      const history = await watcher.hub.invoke<{ timestamp: string }[]>('GetMessageHistory', 'watcher', 'visitor');
      expect(history.map(({ timestamp }) => Math.abs(Date.parse(timestamp) - Date.now()) < 60_000)).toEqual([true]);
      await visitor.hub.stop();
      await expect.poll(seen, { timeout: 20_000 }).toEqual(['Online', 'Offline']);
      await traffic.settle();
      await traffic.leave();
    },
    60_000,
  );
});
