import { request as httpRequest } from 'node:http';
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2, constants } from 'node:http2';
import { connect as connectSocket, type Socket } from 'node:net';
import { create, toBinary } from '@bufbuild/protobuf';
import { afterEach, describe, expect, test } from 'vitest';
import { StreamEventsRequestSchema, SubscribeRequestSchema } from '../../../gen/carepro/chat/v1/chat_service_pb.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';
import { type Harness, type HarnessOptions, startHarness, until } from './harness.ts';

let harness: Harness;

async function start(options?: HarnessOptions): Promise<void> {
  harness = await startHarness({ limits: { sendBurst: 100_000 }, ...options });
}

afterEach(async () => {
  await harness[Symbol.asyncDispose]();
});

const STREAM_PATH = '/carepro.chat.v1.ChatService/StreamEvents';
const TEXT = 'x'.repeat(5000);

function envelope(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([head, message]);
}

const OPEN = envelope(
  toBinary(
    StreamEventsRequestSchema,
    create(StreamEventsRequestSchema, { frame: { case: 'open', value: { userId: '' } } }),
  ),
);

/** Fills the stream of `bob` until the door has ended it, or `maxMessages` were sent. */
async function flood(ended: () => boolean, maxMessages = 5000): Promise<number> {
  const alice = harness.client('alice');
  let sent = 0;
  while (!ended() && sent < maxMessages) {
    await Promise.all(Array.from({ length: 50 }, () => alice.sendMessage({ receiverId: 'bob', text: TEXT })));
    sent += 50;
  }
  return sent;
}

const isOver = (): boolean => harness.registry.count === 0 && harness.door.streamCount === 0;

describe('A client that does not read its stream', () => {
  test('is told so and cut at the bound of its queue, over HTTP/2', async () => {
    await start();
    const session = connectHttp2(harness.http2);
    session.on('error', () => undefined);
    const stream = openStream(session);
    await until(() => harness.registry.count === 1, 'the stream is open');
    const closed = new Promise<number>((resolve) => stream.once('close', () => resolve(stream.rstCode)));
    const sent = await flood(() => harness.registry.count === 0);
    // 1 MiB of queue at some 10 kB each, and what the transport takes.
    expect(sent).toBeLessThan(400);
    await until(isOver, 'the stream is forgotten');
    expect(harness.metrics.counts.get('chat_rpc_streams_ended_total slowConsumer')).toBe(1);
    expect(await closed).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    await until(
      () => harness.log.entries.some(({ code, method }) => `${method} ${code}`.endsWith('Events resource_exhausted')),
      'the stream is in the log',
    );
    expect(harness.log.errors).toEqual([]);
    // The connection itself is fine.
    const ping = new Promise((resolve) => session.ping((error) => resolve(error)));
    expect(await ping).toBeNull();
    session.destroy();
  });

  test('hears the reason if it reads again in time, and resumes with nothing missing', async () => {
    const clock = new FakeClock();
    await start({ clock, brokerMaxEvents: 10 });
    const slow = harness.client('bob').subscribe({})[Symbol.asyncIterator]();
    await slow.next();
    const sent = await flood(() => harness.registry.count === 0);
    expect(sent).toBeLessThan(2000);
    let count = 0;
    let last: string | undefined;
    let failure: unknown;
    try {
      for (;;) {
        const next = await slow.next();
        if (next.done) break;
        last = next.value.frame.case;
        if (last === 'event') count += 1;
      }
    } catch (error) {
      failure = error;
    }
    expect(last).toBe('goingAway');
    expect(String(failure)).toContain('resource_exhausted');
    expect(count).toBeLessThan(sent);
    await until(isOver, 'the stream is forgotten');
  });

  test('is cut when a frame has waited too long, even if the queue is not full', async () => {
    const clock = new FakeClock();
    await start({ clock, options: { heartbeatIntervalMs: 3_600_000 } });
    const session = connectHttp2(harness.http2, { settings: { initialWindowSize: 1000 } });
    session.on('error', () => undefined);
    await new Promise((resolve) => session.once('remoteSettings', resolve));
    const stream = openStream(session);
    const closed = new Promise<number>((resolve) => stream.once('close', () => resolve(stream.rstCode)));
    await until(() => harness.registry.count === 1, 'the stream is open');
    await flood(() => false, 50);
    await until(() => harness.broker.streams === 2, 'the events are there');
    await clock.advance(29_000);
    expect(harness.registry.count).toBe(1);
    await clock.advance(1000);
    await until(() => harness.registry.count === 0, 'the session is closed');
    await clock.advance(1000);
    expect(await closed).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    await until(isOver, 'the stream is forgotten');
    session.destroy();
  });

  test('loses its connection over HTTP/1.1, where nothing else can be cut', async () => {
    await start();
    const socket = await stalledSocket();
    await until(() => harness.registry.count === 1, 'the stream is open');
    await flood(isOver);
    await until(isOver, 'the stream is forgotten');
    await until(() => [...harness.sockets].every((one) => one.remotePort !== socket.localPort), 'the socket is closed');
    socket.destroy();
  });

  test('costs no memory beyond its bound, however many there are', async () => {
    await start();
    const sockets = await Promise.all(Array.from({ length: 20 }, () => stalledSocket()));
    await until(() => harness.registry.count === 20, 'the streams are open');
    global.gc?.();
    const before = process.memoryUsage().rss;
    await flood(isOver, 20_000);
    await until(isOver, 'the streams are forgotten');
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 * 1024);
    for (const socket of sockets) socket.destroy();
  });
});

/** Opens the stream of `bob` and never reads it. */
function openStream(session: ClientHttp2Session): ClientHttp2Stream {
  const stream = session.request({
    ':method': 'POST',
    ':path': STREAM_PATH,
    'content-type': 'application/grpc',
    te: 'trailers',
    authorization: 'Bearer bob',
  });
  stream.on('error', () => undefined);
  stream.write(OPEN);
  stream.pause();
  return stream;
}

/** Subscribes over HTTP/1.1 and never reads the answer. */
async function stalledSocket(): Promise<Socket> {
  const { hostname, port } = new URL(harness.http1);
  const socket = connectSocket(Number(port), hostname);
  socket.on('error', () => undefined);
  const body = envelope(toBinary(SubscribeRequestSchema, create(SubscribeRequestSchema, {})));
  socket.pause();
  socket.write(
    `POST /carepro.chat.v1.ChatService/Subscribe HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: Bearer bob\r\n` +
      `Content-Type: application/connect+proto\r\nContent-Length: ${body.byteLength}\r\n\r\n`,
  );
  socket.write(body);
  return socket;
}

describe('A unary call that stalls', () => {
  test('is cut some time after its deadline: half a request', async () => {
    const clock = new FakeClock();
    await start({ clock });
    const { hostname, port } = new URL(harness.http1);
    const request = httpRequest({
      hostname,
      port,
      method: 'POST',
      path: '/carepro.chat.v1.ChatService/SendMessage',
      headers: { 'content-type': 'application/proto', 'content-length': 100, authorization: 'Bearer bob' },
    });
    const broken = new Promise((resolve) => request.once('error', resolve));
    const pending = clock.pending;
    request.write('half');
    await until(() => clock.pending > pending, 'the call has begun');
    await clock.advance(75_000);
    expect(await broken).toMatchObject({ code: 'ECONNRESET' });
    await until(() => harness.log.entries.some((entry) => entry.code === 'canceled'), 'the call is in the log');
    expect(harness.log.errors).toEqual([]);
  });

  test('is cut some time after its deadline: an answer that nobody takes', async () => {
    const clock = new FakeClock();
    await start({ clock });
    const alice = harness.client('alice');
    await Promise.all(Array.from({ length: 200 }, () => alice.sendMessage({ receiverId: 'bob', text: TEXT })));
    const session = connectHttp2(harness.http2, { settings: { initialWindowSize: 0 } });
    session.on('error', () => undefined);
    await new Promise((resolve) => session.once('remoteSettings', resolve));
    const stream = session.request({
      ':method': 'POST',
      ':path': '/carepro.chat.v1.ChatService/ListMessages',
      'content-type': 'application/json',
      authorization: 'Bearer bob',
    });
    stream.on('error', () => undefined);
    const closed = new Promise<number>((resolve) => stream.once('close', () => resolve(stream.rstCode)));
    stream.end(JSON.stringify({ otherUserId: 'alice', pageSize: 200 }));
    await new Promise((resolve) => stream.once('response', resolve));
    await clock.advance(75_000);
    expect(await closed).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    session.destroy();
  });

  test('and a stream whose request never arrives ends with the time for opening', async () => {
    const clock = new FakeClock();
    await start({ clock });
    const session = connectHttp2(harness.http2);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/carepro.chat.v1.ChatService/Subscribe',
      'content-type': 'application/grpc',
      te: 'trailers',
      authorization: 'Bearer bob',
    });
    const pending = clock.pending;
    const trailers = new Promise<Record<string, unknown>>((resolve) => stream.once('trailers', resolve));
    stream.resume();
    stream.write(Buffer.from([0, 0, 0]));
    await until(() => clock.pending > pending + 1, 'the call waits for its message');
    await clock.advance(10_000);
    expect((await trailers)['grpc-status']).toBe('4');
    session.destroy();
  });
});
