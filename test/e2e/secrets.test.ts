/** The log at its most talkative level, while tokens travel everywhere and people write: none of it gets in. */
import { expect, it } from 'vitest';
import { mintToken } from '../../src/auth/mint.ts';
import { EventFeed } from './support/event-feed.ts';
import { openPage } from './support/pages.ts';
import { RawHub } from './support/raw-hub.ts';
import { RestartableServer } from './support/restartable.ts';
import { TRANSPORTS, type TransportName, typedClient } from './support/rpc-clients.ts';
import { SECRET, tokenFor } from './support/server.ts';

const WORDS = 'zebra-crossing';

it('a server that logs everything writes down no token and nothing that a user wrote', async () => {
  await using server = await RestartableServer.start({
    LOG_LEVEL: 'trace',
    SEND_RATE_PER_SECOND: '1000',
    SEND_BURST: '1000',
  });
  const { url } = server;
  const good = await tokenFor('alice', { name: `Name ${WORDS}` });
  const expired = await mintToken({
    secret: new TextEncoder().encode(SECRET),
    userId: 'alice',
    issuer: 'CarePro',
    audience: 'CarePro',
    ttlMs: 1000,
    nowMs: Date.now() - 3_600_000,
  });
  const forged = `${good.slice(0, good.lastIndexOf('.'))}.${'A'.repeat(43)}`;
  const tokens = [good, expired, forged];

  for (const token of tokens) {
    await RawHub.open(url, token).then(
      (hub) => hub[Symbol.dispose](),
      () => undefined,
    );
    for (const path of [
      '/chathub',
      '/chathub/negotiate',
      '/api/chat/history',
      '/api/chat/unread-count',
      '/nowhere',
      '/carepro.chat.v1.ChatService/SendMessage',
    ]) {
      for (const method of ['GET', 'POST']) {
        await fetch(`${url}${path}?access_token=${token}&user1=${WORDS}&user2=alice`, {
          method,
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'x-request-id': token },
          ...(method === 'POST' && { body: `{"message": "${WORDS}", "text": "${WORDS}", "broken` }),
        });
      }
    }
    for (const transport of Object.keys(TRANSPORTS) as TransportName[]) {
      using client = typedClient(url, token, transport);
      await client.chat.sendMessage({ receiverId: 'bob', text: WORDS }).catch(() => undefined);
      await client.chat.sendMessage({ receiverId: WORDS.repeat(20), text: WORDS }).catch(() => undefined);
      await client.chat.sendMessage({ receiverId: 'bob', text: WORDS.repeat(1000) }).catch(() => undefined);
    }
  }
  await using page = await openPage(server, 'alice', { token: good });
  await page.send('alice', 'bob', WORDS);
  await page.send('alice', 'bob', WORDS.repeat(1000)).catch(() => undefined);
  await page.hub.invoke('GetMessageHistory', WORDS, WORDS, WORDS).catch(() => undefined);
  await page.hub.invoke(WORDS, good).catch(() => undefined);
  await page.rest('POST', '/api/chat/send', {
    senderId: 'alice',
    receiverId: 'bob',
    message: [WORDS],
    timestamp: WORDS,
  });
  using client = typedClient(url, good);
  await using stream = await EventFeed.open(client.chat, 'streamEvents');
  for (const token of tokens) await stream.request({ case: 'refreshToken', value: { token } });
  await stream.request({ case: 'send', value: { receiverId: 'bob', text: WORDS, clientMessageId: `${WORDS} id` } });

  expect(await server.stop('SIGTERM')).toBe(0);
  const output = server.output();
  // It did write about all that.
  for (const event of ['server.started', '"rpc"', 'hub.refused', 'invalid_argument', 'unauthenticated']) {
    expect(output).toContain(event);
  }
  for (const token of tokens) for (const part of token.split('.')) expect(output).not.toContain(part);
  expect(output).not.toContain('access_token');
  expect(output).not.toContain(WORDS);
  expect(output).not.toContain(SECRET);
});
