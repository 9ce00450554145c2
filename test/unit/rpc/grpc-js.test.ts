import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BadRequestSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../../gen/google/rpc/status_pb.ts';
import { type Harness, startHarness, until } from './harness.ts';

const root = join(import.meta.dirname, '../../..');
const definitions = loadSync(['carepro/chat/v1/chat_service.proto', 'grpc/health/v1/health.proto'], {
  includeDirs: [join(root, 'proto'), join(root, 'vendor/proto')],
  keepCase: false,
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
});
const ChatClient = grpc.makeClientConstructor(
  definitions['carepro.chat.v1.ChatService'] as grpc.ServiceDefinition,
  'ChatService',
);

let harness: Harness;
const clients: grpc.Client[] = [];

beforeAll(async () => {
  harness = await startHarness({ options: { readMaxBytes: 64 * 1024 } });
});
afterAll(async () => {
  for (const client of clients) client.close();
  await harness[Symbol.asyncDispose]();
});

type Answer = Record<string, unknown>;

function newClient(): grpc.Client & Record<string, (...args: never[]) => unknown> {
  const client = new ChatClient(new URL(harness.http2).host, grpc.credentials.createInsecure());
  clients.push(client);
  return client as never;
}

function metadata(user: string): grpc.Metadata {
  const made = new grpc.Metadata();
  made.set('authorization', `Bearer ${user}`);
  return made;
}

function call(method: string, user: string, request: object): Promise<Answer> {
  const client = newClient();
  return new Promise((resolve, reject) => {
    (client[method] as unknown as (...args: unknown[]) => void)(
      request,
      metadata(user),
      (error: grpc.ServiceError | null, answer: Answer) => (error === null ? resolve(answer) : reject(error)),
    );
  });
}

describe('A client made by @grpc/grpc-js', () => {
  test('sends and reads, compressed answers included', async () => {
    const sent = await call('SendMessage', 'alice', { receiverId: 'bob', text: 'x'.repeat(5000) });
    expect(sent).toMatchObject({ duplicate: false, message: { seq: 1, status: 'MESSAGE_STATUS_SENT' } });
    const page = await call('ListMessages', 'bob', { otherUserId: 'alice' });
    expect(page).toMatchObject({ hasMore: false, messages: [{ text: 'x'.repeat(5000) }] });
  });

  test('gets errors with details', async () => {
    const error = (await call('SendMessage', 'alice', { receiverId: '', text: 'hi' }).catch(
      (thrown: unknown) => thrown,
    )) as grpc.ServiceError;
    expect(error.code).toBe(grpc.status.INVALID_ARGUMENT);
    const [bytes] = error.metadata.get('grpc-status-details-bin');
    const status = fromBinary(StatusSchema, bytes as Buffer);
    const bad = status.details.find((detail) => detail.typeUrl.endsWith('BadRequest'));
    expect(fromBinary(BadRequestSchema, bad?.value ?? new Uint8Array()).fieldViolations[0]?.field).toBe('receiver_id');
    const large = (await call('SendMessage', 'alice', { receiverId: 'bob', text: 'x'.repeat(70_000) }).catch(
      (thrown: unknown) => thrown,
    )) as grpc.ServiceError;
    expect(large.code).toBe(grpc.status.RESOURCE_EXHAUSTED);
  });

  test('opens a stream, sends on it, and leaves nothing behind when it cancels', async () => {
    const client = newClient();
    const stream = (client.StreamEvents as unknown as (m: grpc.Metadata) => grpc.ClientDuplexStream<object, Answer>)(
      metadata('carol'),
    );
    const frames: Answer[] = [];
    stream.on('data', (frame: Answer) => frames.push(frame));
    const ended = new Promise<grpc.StatusObject>((resolve) => stream.once('status', resolve));
    stream.on('error', () => undefined);
    stream.write({ open: {} });
    await until(() => frames.length === 1, 'ready');
    expect(frames[0]).toMatchObject({ frame: 'ready', ready: { recovered: false } });
    stream.write({ requestId: 'r', send: { receiverId: 'dave', text: 'hi' } });
    await until(() => frames.length === 3, 'the result and the own event');
    expect(frames.find((frame) => frame.frame === 'result')).toMatchObject({
      result: { requestId: 'r', ok: { send: { message: { text: 'hi' } } } },
    });
    stream.cancel();
    expect((await ended).code).toBe(grpc.status.CANCELLED);
    await until(() => harness.registry.count === 0, 'the stream is forgotten');
    expect(harness.presenceCalls.map(({ type }) => type)).toEqual(['connected', 'disconnected']);
  });

  test('is told to come back when the server drains', async () => {
    const client = newClient();
    const subscribe = client.Subscribe as unknown as (
      request: object,
      m: grpc.Metadata,
    ) => grpc.ClientReadableStream<Answer>;
    const stream = subscribe.call(client, {}, metadata('erin'));
    const frames: Answer[] = [];
    stream.on('data', (frame: Answer) => frames.push(frame));
    const failed = new Promise<grpc.ServiceError>((resolve) => stream.once('error', resolve as never));
    await until(() => frames.length === 1, 'ready');
    await harness.door.drain(1000);
    expect((await failed).code).toBe(grpc.status.UNAVAILABLE);
    expect(frames.at(-1)).toMatchObject({ frame: 'goingAway' });
  });
});
