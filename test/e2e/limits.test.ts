/** The limits of a running server, reached from outside through each door. */
import { connect, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { EventFeed } from './support/event-feed.ts';
import { GrpcClient, grpcAddress } from './support/grpc-js-door.ts';
import { openPage } from './support/pages.ts';
import { RawHub } from './support/raw-hub.ts';
import { TRANSPORTS, type TransportName, typedClient } from './support/rpc-clients.ts';
import { reasonOf, retryDelayMs } from './support/rpc-errors.ts';
import { startServer, tokenFor } from './support/server.ts';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** Sends a text bit by bit, far too slowly. @returns when the server has closed. */
function dribble(port: number, text: string, everyMs: number): Promise<void> {
  const socket: Socket = connect(port, '127.0.0.1');
  let sent = 0;
  const timer = setInterval(() => {
    if (sent < text.length) socket.write(text.charAt(sent));
    sent += 1;
  }, everyMs);
  socket.on('error', () => undefined);
  socket.resume();
  return new Promise((resolve) => {
    socket.on('close', () => {
      clearInterval(timer);
      resolve();
    });
  });
}

describe('Slow clients', () => {
  it('that dribble, or say nothing at all, are cut off while others are served', async () => {
    await using server = await startServer({
      SNIFF_TIMEOUT_MS: '400',
      HEADER_TIMEOUT_MS: '600',
      REQUEST_TIMEOUT_MS: '900',
    });
    const { port } = server;
    const token = await tokenFor('alice');
    const send = 'POST /carepro.chat.v1.ChatService/SendMessage HTTP/1.1\r\nHost: x\r\n';
    const attacks = [
      '',
      'P',
      'PR',
      'GET /api/health HTTP/1.1\r\nHost: x\r\nX-Endless: '.padEnd(400, 'a'),
      `${send}Authorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n`,
      `POST /api/chat/send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Length: 5000\r\n\r\n{`,
      `GET /chathub?access_token=${token} HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`,
    ];
    const cut = Promise.all(
      Array.from({ length: 20 }, () => attacks)
        .flat()
        .map((text) => (text.length > 300 ? dribbleAfter(port, text) : dribble(port, text, 20))),
    );
    let isCut = false;
    void cut.then(() => {
      isCut = true;
    });
    await using page = await openPage(server, 'alice');
    let answered = 0;
    while (!isCut) {
      await page.send('alice', 'bob', 'still served');
      expect((await fetch(`${server.url}/api/health`)).status).toBe(200);
      answered += 1;
    }
    expect(answered).toBeGreaterThan(10);
    await cut;
  });

  it('that speak HTTP/2 and then leave its pings unanswered are cut off', async () => {
    await using server = await startServer({ HTTP2_PING_INTERVAL_MS: '200' });
    // A preface and empty settings: a good beginning, after which this client says nothing more.
    const socket = connect(server.port, '127.0.0.1');
    socket.write(Buffer.concat([Buffer.from(PREFACE), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]));
    socket.on('error', () => undefined);
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
  });
});

/** Sends the first half at once and dribbles the rest: the time-out must count from the beginning, not from the last byte. */
function dribbleAfter(port: number, text: string): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.write(text.slice(0, 200));
  let sent = 200;
  const timer = setInterval(() => {
    socket.write(sent < text.length ? text.charAt(sent) : ' ');
    sent += 1;
  }, 20);
  socket.on('error', () => undefined);
  socket.resume();
  return new Promise((resolve) => {
    socket.on('close', () => {
      clearInterval(timer);
      resolve();
    });
  });
}

describe('Too many connections of one user', () => {
  it('are refused at both doors together, with the time to come back, until one ends', async () => {
    await using server = await startServer({ MAX_CONNECTIONS_PER_USER: '2' });
    const token = await tokenFor('alice');
    using client = typedClient(server.url, token);
    const page = await openPage(server, 'alice');
    await using stream = await EventFeed.open(client.chat, 'streamEvents');

    await expect(RawHub.open(server.url, token)).rejects.toThrow();
    for (const kind of ['streamEvents', 'subscribe'] as const) {
      const error = await new EventFeed(client.chat, kind).ended;
      expect(reasonOf(error)).toBe('ResourceExhausted TOO_MANY_CONNECTIONS');
      expect(retryDelayMs(error)).toBeGreaterThan(0);
    }
    expect((await client.chat.getUnreadCounts({})).total).toBe(0);
    await using other = await openPage(server, 'bob');
    expect(other.hub.state).toBe('Connected');
    expect(stream.isOver).toBe(false);

    await page[Symbol.asyncDispose]();
    await expect
      .poll(async () => {
        const feed = new EventFeed(client.chat, 'subscribe');
        const outcome = await Promise.race([feed.until(() => feed.readies.length > 0), feed.ended]).catch(
          () => 'refused',
        );
        await feed[Symbol.asyncDispose]();
        return outcome;
      })
      .toBeUndefined();
  });
});

describe('A flood of messages', () => {
  const RATE = { SEND_RATE_PER_SECOND: '5', SEND_BURST: '5' };
  const TOO_FAST = 'Too many messages, slow down';

  /** Sends until one is refused. @returns the error. */
  async function flood(send: () => Promise<unknown>): Promise<unknown> {
    for (let n = 0; n < 200; n += 1) {
      try {
        await send();
      } catch (error) {
        return error;
      }
    }
    throw new Error('Nothing was refused');
  }

  it.each(Object.keys(TRANSPORTS) as TransportName[])('through %s is slowed down', async (transport) => {
    await using server = await startServer(RATE);
    using client = typedClient(server.url, await tokenFor('alice'), transport);
    const send = () => client.chat.sendMessage({ receiverId: 'bob', text: 'flood' });
    const error = await flood(send);
    expect(reasonOf(error)).toBe('ResourceExhausted RATE_LIMITED');
    expect(retryDelayMs(error)).toBeGreaterThan(0);
    expect(retryDelayMs(error)).toBeLessThanOrEqual(1000);
    // Others are not slowed down, and neither is reading.
    using other = typedClient(server.url, await tokenFor('carol'), transport);
    await other.chat.sendMessage({ receiverId: 'bob', text: 'one' });
    await client.chat.listMessages({ otherUserId: 'bob' });
    await expect.poll(() => send().then(() => 'sent', reasonOf), { timeout: 5000 }).toBe('sent');
  });

  it('through a stream, grpc-js, the hub and REST is slowed down in the words of each', async () => {
    await using server = await startServer(RATE);
    const tokens = await Promise.all(['alice', 'dora', 'erin', 'frank'].map((user) => tokenFor(user)));
    const [alice = '', dora = ''] = tokens;
    using client = typedClient(server.url, alice);
    await using stream = await EventFeed.open(client.chat, 'streamEvents');
    const status = await flood(async () => {
      const { outcome } = await stream.request({ case: 'send', value: { receiverId: 'bob', text: 'flood' } });
      if (outcome.case === 'error') throw outcome.value;
    });
    expect(status).toMatchObject({ code: 8, message: TOO_FAST });
    expect(
      (status as { details: { typeUrl: string }[] }).details.map(({ typeUrl }) => typeUrl.split('.').at(-1)),
    ).toEqual(['ErrorInfo', 'RetryInfo']);
    expect(stream.isOver).toBe(false);

    using grpc = new GrpcClient(...grpcAddress(server.url), dora);
    const grpcError = await flood(() => grpc.call('SendMessage', { receiverId: 'bob', text: 'flood' }));
    expect(grpcError).toMatchObject({ code: 8, details: TOO_FAST });

    await using erin = await openPage(server, 'erin');
    const hubError = await flood(() => erin.send('erin', 'bob', 'flood'));
    expect((hubError as Error).message).toContain(`HubException: ${TOO_FAST}`);
    await expect(erin.hub.invoke('Ping')).resolves.toBe('pong');

    let refused: Response | undefined;
    for (let n = 0; n < 200 && refused === undefined; n += 1) {
      const response = await fetch(`${server.url}/api/chat/send`, {
        method: 'POST',
        headers: { authorization: `Bearer ${tokens[3]}`, 'content-type': 'application/json' },
        body: JSON.stringify({ senderId: 'frank', receiverId: 'bob', message: 'flood', timestamp: `${n}` }),
      });
      if (response.status !== 200) refused = response;
    }
    expect(refused?.status).toBe(429);
    expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await refused?.json()).toEqual({ error: TOO_FAST, message: TOO_FAST });
  });
});
