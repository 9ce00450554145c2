import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import { type FileDescriptorProto, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from '../../../gen/grpc/health/v1/health_pb.ts';
import { ServerReflection as ReflectionV1 } from '../../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ReflectionV1Alpha } from '../../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { type Harness, startHarness, TRANSPORTS, until } from './harness.ts';

let harness: Harness;

beforeAll(async () => {
  harness = await startHarness();
});
afterEach(() => harness.setHealth('serving'));
afterAll(async () => {
  await harness[Symbol.asyncDispose]();
});

function transport(server = harness) {
  const make = TRANSPORTS['gRPC over HTTP/2'];
  if (make === undefined) throw new Error('No such transport');
  return make({ http1: server.http1, http2: server.http2 });
}

const CHAT = 'carepro.chat.v1.ChatService';

describe('Health', () => {
  test.each(['', CHAT, 'carepro.chat.v1.UserService'])('is told without a token, for "%s"', async (service) => {
    const client = createClient(Health, transport());
    expect((await client.check({ service })).status).toBe(ServingStatus.SERVING);
    harness.setHealth('notServing');
    expect((await client.check({ service })).status).toBe(ServingStatus.NOT_SERVING);
  });

  test('is told over HTTP/1.1 with curl, too', async () => {
    const answer = await fetch(`${harness.http1}/grpc.health.v1.Health/Check`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    expect(await answer.json()).toEqual({ status: 'SERVING' });
  });

  test('of an unknown service is NOT_FOUND to Check and SERVICE_UNKNOWN to Watch', async () => {
    const client = createClient(Health, transport());
    const error = await client.check({ service: 'nobody' }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ConnectError);
    expect((error as ConnectError).code).toBe(Code.NotFound);
    const controller = new AbortController();
    const watch = client.watch({ service: 'nobody' }, { signal: controller.signal })[Symbol.asyncIterator]();
    expect((await watch.next()).value?.status).toBe(ServingStatus.SERVICE_UNKNOWN);
    controller.abort();
    await until(() => harness.door.streamCount === 0, 'the watch is forgotten');
  });

  test('is watched: every change is told, and the drain ends the watch after its last word', async () => {
    await using draining = await startHarness();
    const client = createClient(Health, transport(draining));
    const watch = client.watch({ service: CHAT })[Symbol.asyncIterator]();
    const next = async () => (await watch.next()).value?.status;
    expect(await next()).toBe(ServingStatus.SERVING);
    draining.setHealth('notServing');
    expect(await next()).toBe(ServingStatus.NOT_SERVING);
    draining.setHealth('serving');
    expect(await next()).toBe(ServingStatus.SERVING);
    draining.setHealth('notServing');
    const drained = draining.door.drain(1000);
    expect(await next()).toBe(ServingStatus.NOT_SERVING);
    const error = await watch.next().catch((thrown: unknown) => thrown);
    expect((error as ConnectError).code).toBe(Code.Unavailable);
    await drained;
  });
});

describe.each([
  ['v1', ReflectionV1],
  ['v1alpha', ReflectionV1Alpha],
] as const)('Reflection %s', (_, service) => {
  type Question = { messageRequest: { case: string; value: unknown } };

  async function ask(...questions: Question['messageRequest'][]) {
    const client = createClient(service as typeof ReflectionV1, transport());
    async function* requests() {
      for (const messageRequest of questions) yield { host: 'h', messageRequest } as never;
    }
    const answers = [];
    for await (const answer of client.serverReflectionInfo(requests())) answers.push(answer);
    expect(answers.map((answer) => answer.originalRequest?.messageRequest.case)).toEqual(questions.map((q) => q.case));
    return answers.map((answer) => answer.messageResponse);
  }

  test('lists what is served', async () => {
    const [answer] = await ask({ case: 'listServices', value: '' });
    if (answer?.case !== 'listServicesResponse') throw new Error('Unexpected answer');
    expect(answer.value.service.map(({ name }) => name)).toEqual([
      CHAT,
      'carepro.chat.v1.UserService',
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
    ]);
  });

  test.each([
    ['fileContainingSymbol', CHAT],
    ['fileContainingSymbol', `${CHAT}.SendMessage`],
    ['fileContainingSymbol', 'carepro.chat.v1.GetUnreadCountsResponse.Count'],
    ['fileContainingSymbol', 'carepro.chat.v1.GoingAwayReason'],
    ['fileContainingSymbol', 'google.rpc.Status'],
    ['fileByFilename', 'carepro/chat/v1/events.proto'],
    ['fileByFilename', 'google/protobuf/timestamp.proto'],
  ])('describes %s %s with everything it needs', async (kind, name) => {
    const [answer] = await ask({ case: kind, value: name });
    if (answer?.case !== 'fileDescriptorResponse') throw new Error('Unexpected answer');
    const files: FileDescriptorProto[] = answer.value.fileDescriptorProto.map((bytes) =>
      fromBinary(FileDescriptorProtoSchema, bytes),
    );
    const [asked] = files;
    if (kind === 'fileByFilename') expect(asked?.name).toBe(name);
    if (asked === undefined) throw new Error('No file');
    const registry = createFileRegistry(asked, (missing) => files.find((file) => file.name === missing));
    if (name.startsWith('carepro.chat.v1.G')) expect(registry.get(name)).toBeDefined();
    if (name === CHAT) expect(registry.getService(CHAT)?.methods).toHaveLength(12);
  });

  test('sends a file once per stream', async () => {
    const answers = await ask(
      { case: 'fileContainingSymbol', value: CHAT },
      { case: 'fileContainingSymbol', value: 'carepro.chat.v1.UserService' },
    );
    const names = answers.flatMap((answer) =>
      answer.case === 'fileDescriptorResponse'
        ? answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name)
        : [],
    );
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain('carepro/chat/v1/user_service.proto');
  });

  test('says what it does not know, and goes on', async () => {
    const answers = await ask(
      { case: 'fileByFilename', value: 'nothing.proto' },
      { case: 'fileContainingSymbol', value: 'no.Such' },
      { case: 'fileContainingExtension', value: { containingType: CHAT, extensionNumber: 1 } },
      { case: 'allExtensionNumbersOfType', value: 'no.Such' },
      { case: 'allExtensionNumbersOfType', value: 'carepro.chat.v1.Message' },
      { case: 'listServices', value: '*' },
    );
    expect(answers.slice(0, 4).map((answer) => answer.case === 'errorResponse' && answer.value.errorCode)).toEqual(
      Array(4).fill(Code.NotFound),
    );
    expect(answers[4]).toMatchObject({ case: 'allExtensionNumbersResponse', value: { extensionNumber: [] } });
    expect(answers[5]?.case).toBe('listServicesResponse');
    await until(() => harness.door.streamCount === 0, 'the stream is forgotten');
  });
});

describe('A generic tool without our protos', () => {
  const run = promisify(execFile);
  const buf = join(import.meta.dirname, '../../../node_modules/.bin/buf');
  const curl = async (path: string, ...args: string[]): Promise<string> => {
    // In a folder without a buf.yaml, so that it has only reflection to go by.
    const options = { cwd: '/', env: { ...process.env, HOME: '/tmp' } };
    const base = ['curl', '--http2-prior-knowledge', '--protocol', 'grpc'];
    return (await run(buf, [...base, ...args, `${harness.http2}${path}`], options)).stdout;
  };

  test('lists the services and their methods', async () => {
    const services = (await curl('', '--list-services')).trim().split('\n');
    expect(services).toContain(CHAT);
    const methods = (await curl('', '--list-methods')).trim().split('\n');
    expect(methods).toContain(`${CHAT}/StreamEvents`);
  });

  test.each(['grpc-v1', 'grpc-v1alpha'])('calls them, by reflection %s', async (version) => {
    const answer = await curl(
      `/${CHAT}/SendMessage`,
      ...['--reflect-protocol', version, '-H', 'authorization: Bearer alice'],
      ...['-d', '{"receiverId": "bob", "text": "hello from a tool"}'],
    );
    expect(JSON.parse(answer)).toMatchObject({ message: { senderId: 'alice', text: 'hello from a tool' } });
    const health = await curl('/grpc.health.v1.Health/Check', '--reflect-protocol', version, '-d', '{}');
    expect(JSON.parse(health)).toEqual({ status: 'SERVING' });
  });
});
