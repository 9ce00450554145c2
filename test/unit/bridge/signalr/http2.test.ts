/** The endpoint behind the product's own listener over HTTP/2, in plain text and TLS. */
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ConnectionError } from '../../../../src/bridge/signalr/hub/errors.ts';
import { type HubConnection, hub, method } from '../../../../src/bridge/signalr/hub/hub.ts';
import { createSignalRServer } from '../../../../src/bridge/signalr/hub/server.ts';
import { param } from '../../../../src/bridge/signalr/protocol/parameters.ts';
import { Listener } from '../../../../src/http/listener.ts';
import { systemClock } from '../../../../src/time/clock.ts';
import { FakeClock } from '../../../fixtures/fake-clock.ts';
import { HANDSHAKE, until } from './http-client.ts';
import type { TestUser } from './memory-connection.ts';

const tlsFolder = join(import.meta.dirname, '../../../fixtures/tls');
const TLS = { cert: readFileSync(join(tlsFolder, 'cert.pem')), key: readFileSync(join(tlsFolder, 'key.pem')) };
/** Headers that HTTP/2 forbids (RFC 9113, section 8.2.2). */
const HTTP1_ONLY = ['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'proxy-connection'];

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** A stream and what has come of it. */
class Stream {
  readonly stream: ClientHttp2Stream;
  status = 0;
  headers: Readonly<Record<string, unknown>> = {};
  text = '';
  isOver = false;

  constructor(stream: ClientHttp2Stream) {
    this.stream = stream;
    stream.setEncoding('utf8');
    stream.on('response', (headers) => {
      this.status = Number(headers[':status']);
      this.headers = headers;
    });
    stream.on('data', (chunk: string) => {
      this.text += chunk;
    });
    stream.on('error', () => undefined);
    stream.on('close', () => {
      this.isOver = true;
    });
  }
}

class Http2Hub {
  readonly clock = new FakeClock();
  readonly connected: HubConnection<TestUser>[] = [];
  readonly ended: (ConnectionError['failure'] | undefined)[] = [];
  readonly received: number[] = [];
  readonly heard: string[] = [];
  readonly server;
  requests = 0;
  #port = 0;
  readonly #tls: boolean;

  constructor(tls: boolean) {
    this.#tls = tls;
    const Say = method([param.string], (_context, text) => void this.heard.push(String(text)));
    this.server = createSignalRServer<TestUser>({
      hub: hub<TestUser>({
        methods: { Say },
        onConnected: (connection) => void this.connected.push(connection),
        onDisconnected: (_connection, error) => void this.ended.push(error?.failure),
        onReceived: (_connection, mark) => void this.received.push(mark),
        options: { receiptProbeDelayMs: 1, maximumOutboundBytes: 67_108_864, keepRequest: true },
      }),
      path: '/hub',
      clock: this.clock,
      authenticate: ({ token }) =>
        token === undefined
          ? { ok: false, status: 401, challenge: 'Bearer' }
          : { ok: true, user: { name: token }, userId: token },
    });
  }

  async start(): Promise<this> {
    const listener = new Listener({
      host: '127.0.0.1',
      port: 0,
      ...(this.#tls && { tls: TLS }),
      clock: systemClock,
      sniffTimeoutMs: 10_000,
      headerTimeoutMs: 10_000,
      requestTimeoutMs: 10_000,
      keepAliveTimeoutMs: 65_000,
      maxHeaderBytes: 16_384,
      http2MaxStreams: 100,
      http2PingIntervalMs: 30_000,
      maxConnectionsPerAddress: 100,
      handler: (request, response) => {
        this.server.handleRequest(request as IncomingMessage, response as ServerResponse);
        this.requests += 1;
      },
      upgrade: (_request, socket) => void socket.destroy(),
    });
    this.#port = (await listener.listen()).port;
    onTestFinished(async () => {
      this.server.close();
      await listener.close();
    });
    return this;
  }

  session(): ClientHttp2Session {
    const scheme = this.#tls ? 'https' : 'http';
    const session = connect(`${scheme}://localhost:${this.#port}`, { rejectUnauthorized: false });
    session.on('error', () => undefined);
    onTestFinished(() => void session.destroy());
    return session;
  }

  get connection(): HubConnection<TestUser> {
    const connection = this.connected.at(-1);
    if (connection === undefined) throw new Error('Nobody has come');
    return connection;
  }

  begin(session: ClientHttp2Session, verb: string, path: string, body?: string, more = {}): Stream {
    const headers = { ':method': verb, ':path': path, authorization: 'Bearer alice', ...more };
    const stream = session.request(headers, { endStream: body === undefined });
    if (body !== undefined) stream.end(body);
    return new Stream(stream);
  }

  async ask(session: ClientHttp2Session, verb: string, path: string, body?: string): Promise<Answer> {
    const stream = this.begin(session, verb, path, body);
    await until(() => stream.isOver);
    const { headers, status, text } = stream;
    return { status, headers, body: text };
  }

  async negotiated(session: ClientHttp2Session): Promise<string> {
    const { body } = await this.ask(session, 'POST', '/hub/negotiate?negotiateVersion=1', '');
    return `/hub?id=${(JSON.parse(body) as { connectionToken: string }).connectionToken}`;
  }

  /** A polled connection after its handshake. */
  async polling(session: ClientHttp2Session): Promise<string> {
    const path = await this.negotiated(session);
    await this.ask(session, 'GET', path);
    await this.ask(session, 'POST', path, HANDSHAKE);
    await this.ask(session, 'GET', path);
    return path;
  }

  async waitingPoll(session: ClientHttp2Session, path: string): Promise<Stream> {
    const reads = this.requests;
    const stream = this.begin(session, 'GET', path);
    await until(() => this.requests > reads);
    return stream;
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 1000) await this.clock.advance(Math.min(1000, ms - passed));
  }
}

const seeForbidden = (headers: Readonly<Record<string, unknown>>): readonly string[] =>
  HTTP1_ONLY.filter((name) => name in headers);

describe.each([
  ['in plain text', false],
  ['over TLS', true],
])('HTTP/2 %s', (_name, tls) => {
  it('carries negotiation, polls, posts and the goodbye', async () => {
    const hosted = await new Http2Hub(tls).start();
    const session = hosted.session();
    const path = await hosted.negotiated(session);
    const first = await hosted.ask(session, 'GET', path);
    const posted = await hosted.ask(session, 'POST', path, HANDSHAKE);
    const second = await hosted.ask(session, 'GET', path);
    await hosted.ask(session, 'POST', path, '{"type":1,"target":"Say","arguments":["hello"]}\u001e');
    const poll = await hosted.waitingPoll(session, path);
    const left = await hosted.ask(session, 'DELETE', path);
    await until(() => poll.isOver);

    expect([first.status, first.body, posted.status, second.status, second.body]).toEqual([
      200,
      '',
      200,
      200,
      '{}\u001e',
    ]);
    expect([left.status, poll.status, poll.text]).toEqual([202, 204, '']);
    expect([hosted.heard, hosted.ended]).toEqual([['hello'], [undefined]]);
    for (const { headers } of [first, posted, second, left, poll]) expect(seeForbidden(headers)).toEqual([]);
    expect((await hosted.ask(session, 'GET', path)).status).toBe(404);
    expect(hosted.connection.request?.httpVersion).toBe('2.0');
    expect(hosted.connection.remoteAddress).toMatch(/127\.0\.0\.1|::1/);
  });

  it('carries streams of events', async () => {
    const hosted = await new Http2Hub(tls).start();
    const session = hosted.session();
    const path = await hosted.negotiated(session);
    const events = hosted.begin(session, 'GET', path, undefined, { accept: 'text/event-stream' });
    await until(() => events.text === ':\r\n');
    await hosted.ask(session, 'POST', path, HANDSHAKE);
    hosted.connection.send('Event', ['x'.repeat(200_000)]);
    await until(() => events.text.includes('Event') && events.text.endsWith('\u001e\r\n\r\n'));
    hosted.connection.close();
    await until(() => events.isOver);

    expect([events.status, events.headers['content-type']]).toEqual([200, 'text/event-stream']);
    expect(seeForbidden(events.headers)).toEqual([]);
    expect(events.text.endsWith('data: {"type":7}\u001e\r\n\r\n')).toBe(true);
    expect(hosted.ended).toEqual([undefined]);
  });

  it('refuses as HTTP/1.1 does', async () => {
    const hosted = await new Http2Hub(tls).start();
    const session = hosted.session();
    const stranger = hosted.begin(session, 'POST', '/hub/negotiate', '', { authorization: '' });
    await until(() => stranger.isOver);
    expect([stranger.status, stranger.headers['www-authenticate']]).toEqual([401, 'Bearer']);
    expect((await hosted.ask(session, 'GET', '/hub?id=unknown')).body).toBe('No Connection with that ID');
    expect((await hosted.ask(session, 'PUT', '/hub?id=unknown', 'body')).status).toBe(405);
    const large = await hosted.ask(session, 'POST', await hosted.polling(session), 'x'.repeat(1_048_577));
    expect(large.status).toBe(413);
  });
});

describe('an HTTP/2 stream that is reset', () => {
  const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = constants;

  it.each([NGHTTP2_NO_ERROR, NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR])(
    'with code %i ends the connection of its events, and nothing else',
    async (code) => {
      const hosted = await new Http2Hub(false).start();
      const session = hosted.session();
      const path = await hosted.negotiated(session);
      const events = hosted.begin(session, 'GET', path, undefined, { accept: 'text/event-stream' });
      await until(() => events.text !== '');
      await hosted.ask(session, 'POST', path, HANDSHAKE);
      events.stream.close(code);
      await until(() => hosted.ended.length > 0);

      expect(hosted.ended).toEqual(['connection-lost']);
      expect((await hosted.ask(session, 'POST', path, HANDSHAKE)).status).toBe(404);
    },
  );

  it.each([
    ['without an error', (post: ClientHttp2Stream) => post.destroy(), {}],
    ['with an error', (post: ClientHttp2Stream) => post.destroy(new Error('broken off')), {}],
    ['before the length it named', (post: ClientHttp2Stream) => post.end(), { 'content-length': '1000' }],
  ])('%s in the middle of a post has said nothing', async (_name, breakOff, more) => {
    const hosted = await new Http2Hub(false).start();
    const session = hosted.session();
    const path = await hosted.polling(session);
    const reads = hosted.requests;
    const post = session.request({ ':method': 'POST', ':path': path, authorization: 'Bearer alice', ...more });
    let isOver = false;
    post.on('error', () => undefined);
    post.on('close', () => {
      isOver = true;
    });
    post.write('{"type":1,"target":"Say","arguments":["broken"]}\u001e');
    await until(() => hosted.requests > reads);
    // The piece has arrived when what was sent after it has.
    await hosted.ask(session, 'GET', '/hub');
    breakOff(post);
    await until(() => isOver);
    await hosted.ask(session, 'POST', path, '{"type":1,"target":"Say","arguments":["next"]}\u001e');

    expect([hosted.heard, hosted.ended]).toEqual([['next'], []]);
  });

  it.each([NGHTTP2_NO_ERROR, NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR])(
    'with code %i while a poll waits leaves the connection to the next poll',
    async (code) => {
      const hosted = await new Http2Hub(false).start();
      const session = hosted.session();
      const path = await hosted.polling(session);
      const poll = await hosted.waitingPoll(session, path);
      poll.stream.close(code);
      await until(() => poll.isOver);
      const again = await hosted.waitingPoll(session, path);
      hosted.connection.send('Event', []);
      await until(() => again.isOver);

      expect(again.text).toContain('Event');
      expect(hosted.ended).toEqual([]);
    },
  );

  it('in the middle of what a poll carried ends the connection, and nothing is proven', async () => {
    const hosted = await new Http2Hub(false).start();
    const session = hosted.session();
    const path = await hosted.polling(session);
    const poll = await hosted.waitingPoll(session, path);
    poll.stream.pause();
    hosted.connection.send('Large', ['x'.repeat(8_000_000)], { receipt: true });
    await until(() => poll.status === 200);
    await hosted.clock.advance(10);
    poll.stream.close(NGHTTP2_CANCEL);
    await until(() => hosted.ended.length > 0);

    expect([hosted.received, hosted.ended]).toEqual([[], ['connection-lost']]);
    expect((await hosted.ask(session, 'GET', path)).status).toBe(404);
  });
});

describe('a request over HTTP/2 that never ends', () => {
  it.each([
    ['POST', '/hub/negotiate', 401, { authorization: '' }],
    ['POST', '/hub/negotiate?negotiateVersion=1', 200, {}],
    ['GET', '/hub?id=unknown', 404, {}],
    ['PUT', '/hub', 405, {}],
  ])('%s %s is answered %i, and keeps no stream', async (verb, path, status, more) => {
    const hosted = await new Http2Hub(false).start();
    const session = hosted.session();
    const request = { ':method': verb, ':path': path, authorization: 'Bearer alice', ...more };
    const stream = new Stream(session.request(request, { endStream: false }));
    await until(() => stream.isOver);

    expect([stream.status, stream.stream.rstCode]).toEqual([status, 0]);
  });

  it('may be a poll', async () => {
    const hosted = await new Http2Hub(false).start();
    const session = hosted.session();
    const path = await hosted.polling(session);
    const reads = hosted.requests;
    const headers = { ':method': 'GET', ':path': path, authorization: 'Bearer alice' };
    const poll = new Stream(session.request(headers, { endStream: false }));
    await until(() => hosted.requests > reads);
    hosted.connection.send('Event', []);
    await until(() => poll.isOver);

    expect(poll.text).toContain('Event');
  });
});

describe('a post over HTTP/2', () => {
  it('must arrive in time, and keeps no stream when it does not, nor when it is refused before', async () => {
    const hosted = await new Http2Hub(false).start();
    const session = hosted.session();
    const path = await hosted.polling(session);
    await hosted.waitingPoll(session, path);
    const begin = (more = {}): Stream =>
      new Stream(session.request({ ':method': 'POST', ':path': path, authorization: 'Bearer alice', ...more }));
    const slow = begin();
    slow.stream.write('{"type":1,');
    const large = begin({ 'content-length': '1048577' });
    await until(() => large.isOver);
    await hosted.pass(29_000);
    expect(slow.isOver).toBe(false);
    await hosted.pass(2_000);
    await until(() => slow.isOver);

    expect([large.status, slow.status, slow.text]).toEqual([413, 408, 'The request took too long to arrive']);
    expect([large.stream.rstCode, slow.stream.rstCode]).toEqual([0, 0]);
    expect(hosted.ended).toEqual([]);
    expect((await hosted.ask(session, 'POST', path, '{"type":6}\u001e')).status).toBe(200);
  });
});

describe('proof of receipt over HTTP/2', () => {
  it('is the next poll in time', async () => {
    const hosted = await new Http2Hub(false).start();
    const session = hosted.session();
    const path = await hosted.polling(session);
    const poll = await hosted.waitingPoll(session, path);
    const mark = hosted.connection.send('Event', [], { receipt: true });
    await until(() => poll.isOver);
    await hosted.clock.advance(10);
    await hosted.waitingPoll(session, path);

    expect(hosted.received).toEqual([mark]);
  });

  it('is no poll that comes too late, though its connection is the same', async () => {
    const hosted = await new Http2Hub(false).start();
    const session = hosted.session();
    const path = await hosted.polling(session);
    const poll = await hosted.waitingPoll(session, path);
    await hosted.pass(89_000);
    hosted.connection.send('Event', [], { receipt: true });
    await until(() => poll.isOver);
    await hosted.pass(7_000);

    expect((await hosted.ask(session, 'GET', path)).status).toBe(404);
    expect([hosted.received, hosted.ended]).toEqual([[], ['connection-lost']]);
  });
});

describe('a client of HTTP/2 that takes nothing', () => {
  it('is cut after 10 s, and its session serves others', async () => {
    const hosted = await new Http2Hub(false).start();
    const session = hosted.session();
    const path = await hosted.polling(session);
    const poll = await hosted.waitingPoll(session, path);
    poll.stream.pause();
    hosted.connection.send('Large', ['x'.repeat(8_000_000)]);
    await until(() => poll.status === 200);
    await hosted.pass(13_000);

    expect(hosted.ended).toEqual(['send-timeout']);
    poll.stream.resume();
    await until(() => poll.isOver);
    expect(poll.text.length).toBeLessThan(8_000_000);
    await hosted.polling(session);
  });
});
