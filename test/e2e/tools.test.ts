/** Generic tools without our schema: reflection tells them what there is, and they call it. */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from '../../gen/grpc/health/v1/health_pb.ts';
import { ServerReflection, type ServerReflectionRequestSchema } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { EventFeed } from './support/event-feed.ts';
import { GrpcClient, grpcAddress } from './support/grpc-js-door.ts';
import { loadService, TRANSPORTS, type TransportName, typedClient } from './support/rpc-clients.ts';
import { reasonOf } from './support/rpc-errors.ts';
import { startServer, type TestServer, tokenFor } from './support/server.ts';

const BUF = join(import.meta.dirname, '../../node_modules/.bin/buf');
const run = promisify(execFile);

/** Why buf cannot run here; undefined if it can. */
function bufProblem(): string | undefined {
  if (!existsSync(BUF)) return 'buf is not installed';
  const { error, status } = spawnSync(BUF, ['--version']);
  return error === undefined && status === 0 ? undefined : `buf does not run here (${error?.message ?? status})`;
}

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server[Symbol.asyncDispose]());

async function buf(...args: string[]): Promise<string> {
  // In a folder without protos, so that it knows nothing but what reflection tells.
  const { stdout } = await run(BUF, ['curl', ...args], { cwd: server.dataDir, timeout: 20_000 });
  return stdout;
}

describe('buf curl', () => {
  const problem = bufProblem();
  const H2C = ['--http2-prior-knowledge', '--protocol', 'grpc'];

  it('lists services and methods by reflection', async ({ skip }) => {
    if (problem !== undefined) skip(problem);
    const services = (await buf(...H2C, '--list-services', server.url)).trim().split('\n');
    expect(services).toEqual([
      'carepro.chat.v1.ChatService',
      'carepro.chat.v1.UserService',
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
    ]);
    const methods = (await buf(...H2C, '--list-methods', server.url)).trim().split('\n');
    expect(methods).toContain('carepro.chat.v1.ChatService/SendMessage');
    expect(methods).toContain('carepro.chat.v1.ChatService/StreamEvents');
    expect(methods).toContain('carepro.chat.v1.UserService/UpsertUserProfile');
  });

  it.for([
    { name: 'gRPC over HTTP/2', flags: H2C },
    { name: 'Connect over HTTP/2', flags: ['--http2-prior-knowledge', '--protocol', 'connect'] },
    { name: 'gRPC-Web over HTTP/2', flags: ['--http2-prior-knowledge', '--protocol', 'grpcweb'] },
  ])('sends a message without a schema by $name, which its receiver gets', async ({ flags, name }, { skip }) => {
    if (problem !== undefined) skip(problem);
    using bob = typedClient(server.url, await tokenFor(`bob of ${name}`));
    await using feed = await EventFeed.open(bob.chat, 'streamEvents');
    const answer = await buf(
      ...flags,
      '--header',
      `authorization: Bearer ${await tokenFor('alice')}`,
      '--data',
      JSON.stringify({ receiverId: `bob of ${name}`, text: `by ${name}` }),
      `${server.url}/carepro.chat.v1.ChatService/SendMessage`,
    );
    const { message } = JSON.parse(answer) as { message: { id: string; status: string } };
    expect(message.status).toBe('MESSAGE_STATUS_SENT');
    await feed.until(() => feed.messages.length === 1);
    expect(feed.messages[0]).toMatchObject({ id: message.id, text: `by ${name}` });
  });

  it('shows an error with its details', async ({ skip }) => {
    if (problem !== undefined) skip(problem);
    const url = `${server.url}/carepro.chat.v1.ChatService/SendMessage`;
    const header = `authorization: Bearer ${await tokenFor('alice')}`;
    const refused = buf(...H2C, '--header', header, '--data', '{"receiverId": "alice", "text": "to me"}', url);
    const { stderr } = await refused.then(
      () => ({ stderr: 'nothing was refused' }),
      (error: { stderr: string }) => error,
    );
    expect(JSON.parse(stderr)).toMatchObject({
      code: 'invalid_argument',
      message: 'Cannot send messages to yourself',
      details: [{ type: 'google.rpc.ErrorInfo' }, { type: 'google.rpc.BadRequest' }],
    });
  });
});

it('reflection knows the types of error details, so that tools can show them', async () => {
  using client = typedClient(server.url, 'no token is needed');
  async function* questions(): AsyncGenerator<MessageInitShape<typeof ServerReflectionRequestSchema>> {
    for (const name of ['ErrorInfo', 'BadRequest', 'RetryInfo']) {
      yield { messageRequest: { case: 'fileContainingSymbol', value: `google.rpc.${name}` } };
    }
  }
  const answers: unknown[] = [];
  const reflection = createClient(ServerReflection, client.transport);
  for await (const { messageResponse } of reflection.serverReflectionInfo(questions())) {
    answers.push(messageResponse.case);
  }
  expect(answers).toEqual(['fileDescriptorResponse', 'fileDescriptorResponse', 'fileDescriptorResponse']);
});

describe('Health', () => {
  it.each(Object.keys(TRANSPORTS) as TransportName[])('answers through %s', async (transport) => {
    using client = typedClient(server.url, 'no token is needed', transport);
    const health = createClient(Health, client.transport);
    for (const service of ['', 'carepro.chat.v1.ChatService', 'carepro.chat.v1.UserService']) {
      expect((await health.check({ service })).status).toBe(ServingStatus.SERVING);
    }
    await expect(health.check({ service: 'unknown' }).catch(reasonOf)).resolves.toMatch(/^NotFound/);
  });

  it('answers a client that has no token and only the standard proto', async () => {
    const service = loadService('grpc/health/v1/health.proto', 'grpc.health.v1.Health');
    using client = new GrpcClient(...grpcAddress(server.url), undefined, service);
    expect(await client.call('Check', {})).toEqual({ status: 'SERVING' });
  });

  it('answers plain HTTP, as does Connect with nothing but JSON', async () => {
    expect(await (await fetch(`${server.url}/api/health`)).json()).toEqual({ status: 'ok' });
    const check = await fetch(`${server.url}/grpc.health.v1.Health/Check`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    expect(await check.json()).toEqual({ status: 'SERVING' });
  });
});

it('Connect speaks plain JSON over POST and GET, as curl would', async () => {
  const authorization = `Bearer ${await tokenFor('carol')}`;
  const sent = await fetch(`${server.url}/carepro.chat.v1.ChatService/SendMessage`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: '{"receiverId": "dave", "text": "by hand"}',
  });
  expect(sent.status).toBe(200);
  expect(await sent.json()).toMatchObject({ message: { seq: 1, senderId: 'carol', text: 'by hand' } });
  const query = new URLSearchParams({ connect: 'v1', encoding: 'json', message: '{}' });
  const read = await fetch(`${server.url}/carepro.chat.v1.ChatService/ListConversations?${query}`, {
    headers: { authorization },
  });
  expect(read.status).toBe(200);
  expect(await read.json()).toMatchObject({ conversations: [{ otherUserId: 'dave' }] });
  const refused = await fetch(`${server.url}/carepro.chat.v1.ChatService/SendMessage`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: '{"receiverId": "dave", "text": "  "}',
  });
  expect(refused.status).toBe(400);
  expect(await refused.json()).toMatchObject({ code: 'invalid_argument' });
});
