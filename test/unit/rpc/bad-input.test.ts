import { connect as connectHttp2 } from 'node:http2';
import { gzipSync } from 'node:zlib';
import { create, toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SendMessageRequestSchema, StreamEventsRequestSchema } from '../../../gen/carepro/chat/v1/chat_service_pb.ts';
import { type Harness, startHarness, until } from './harness.ts';
import { StreamClient } from './stream-client.ts';

let harness: Harness;

beforeAll(async () => {
  harness = await startHarness({ options: { readMaxBytes: 64 * 1024 } });
});
afterAll(async () => {
  await harness[Symbol.asyncDispose]();
});

const SEND = '/carepro.chat.v1.ChatService/SendMessage';
const EVENTS = '/carepro.chat.v1.ChatService/StreamEvents';
const GRPC_INTERNAL = '13';
const GRPC_RESOURCE_EXHAUSTED = '8';

/** A SendMessageRequest whose text is no UTF-8. */
const INVALID_UTF8 = Buffer.from([0x12, 1, 0x62, 0x1a, 2, 0xc3, 0x28]);

function envelope(message: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([head, message]);
}

async function post(path: string, contentType: string, body: Buffer | string, headers: Record<string, string> = {}) {
  const response = await fetch(`${harness.http1}${path}`, {
    method: 'POST',
    headers: { 'content-type': contentType, authorization: 'Bearer alice', ...headers },
    body,
  });
  return { status: response.status, text: await response.text() };
}

/** A gRPC call by hand; the status from its trailers or headers. */
async function grpc(path: string, body: Buffer, headers: Record<string, string> = {}): Promise<string> {
  const session = connectHttp2(harness.http2);
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    authorization: 'Bearer alice',
    ...headers,
  });
  try {
    const status = new Promise<string>((resolve, reject) => {
      stream.once('response', (response) => response['grpc-status'] && resolve(`${response['grpc-status']}`));
      stream.once('trailers', (trailers) => resolve(`${trailers['grpc-status']}`));
      stream.once('error', reject);
    });
    stream.resume();
    stream.end(body);
    return await status;
  } finally {
    session.destroy();
  }
}

describe('A body that cannot be read', () => {
  test.each([
    ['text that is no UTF-8', INVALID_UTF8],
    ['a truncated message', Buffer.from([0x12, 50, 0x62])],
    ['garbage', Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff])],
  ])('gets the error of its protocol: %s', async (_, body) => {
    expect(await grpc(SEND, envelope(body))).toBe(GRPC_INTERNAL);
    const connect = await post(SEND, 'application/proto', body);
    expect(connect.status).toBe(500);
    expect(JSON.parse(connect.text)).toMatchObject({ code: 'internal' });
    expect(await grpc(EVENTS, envelope(body))).toBe(GRPC_INTERNAL);
  });

  test.each([
    ['JSON that is none', '{"receiverId":'],
    ['JSON of the wrong type', '{"receiverId": 12}'],
    ['JSON that is no object', '[]'],
  ])('gets the error of its protocol: %s', async (_, body) => {
    const answer = await post(SEND, 'application/json', body);
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.text)).toMatchObject({ code: 'invalid_argument' });
  });

  test('gets the error of its protocol: an envelope that breaks off', async () => {
    const whole = envelope(toBinary(SendMessageRequestSchema, create(SendMessageRequestSchema, { receiverId: 'bob' })));
    expect(await grpc(SEND, whole.subarray(0, whole.byteLength - 2))).toBe('3');
    expect(await grpc(SEND, Buffer.from([0, 0, 0]))).toBe('3');
    expect(await grpc(SEND, Buffer.alloc(0))).toBe('12');
    expect(await grpc(EVENTS, whole.subarray(0, 7))).toBe('3');
  });

  test('is refused before it is parsed if it is too large, compressed or not', async () => {
    const large = toBinary(
      SendMessageRequestSchema,
      create(SendMessageRequestSchema, { receiverId: 'bob', text: 'x'.repeat(64 * 1024) }),
    );
    expect(await grpc(SEND, envelope(large))).toBe(GRPC_RESOURCE_EXHAUSTED);
    expect((await post(SEND, 'application/proto', Buffer.from(large))).status).toBe(429);
    const bomb = gzipSync(Buffer.alloc(10 * 1024 * 1024));
    expect(bomb.byteLength).toBeLessThan(64 * 1024);
    expect(await grpc(SEND, envelope(bomb, 1), { 'grpc-encoding': 'gzip' })).toBe(GRPC_RESOURCE_EXHAUSTED);
    const bombed = await post(SEND, 'application/proto', bomb, { 'content-encoding': 'gzip' });
    expect(bombed.status).toBe(429);
    // A length that only the head of the frame claims.
    expect(await grpc(SEND, Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1]))).toBe(GRPC_RESOURCE_EXHAUSTED);
  });

  test('is not read at all without a token', async () => {
    const answer = await post(SEND, 'application/json', '{"receiverId":', { authorization: '' });
    expect(answer.status).toBe(401);
    expect(JSON.parse(answer.text)).toMatchObject({ code: 'unauthenticated' });
  });
});

describe('A request that is no call', () => {
  test('gets 415 for a content type that is none of ours', async () => {
    expect((await post(SEND, 'text/plain', 'hello')).status).toBe(415);
    expect((await post(SEND, 'application/x-www-form-urlencoded', 'a=b')).status).toBe(415);
  });

  test('gets 405 for a method that the call does not have, 404 for an unknown path', async () => {
    const put = await fetch(`${harness.http1}${SEND}`, { method: 'PUT' });
    expect(put.status).toBe(405);
    const get = await fetch(`${harness.http1}${SEND}?message={}&encoding=json`);
    expect(get.status).toBe(405);
    expect((await post('/carepro.chat.v1.ChatService/Nothing', 'application/json', '{}')).status).toBe(404);
    expect(harness.door.handles(SEND)).toBe(true);
    expect(harness.door.handles('/api/health')).toBe(false);
    expect(harness.door.paths).toContain('/grpc.health.v1.Health/Check');
  });

  test('may be a GET if the call has no side effects', async () => {
    const url = `${harness.http1}/carepro.chat.v1.ChatService/GetUnreadCounts?message=%7B%7D&encoding=json`;
    const answer = await fetch(url, { headers: { authorization: 'Bearer alice' } });
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({});
  });

  test('gets 505 for a stream in both directions over HTTP/1.1', async () => {
    const answer = await fetch(`${harness.http1}${EVENTS}`, {
      method: 'POST',
      headers: { 'content-type': 'application/connect+proto', authorization: 'Bearer alice' },
      body: envelope(Buffer.alloc(0)),
    });
    expect(answer.status).toBe(505);
  });
});

describe('An open stream', () => {
  test('ends with the error of its protocol when a frame cannot be read, and lets go of everything', async () => {
    const open = toBinary(
      StreamEventsRequestSchema,
      create(StreamEventsRequestSchema, { frame: { case: 'open', value: {} } }),
    );
    const invalid = Buffer.from([0x0a, 2, 0xc3, 0x28]);
    expect(await grpc(EVENTS, Buffer.concat([envelope(open), envelope(invalid)]))).toBe(GRPC_INTERNAL);
    expect(await grpc(EVENTS, Buffer.concat([envelope(open), envelope(Buffer.alloc(65 * 1024))]))).toBe(
      GRPC_RESOURCE_EXHAUSTED,
    );
    expect(await grpc(EVENTS, Buffer.concat([envelope(open), Buffer.from([0, 0, 0, 1])]))).toBe('3');
    await until(() => harness.registry.count === 0 && harness.door.streamCount === 0, 'the streams are forgotten');
  });

  test('survives a frame of a kind that the server does not know', async () => {
    const { stream } = await StreamClient.open(harness.client('alice'));
    stream.send({ case: undefined }, 'future');
    expect((await stream.take('result')).outcome).toMatchObject({ case: 'error', value: { code: 3 } });
    stream.send({ case: 'ping', value: {} }, 'p');
    expect((await stream.take('result')).outcome.case).toBe('ok');
    stream.cancel();
    await until(() => harness.registry.count === 0, 'the stream is forgotten');
  });
});

describe('The log', () => {
  test('has every refused request and nothing of what it held', async () => {
    const from = harness.log.entries.length;
    await post(SEND, 'application/json', '{"receiverId": {"secret": "tell nobody"}}');
    await post(SEND, 'text/plain', 'tell nobody');
    await grpc(SEND, envelope(INVALID_UTF8));
    await until(() => harness.log.entries.length >= from + 3, 'the log has them');
    expect(harness.log.entries.slice(from).map((entry) => entry.code)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(JSON.stringify(harness.log)).not.toContain('nobody');
    expect(harness.log.errors).toEqual([]);
  });
});
