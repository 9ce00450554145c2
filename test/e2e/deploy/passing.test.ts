/** What the load balancer of deploy/ does to what passes through it: nothing that a client could notice. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Haproxy, haproxySkipReason } from '../../servers/haproxy.ts';
import { everyDoor } from '../support/doors.ts';
import { EventFeed } from '../support/event-feed.ts';
import { Page, type PageWay } from '../support/page.ts';
import { withReason } from '../support/production.ts';
import { type TransportName, typedClient } from '../support/rpc-clients.ts';
import { startServer, type TestServer, tokenFor } from '../support/server.ts';
import { StalledStreams } from '../support/stalled-streams.ts';

/** Nobody listens there. */
const NOBODY = 1;
const CERTIFICATE = readFileSync(join(import.meta.dirname, '../../fixtures/tls/cert.pem'));
/** More than sockets, the balancer and HTTP/2's windows hold on the way to somebody who does not read. */
const TOO_MUCH = { messages: 600, text: 'x'.repeat(4500) };

/** One instance behind the balancer, whose other one is down. */
async function alone(env: Readonly<Record<string, string>> = {}): Promise<{
  readonly server: TestServer;
  readonly balancer: Haproxy;
}> {
  const server = await startServer({ TRUST_PROXY: 'true', ...env });
  onTestFinished(() => server[Symbol.asyncDispose]());
  const balancer = await Haproxy.start(NOBODY, server.port);
  onTestFinished(() => balancer[Symbol.asyncDispose]());
  return { server, balancer };
}

describe.skipIf(haproxySkipReason !== undefined)(withReason('Through HAProxy', haproxySkipReason), () => {
  it.each<PageWay>([
    { transport: 'ServerSentEvents', protocol: 'json' },
    { transport: 'LongPolling', protocol: 'json' },
    { transport: 'LongPolling', protocol: 'messagepack' },
    { transport: 'WebSockets', protocol: 'messagepack' },
  ])('$transport with $protocol bring each event as it comes', async (way) => {
    const { balancer } = await alone();
    const common = { url: balancer.url, skipNegotiation: false };
    await using alice = await Page.open({ ...common, token: await tokenFor('alice') });
    await using bob = await Page.open({ ...common, token: await tokenFor('bob'), way });
    for (let n = 1; n <= 20; n += 1) {
      const sentMs = performance.now();
      await alice.send('alice', 'bob', `message ${n}`);
      await bob.until(() => bob.received.length === n);
      // One that was held back for more would come with the next ping, after 15 s.
      expect(performance.now() - sentMs).toBeLessThan(5000);
    }
  });

  it('every client gets through with TLS, each on the protocol it agrees on', async () => {
    const before = getCACertificates('default');
    setDefaultCACertificates([...before, CERTIFICATE.toString()]);
    onTestFinished(() => setDefaultCACertificates(before));
    const { balancer } = await alone();
    for (const door of everyDoor(CERTIFICATE)) {
      const [alice, bob] = [`alice by ${door.name}`, `bob by ${door.name}`];
      await using sender = await door.open(balancer.tlsUrl, alice, await tokenFor(alice));
      await using receiver = await door.open(balancer.tlsUrl, bob, await tokenFor(bob));
      const id = await sender.send(bob, 'Good morning', 'a');
      await expect.poll(() => receiver.heard, { timeout: 10_000 }).toContainEqual(expect.objectContaining({ id }));
    }
  });

  it('somebody who does not read holds up nobody else', async () => {
    const { balancer } = await alone();
    using _stalled = await StalledStreams.open(balancer.url, await tokenFor('carol'), 1);
    using alice = typedClient(balancer.url, await tokenFor('alice'));
    using bob = typedClient(balancer.url, await tokenFor('bob'));
    // A connection to the instance may be shared from the second request on.
    await bob.chat.listConversations({});
    await using feed = await EventFeed.open(bob.chat, 'streamEvents');
    for (let n = 1; n <= TOO_MUCH.messages; n += 1) {
      await alice.chat.sendMessage({ receiverId: 'carol', text: TOO_MUCH.text });
      if (n % 50 !== 0) continue;
      await alice.chat.sendMessage({ receiverId: 'bob', text: `message ${n}` });
      await feed.until(() => feed.texts.at(-1) === `message ${n}`);
    }
    expect(feed.texts).toHaveLength(TOO_MUCH.messages / 50);
  });

  it('no call fails while one of two instances drains, and new clients find the other', async () => {
    // Their stores are not shared: this is about calls, not about what becomes of them.
    await using first = await startServer({ TRUST_PROXY: 'true', DRAIN_DELAY_MS: '5000' });
    await using second = await startServer({ TRUST_PROXY: 'true' });
    await using balancer = await Haproxy.start(first.port, second.port);
    const ways: readonly TransportName[] = ['connect-node Connect over HTTP/1.1', 'connect-node gRPC'];
    let answered = 0;
    let isOver = false;
    const callers = ways.flatMap((way) =>
      [1, 2, 3].map(async (n) => {
        using client = typedClient(balancer.url, await tokenFor(`caller ${n} by ${way}`), way);
        while (!isOver) {
          await client.chat.sendMessage({ receiverId: 'bob', text: 'still there?' });
          answered += 1;
        }
      }),
    );
    const calls = Promise.all(callers);
    await Promise.race([calls, expect.poll(() => answered, { timeout: 10_000 }).toBeGreaterThan(200)]);
    await first.app.drain();
    const drained = answered;
    await Promise.race([calls, expect.poll(() => answered, { timeout: 10_000 }).toBeGreaterThan(drained + 200)]);
    await using page = await Page.open({ url: balancer.url, token: await tokenFor('alice') });
    expect(await page.send('alice', 'bob', 'Hello')).not.toBe('');
    isOver = true;
    await calls;
  });

  it('the client cannot choose its address, see the figures of the server, or get its token into the log', async () => {
    const seen: IncomingHttpHeaders[] = [];
    const instance = createServer((request, response) => {
      if (request.url !== '/api/health') seen.push(request.headers);
      response.end(request.url);
    });
    instance.listen(0, '127.0.0.1');
    await once(instance, 'listening');
    onTestFinished(() => void instance.close().closeAllConnections());
    await using balancer = await Haproxy.start(NOBODY, (instance.address() as AddressInfo).port);
    const headers = { 'x-forwarded-for': '203.0.113.1, 203.0.113.2' };
    const asked = await fetch(`${balancer.url}/chathub/negotiate?access_token=very-secret`, { headers });
    expect(await asked.text()).toBe('/chathub/negotiate?access_token=very-secret');
    expect(seen.map((each) => each['x-forwarded-for'])).toEqual(['127.0.0.1']);
    for (const path of ['/metrics', '/METRICS', '/metrics?x', '/metrics/', '/%6detrics', '/%4DETRICS']) {
      expect(await statusOf(balancer, path)).toBe('404');
    }
    expect(seen).toHaveLength(1);
    await expect.poll(() => balancer.log).toContain('/chathub/negotiate');
    expect(balancer.log).not.toContain('very-secret');
  });
});

/** The status of the answer to a path that is sent exactly as it is. */
async function statusOf(balancer: Haproxy, path: string): Promise<string | undefined> {
  const socket = connect(Number(new URL(balancer.url).port), '127.0.0.1');
  socket.end(`GET ${path} HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n\r\n`);
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  return answer.split(' ')[1];
}
