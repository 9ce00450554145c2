/** What the page lives through when the server is restarted, and when its token expires, which it cannot renew. */
import { HttpTransportType, HubConnectionBuilder, LogLevel } from '@microsoft/signalr';
import { expect, test } from 'vitest';
import { mintToken } from '../../src/auth/mint.ts';
import { pendingFor } from './support/evidence.ts';
import { field, openPage, restPage, sendByRest } from './support/pages.ts';
import { RestartableServer } from './support/restartable.ts';
import { SECRET, startServer } from './support/server.ts';
import { TcpProxy } from './support/tcp-proxy.ts';

const PATIENCE = { timeout: 20_000, interval: 20 };

test.each(['SIGTERM', 'SIGKILL'] as const)(
  'after %s the page reconnects by itself within two seconds of the restart and misses nothing',
  async (signal) => {
    await using server = await RestartableServer.start();
    await using bob = await openPage(server, 'bob', { reconnects: true });
    const alice = await restPage(server, 'alice');
    const send = (text: string): Promise<string> =>
      sendByRest(alice, { senderId: 'alice', receiverId: 'bob', text, timestamp: text });
    const closes: unknown[] = [];
    bob.hub.onreconnecting((error) => closes.push(error?.message));
    bob.hub.onclose((error) => closes.push(`closed: ${error?.message}`));
    await send('before');
    await bob.until(() => bob.texts.includes('before'));
    await expect.poll(() => pendingFor(server.dataDir, 'bob'), PATIENCE).toBe(0);
    await server.stop(signal);
    await expect.poll(() => bob.hub.state, PATIENCE).toBe('Reconnecting');
    const reconnected = new Promise<number>((resolve) => bob.hub.onreconnected(() => resolve(performance.now())));
    await server.start();
    const readyAtMs = performance.now();
    await send('meanwhile 1');
    await send('meanwhile 2');
    // The longest pause between two attempts of this page is one second.
    expect((await reconnected) - readyAtMs).toBeLessThan(2000);
    await bob.until(() => bob.texts.includes('meanwhile 2'));
    await send('after');
    await bob.until(() => bob.texts.includes('after'));
    // Whoever comes soon after a restart is repeated the last seconds before it: they may not have reached this tab.
    expect(bob.shown).toEqual(['before', 'meanwhile 1', 'meanwhile 2', 'after']);
    // A drain says goodbye, with allowReconnect and without an error; a kill cannot.
    expect(closes).toEqual([signal === 'SIGTERM' ? undefined : expect.stringMatching(/closed with status code: 1006/)]);
  },
  60_000,
);

test('a half-open connection does not hold up the restart that everybody else waits for', async () => {
  await using server = await RestartableServer.start();
  await using proxy = await TcpProxy.open(server.port);
  await using _deaf = await openPage(proxy, 'alice');
  await using bob = await openPage(server, 'bob', { reconnects: true });
  proxy.freeze();
  const stoppedAtMs = performance.now();
  expect(await server.stop('SIGTERM')).toBe(0);
  // The closing handshake of a client that does not answer would take five seconds.
  expect(performance.now() - stoppedAtMs).toBeLessThan(4000);
  await server.start();
  await expect.poll(() => bob.hub.state, PATIENCE).toBe('Connected');
}, 60_000);

/** A token that the server takes for two to three more seconds: it has expired, but within the tolerance of 30 s. */
function expiringToken(userId: string): Promise<string> {
  return mintToken({
    secret: new TextEncoder().encode(SECRET),
    userId,
    issuer: 'CarePro',
    audience: 'CarePro',
    nowMs: Date.now() - 60_000,
    ttlMs: 33_000,
  });
}

test('a page whose token expired keeps its connection, while REST calls and new connections with it are refused', async () => {
  await using server = await startServer();
  const token = await expiringToken('bob');
  await using alice = await openPage(server, 'alice');
  await using bob = await openPage(server, 'bob', { token });
  expect((await bob.rest('GET', '/api/chat/unread-count')).status).toBe(200);
  await expect.poll(async () => (await bob.rest('GET', '/api/chat/unread-count')).status, PATIENCE).toBe(401);
  const { body } = await bob.rest('GET', '/api/chat/unread-count');
  expect(body).toEqual({ error: field(body, 'message'), message: expect.stringMatching(/^The token expired at /) });
  for (const skipNegotiation of [true, false]) {
    await expect(openPage(server, 'bob', { token, skipNegotiation })).rejects.toThrow();
  }
  const negotiate = await fetch(`${server.url}/chathub/negotiate?negotiateVersion=1`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
  });
  expect(negotiate.status).toBe(401);
  const id = await alice.send('alice', 'bob', 'Still there?');
  await bob.until(() => bob.received.includes(id));
  await bob.hub.invoke('MarkMessageAsRead', id, 'bob');
  const answer = await bob.send('bob', 'alice', 'Still here.');
  await alice.until(() => alice.received.includes(answer));
});

test('without a grace the connection ends with its token, and the page may come back', async () => {
  await using server = await startServer({ AUTH_HUB_EXPIRY_GRACE_MS: '0' });
  const token = await mintToken({
    secret: new TextEncoder().encode(SECRET),
    userId: 'bob',
    issuer: 'CarePro',
    audience: 'CarePro',
    ttlMs: 3000,
  });
  const hub = new HubConnectionBuilder()
    .withUrl(`${server.url}/chathub`, {
      accessTokenFactory: () => token,
      transport: HttpTransportType.WebSockets,
      skipNegotiation: true,
    })
    .configureLogging(LogLevel.None)
    .withAutomaticReconnect([60_000])
    .build();
  await hub.start();
  expect(await hub.invoke('Ping')).toBe('pong');
  // Without allowReconnect the client would go to Disconnected.
  await expect.poll(() => hub.state, PATIENCE).toBe('Reconnecting');
  await hub.stop();
});
