/**
 * The chat test page with the stock browser bundle in Chromium, served from another origin than the server: every transport, credentials,
 * CORS, the server's restart, a sleeping tab, two tabs, and networks that let little through. Screenshots are kept as artefacts.
 */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Tab, type TabOptions } from './support/chat-pages.ts';
import { chromiumMissing, launchChromium, sleepOf } from './support/chromium.ts';
import { openNarrowProxy } from './support/narrow-proxy.ts';
import { openPage } from './support/pages.ts';
import { RestartableServer } from './support/restartable.ts';
import { startServer, type TestServer } from './support/server.ts';
import { type StaticPages, serveStaticPages } from './support/static-pages.ts';

const WAYS = [
  { transport: 'WebSockets', protocol: 'json', skipNegotiation: true, shown: 'WebSocketTransport' },
  { transport: 'WebSockets', protocol: 'json', skipNegotiation: false, shown: 'WebSocketTransport' },
  { transport: 'WebSockets', protocol: 'messagepack', skipNegotiation: false, shown: 'WebSocketTransport' },
  { transport: 'ServerSentEvents', protocol: 'json', skipNegotiation: false, shown: 'ServerSentEventsTransport' },
  { transport: 'LongPolling', protocol: 'json', skipNegotiation: false, shown: 'LongPollingTransport' },
  { transport: 'LongPolling', protocol: 'messagepack', skipNegotiation: false, shown: 'LongPollingTransport' },
] as const;

describe.skipIf(chromiumMissing)(`The page${chromiumMissing === undefined ? '' : ` (${chromiumMissing})`}`, () => {
  let pages: StaticPages;
  let foreign: StaticPages;
  let browser: Browser;
  let server: TestServer;
  let pairs = 0;

  beforeAll(async () => {
    [pages, foreign, browser] = await Promise.all([serveStaticPages(), serveStaticPages(), launchChromium()]);
    server = await startServer({ CORS_ORIGINS: pages.origin, PRESENCE_GRACE_MS: '200' });
  });
  afterAll(async () => {
    await browser?.close();
    await Promise.all([server, pages, foreign].map((each) => each?.[Symbol.asyncDispose]()));
  });

  /** Two people who have met nobody yet; options of the tab of the first and of the second. */
  function newPair(at: { readonly url: string } = server): [TabOptions, TabOptions] {
    pairs += 1;
    const [alice, bob] = [`alice-${pairs}`, `bob-${pairs}`];
    const common = { origin: pages.origin, server: at.url };
    return [
      { ...common, me: alice, other: bob },
      { ...common, me: bob, other: alice },
    ];
  }

  it.each(WAYS)('talks over $transport with $protocol, skipping negotiation: $skipNegotiation', async (way) => {
    const { protocol, shown, skipNegotiation, transport } = way;
    const [forAlice, forBob] = newPair();
    await using context = await browser.newContext();
    const alice = await Tab.connected(context, { ...forAlice, transport, protocol, skipNegotiation });
    const bob = await Tab.connected(context, { ...forBob, transport, protocol, skipNegotiation });
    await alice.until('presence', 'Online');
    await alice.say('Grüß Gott, Bob 🚀');
    await bob.sees('Grüß Gott, Bob 🚀');
    await bob.say('<b>Hello</b> & welcome');
    await alice.sees('<b>Hello</b> & welcome');
    expect(await alice.texts()).toEqual(['Grüß Gott, Bob 🚀', '<b>Hello</b> & welcome']);
    expect(await bob.texts()).toEqual(await alice.texts());
    expect([await alice.shows('transport'), await bob.shows('transport')]).toEqual([shown, shown]);
    await alice.keep(`${transport}-${protocol}${skipNegotiation ? '-without-negotiation' : ''}`);
  });

  it.each(['WebSockets', 'ServerSentEvents', 'LongPolling'])(
    'sends its cookies over %s, or leaves them when told to',
    async (transport) => {
      for (const credentials of [true, false]) {
        const [options] = newPair();
        await using context = await browser.newContext();
        await context.addCookies([{ name: 'sticky', value: 'node-1', url: server.url }]);
        const negotiated = context.waitForEvent('response', (response) => response.url().includes('/negotiate'));
        await Tab.connected(context, { ...options, transport, credentials });
        const response = await negotiated;
        expect(await response.headerValue('access-control-allow-origin')).toBe(pages.origin);
        expect(await response.headerValue('access-control-allow-credentials')).toBe('true');
        expect((await response.request().allHeaders()).cookie).toBe(credentials ? 'sticky=node-1' : undefined);
      }
    },
  );

  it.each([
    ['with negotiation', {}],
    ['without negotiation', { transport: 'WebSockets', skipNegotiation: true }],
  ])('is refused from a foreign origin, %s', async (_name, way) => {
    const [options] = newPair();
    await using context = await browser.newContext();
    const tab = await Tab.open(context, { ...options, ...way, origin: foreign.origin });
    await tab.until('state', 'Failed');
    expect(await tab.shows('transport')).toBe('none');
    await tab.keep(`foreign-origin-${Object.keys(way).length === 0 ? 'negotiating' : 'skipping'}`);
  });

  it('of one person in two tabs shows each message in both, and stays online until the last is closed', async () => {
    const [forAlice, forBob] = newPair();
    await using context = await browser.newContext();
    await using watcher = await openPage(server, 'watcher');
    const carol = await openPage(server, 'carol');
    const first = await Tab.connected(context, forBob);
    const second = await Tab.connected(context, { ...forBob, transport: 'ServerSentEvents' });
    const alice = await Tab.connected(context, forAlice);
    await alice.say('to both');
    await Promise.all([first.sees('to both'), second.sees('to both')]);
    await first.page.close();
    await alice.say('to the one that is left');
    await second.sees('to the one that is left');
    // Who leaves after the first tab is said to be gone after it would have been.
    await carol[Symbol.asyncDispose]();
    const statuses = (userId: string): unknown[] =>
      watcher.all('UserStatusChanged').flatMap(([who, status]) => (who === userId ? [status] : []));
    await watcher.until(() => statuses('carol').includes('Offline'));
    expect(statuses(forBob.me)).toEqual(['Online']);
    expect(await alice.shows('presence')).toBe('Online');
    await alice.keep('two-tabs');
    await second.page.close();
    await alice.until('presence', 'Offline');
  });

  it.each([
    ['event streams', 'ServerSentEventsTransport'],
    ['nothing', 'LongPollingTransport'],
  ] as const)('behind a proxy that lets through %s falls back to %s', async (lets, shown) => {
    await using proxy = await openNarrowProxy(server.port, lets);
    const [forAlice, forBob] = newPair(proxy);
    await using context = await browser.newContext();
    const alice = await Tab.connected(context, forAlice);
    const bob = await Tab.connected(context, { ...forBob, server: server.url });
    await bob.say('Can you hear me?');
    await alice.sees('Can you hear me?');
    await alice.say('Well enough');
    await bob.sees('Well enough');
    expect(await alice.shows('transport')).toBe(shown);
    await alice.keep(`fallback-${shown}`);
  });

  it.each(['WebSockets', 'ServerSentEvents', 'LongPolling'])(
    'over %s comes back after a restart of the server and shows what was sent meanwhile, once',
    async (transport) => {
      await using restartable = await RestartableServer.start({ CORS_ORIGINS: pages.origin });
      const [forAlice, forBob] = newPair(restartable);
      await using context = await browser.newContext();
      const bob = await Tab.connected(context, { ...forBob, transport });
      {
        await using alice = await openPage(restartable, forAlice.me);
        await alice.send(forAlice.me, forBob.me, 'before');
        await bob.sees('before');
      }
      await restartable.stop('SIGTERM');
      await bob.until('state', 'Reconnecting');
      await bob.keep(`restart-${transport}-away`);
      await restartable.start();
      await using alice = await openPage(restartable, forAlice.me);
      await alice.send(forAlice.me, forBob.me, 'meanwhile 1');
      await alice.send(forAlice.me, forBob.me, 'meanwhile 2');
      await bob.until('state', 'Connected');
      await bob.sees('meanwhile 2');
      await alice.send(forAlice.me, forBob.me, 'after');
      await bob.sees('after');
      expect(await bob.texts()).toEqual(['before', 'meanwhile 1', 'meanwhile 2', 'after']);
      await bob.keep(`restart-${transport}-back`);
    },
  );

  it.each(['WebSockets', 'ServerSentEvents', 'LongPolling'])(
    'over %s wakes up from sleep and shows what was sent meanwhile, also when the server was restarted',
    async (transport) => {
      await using restartable = await RestartableServer.start({ CORS_ORIGINS: pages.origin });
      const [forAlice, forBob] = newPair(restartable);
      // A browser of its own: all of its pages sleep at once.
      await using sleeper = await launchChromium();
      const bob = await Tab.connected(sleeper, { ...forBob, transport });
      const say = async (...texts: string[]): Promise<void> => {
        await using alice = await openPage(restartable, forAlice.me);
        for (const text of texts) await alice.send(forAlice.me, forBob.me, text);
      };
      await say('awake');
      await bob.sees('awake');
      {
        using _sleep = await sleepOf(sleeper);
        await say('asleep 1', 'asleep 2');
      }
      await bob.sees('asleep 2');
      let sleptMs = 0;
      {
        using _sleep = await sleepOf(sleeper);
        await say('asleep 3');
        const killedAtMs = performance.now();
        await restartable.restart('SIGKILL');
        await say('asleep 4');
        sleptMs = performance.now() - killedAtMs;
      }
      await bob.sees('asleep 4');
      expect(Number(await bob.shows('pause'))).toBeGreaterThan(sleptMs);
      expect(await bob.texts()).toEqual(['awake', 'asleep 1', 'asleep 2', 'asleep 3', 'asleep 4']);
      await bob.keep(`sleep-${transport}`);
    },
  );
});
