/** What clients post: whole bodies in order, their bounds, and who may. */
import { describe, expect, it } from 'vitest';
import { method } from '../../../../src/bridge/signalr/hub/hub.ts';
import { param } from '../../../../src/bridge/signalr/protocol/parameters.ts';
import { connected } from './hosted-server.ts';
import { HANDSHAKE, HttpHub, HttpSocket, until } from './http-client.ts';

const said = (text: string): string => `${JSON.stringify({ type: 1, target: 'Say', arguments: [text] })}\u001e`;

/** A hub whose method notes what it was called with, after `gate`. */
async function listening(
  options: Parameters<HttpHub['start']>[0] = {},
  gate: () => Promise<void> | undefined = () => undefined,
): Promise<HttpHub & { heard: string[] }> {
  const heard: string[] = [];
  const Say = method([param.string], (_context, text) => {
    heard.push(String(text));
    return gate();
  });
  const hub = await new HttpHub().start({ methods: { Say }, ...options });
  hub.countRequests();
  return Object.assign(hub, { heard });
}

describe('what is posted', () => {
  it('is handed on in the order in which it was complete', async () => {
    const hub = await listening();
    const { path } = await hub.polling();
    const slow = new HttpSocket(hub.port);
    const body = said('slow');
    slow.write('POST', path, { body: body.slice(0, 10), headers: { 'Content-Length': String(body.length) } });
    await until(() => hub.requests > 0);
    for (const text of ['one', 'two', 'three']) expect((await hub.post(path, said(text))).status).toBe(200);
    slow.socket.write(body.slice(10));
    const answer = await slow.answer();

    expect([answer.status, answer.body, answer.headers.get('content-type')]).toEqual([200, '', 'text/plain']);
    expect(hub.heard).toEqual(['one', 'two', 'three', 'slow']);
  });

  it('may come in chunks, be empty, or be cut anywhere', async () => {
    const hub = await listening();
    const { path } = await hub.polling();
    const chunked = { 'Transfer-Encoding': 'chunked' };
    const body = said('in pieces');
    const chunks = [...body].map((letter) => `${Buffer.byteLength(letter).toString(16)}\r\n${letter}\r\n`).join('');
    expect((await hub.ask('POST', path, { body: `${chunks}0\r\n\r\n`, headers: chunked })).status).toBe(200);
    expect((await hub.post(path, '')).status).toBe(200);
    expect((await hub.ask('POST', path, { body: '0\r\n\r\n', headers: chunked })).status).toBe(200);
    const halves = said('in halves');
    await hub.post(path, halves.slice(0, 7));
    await hub.post(path, halves.slice(7));

    expect(hub.heard).toEqual(['in pieces', 'in halves']);
  });

  it('of a request that breaks off is nothing', async () => {
    const hub = await listening();
    const { path } = await hub.polling();
    const broken = new HttpSocket(hub.port);
    const body = said('whole') + said('broken');
    let isClosed = false;
    let isRead = false;
    hub.hosted.http.once('request', (request) => {
      request.once('data', () => {
        isRead = true;
      });
      request.once('close', () => {
        isClosed = true;
      });
    });
    broken.write('POST', path, { body: body.slice(0, -5), headers: { 'Content-Length': String(body.length) } });
    await until(() => isRead);
    broken.socket.destroy();
    await until(() => isClosed);
    await hub.post(path, said('next'));

    expect(hub.heard).toEqual(['next']);
  });

  it('may not be larger than the limit, which is named, announced or not', async () => {
    const hub = await listening({ options: { maximumFrameBytes: 1000, maximumReceiveMessageBytes: 1000 } });
    const { path } = await hub.polling();
    const announced = await hub.post(path, 'x'.repeat(1001));
    const chunk = `1f5\r\n${'x'.repeat(501)}\r\n`;
    const chunked = await hub.ask('POST', path, {
      body: `${chunk}${chunk}0\r\n\r\n`,
      headers: { 'Transfer-Encoding': 'chunked' },
    });
    const largest = said('x'.repeat(1000 - said('').length));
    expect((await hub.post(path, largest)).status).toBe(200);

    const tooLarge = [413, 'A request may hold 1000 bytes at most'];
    expect([announced.status, announced.body]).toEqual(tooLarge);
    expect([chunked.status, chunked.body]).toEqual(tooLarge);
    expect(hub.heard.length).toBe(1);
  });

  it('may not be more than 16 requests of a connection at once', async () => {
    const hub = await listening();
    const { path } = await hub.polling();
    const open = Array.from({ length: 16 }, () => new HttpSocket(hub.port));
    const reads = hub.requests;
    for (const socket of open) socket.write('POST', path, { body: '', headers: { 'Content-Length': '5' } });
    await until(() => hub.requests >= reads + 16);

    const refused = await hub.post(path, said('one more'));
    expect([refused.status, refused.body]).toEqual([429, 'Too many requests of this connection at once']);
    open[0]?.socket.destroy();
    let status = 429;
    while (status === 429) ({ status } = await hub.post(path, said('one more')));
    expect([status, hub.heard]).toEqual([200, ['one more']]);
  });

  it('may hold no more memory than all connections may together', async () => {
    const hub = await listening({
      options: { maximumPostedBytes: 1500, maximumFrameBytes: 1000, maximumReceiveMessageBytes: 1000 },
    });
    const connections = [await hub.polling(), await hub.polling()];
    const open = connections.map(() => new HttpSocket(hub.port));
    for (const [index, socket] of open.entries()) {
      const reads = hub.requests;
      socket.write('POST', connections[index]?.path ?? '', {
        body: 'x'.repeat(700),
        headers: { 'Content-Length': '900' },
      });
      await until(() => hub.requests > reads);
    }
    const third = await hub.polling();
    const refused = await hub.post(third.path, said('x'.repeat(200)));
    expect([refused.status, refused.body]).toEqual([503, 'Too much is being sent to this server at once']);
    for (const socket of open) socket.socket.destroy();
    let status = 503;
    while (status === 503) ({ status } = await hub.post(third.path, said('x'.repeat(200))));

    expect([status, hub.heard.length]).toEqual([200, 1]);
  });

  it('may hold no more memory of one connection than one request may', async () => {
    const hub = await listening({ options: { maximumFrameBytes: 1000, maximumReceiveMessageBytes: 1000 } });
    const { path } = await hub.polling();
    const reads = hub.requests;
    const open = new HttpSocket(hub.port);
    open.write('POST', path, { body: 'x'.repeat(900), headers: { 'Content-Length': '901' } });
    await until(() => hub.requests > reads);

    expect((await hub.post(path, 'x'.repeat(200))).status).toBe(429);
  });

  it('must arrive within 30 s, and gives its memory back', async () => {
    const hub = await listening({
      options: { maximumPostedBytes: 1000, maximumFrameBytes: 1000, maximumReceiveMessageBytes: 1000 },
    });
    const slow = await hub.polling();
    const { path, polls } = await hub.polling();
    await hub.waitingPoll(slow.polls, slow.path);
    await hub.waitingPoll(polls, path);
    const reads = hub.requests;
    const post = new HttpSocket(hub.port);
    post.write('POST', slow.path, { body: 'x'.repeat(900), headers: { 'Content-Length': '901' } });
    await until(() => hub.requests > reads);
    await hub.pass(29_000);
    expect((await hub.post(path, said('x'.repeat(100)))).status).toBe(503);
    expect(post.text).toBe('');
    await hub.pass(2_000);
    const answer = await post.answer();
    await post.seeEnd();

    expect([answer.status, answer.body]).toEqual([408, 'The request took too long to arrive']);
    expect((await hub.post(path, said('x'.repeat(100)))).status).toBe(200);
    expect((await hub.post(slow.path, said('again'))).status).toBe(200);
    expect(hub.heard).toEqual(['x'.repeat(100), 'again']);
  });

  it('is not said to be taken when the hub is closing, and its own end of the connection is', async () => {
    const hub = await listening();
    const { path } = await hub.polling();
    hub.connection.close();
    const late = await hub.post(path, said('late'));
    expect([late.status, late.body]).toEqual([404, 'No Connection with that ID']);

    const leaving = await hub.polling();
    expect((await hub.post(leaving.path, `${said('last')}{"type":7}\u001e`)).status).toBe(200);
    expect(hub.heard).toEqual(['last']);
  });

  it('waits while the connection is paused, and is told when it ends', async () => {
    const hub = await listening({ options: { maximumWaitingInvocations: 1 } }, () => new Promise(() => undefined));
    const { path, stream } = await hub.listening();
    expect((await hub.post(path, Array.from({ length: 8 }, (_, index) => said(String(index))).join(''))).status).toBe(
      200,
    );
    const waiting = new HttpSocket(hub.port);
    const reads = hub.requests;
    waiting.write('POST', path, { body: said('later') });
    await until(() => hub.requests > reads);
    await hub.clock.advance(100);
    expect(waiting.text).toBe('');
    stream.socket.destroy();
    const answer = await waiting.answer();

    expect([answer.status, answer.body]).toEqual([404, 'No Connection with that ID']);
    expect(hub.heard).not.toContain('later');
    await hub.seeNothingLeft();
  });

  it('goes on when the connection can take more', async () => {
    const gates: (() => void)[] = [];
    const hub = await listening(
      { options: { maximumWaitingInvocations: 1 } },
      () => new Promise((resolve) => void gates.push(resolve)),
    );
    const { path } = await hub.listening();
    const texts = Array.from({ length: 8 }, (_, index) => String(index));
    await hub.post(path, texts.map(said).join(''));
    const waiting = new HttpSocket(hub.port);
    waiting.write('POST', path, { body: said('later') });
    let answered = false;
    const answer = waiting.answer().then((value) => {
      answered = true;
      return value;
    });
    while (!answered || !hub.heard.includes('later')) {
      gates.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }

    expect((await answer).status).toBe(200);
    expect(hub.heard).toEqual([...texts, 'later']);
  });

  it('has no place on a WebSocket, before the transport has begun, or without an id', async () => {
    const hub = await listening();
    await connected(hub.port);
    const unused = await hub.negotiated();

    expect((await hub.post('/hub', HANDSHAKE)).body).toBe('Connection ID required');
    expect((await hub.post(unused, HANDSHAKE)).status).toBe(404);
    expect((await hub.post('/hub?id=unknown', HANDSHAKE)).status).toBe(404);
  });
});

describe('who asks', () => {
  const METHODS = ['GET', 'POST', 'DELETE'] as const;

  it('must be known with every request', async () => {
    const hub = await listening();
    const { path } = await hub.polling();
    for (const name of [...METHODS, 'PUT', 'HEAD', 'OPTIONS']) {
      const answer = await hub.ask(name, path, name === 'HEAD' ? { user: '' } : { user: '', body: '' });
      expect([answer.status, answer.body, answer.headers.get('www-authenticate')]).toEqual([401, '', 'Bearer']);
    }
    expect((await hub.ask('POST', '/hub/negotiate', { user: '', body: '' })).status).toBe(401);
    expect(hub.ended).toEqual([]);
  });

  it('must be the user of the connection', async () => {
    const hub = await listening();
    const polled = await hub.polling();
    const streamed = await hub.listening();
    for (const { path } of [polled, streamed]) {
      for (const name of METHODS) {
        const answer = await hub.ask(name, path, { user: 'bob', body: said('from bob') });
        expect([answer.status, answer.body]).toEqual([403, '']);
      }
      expect((await hub.ask('GET', path, { user: 'bob', headers: { Accept: 'text/event-stream' } })).status).toBe(403);
    }
    expect([hub.heard, hub.ended]).toEqual([[], []]);
  });

  it('may not use a token that has run out, while the connection lives on', async () => {
    let isExpired = false;
    const hub = await new HttpHub().start(
      {},
      {
        authenticate: () =>
          isExpired
            ? { ok: false, status: 401, challenge: 'Bearer error="invalid_token"' }
            : { ok: true, user: { name: 'alice' }, userId: 'alice' },
      },
    );
    const { path, stream } = await hub.listening();
    isExpired = true;

    expect((await hub.post(path, '{"type":6}\u001e')).status).toBe(401);
    hub.connection.send('Still', []);
    await stream.see('Still');
    expect(hub.ended).toEqual([]);
  });
});
