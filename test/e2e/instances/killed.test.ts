/** An instance dies amid the traffic of all. */
import { describe, expect, test } from 'vitest';
import { Cluster } from '../support/cluster.ts';
import { EventFeed } from '../support/event-feed.ts';
import { openPage } from '../support/pages.ts';
import { productionSkipReason, withReason } from '../support/production.ts';
import { typedClient } from '../support/rpc-clients.ts';
import { tokenFor } from '../support/server.ts';
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
    expect(account.comebacksMs.length).toBeGreaterThan(0);
    await traffic.leave();
  }, 120_000);

  test('acknowledges, cannot publish and is killed: the receivers on the others get it without a word from anybody', async () => {
    await using cluster = await Cluster.start({ instances: 3 });
    const [dying, ...others] = cluster.instances;
    if (dying === undefined) throw new Error('There is no instance');
    const pages = await Promise.all(others.map(({ server }) => openPage(server, 'bob')));
    using typed = typedClient(cluster.instance(1).server.url, await tokenFor('bob'));
    await using feed = await EventFeed.open(typed.chat, 'streamEvents');
    await using alice = await openPage(dying.server, 'alice');
    const first = await alice.send('alice', 'bob', 'Published');
    await feed.until(() => feed.messages.length === 1);

    dying.redis.accepting = false;
    dying.redis.cut();
    const second = await alice.send('alice', 'bob', 'Acknowledged, and not published');
    const third = await alice.send('alice', 'bob', 'This one neither');
    await dying.server.stop('SIGKILL');
    const killedAtMs = performance.now();
    const all = [first, second, third];
    for (const page of pages) await page.until(() => page.received.length === 3);
    const tookMs = performance.now() - killedAtMs;
    await feed.until(() => feed.messages.length === 3);
    process.stdout.write(`Committed and not published: arrived ${Math.round(tookMs)} ms after the kill\n`);
    // Their instance did not die: they were told by it, once, in order, and did not have to come again.
    for (const page of pages) expect(page.received).toEqual(all);
    expect(feed.messages.map(({ id }) => id)).toEqual(all);
    expect(feed.readies).toHaveLength(1);
    await Promise.all(pages.map((page) => page.hub.stop()));
  }, 60_000);
});
