import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MessageStatus } from '../../../gen/carepro/chat/v1/types_pb.ts';
import { UserService } from '../../../gen/carepro/chat/v1/user_service_pb.ts';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import type { MessageStore } from '../../../src/core/ports.ts';
import { type Harness, startHarness, TRANSPORTS, until } from './harness.ts';

let fault: ((method: string) => void | Promise<void>) | undefined;
let harness: Harness;

beforeAll(async () => {
  harness = await startHarness({
    options: { defaultDeadlineMs: 300 },
    limits: { sendsPerSecond: 1, sendBurst: 50 },
    wrapStore: faulty,
  });
});
afterAll(async () => {
  await harness[Symbol.asyncDispose]();
});

function faulty(store: MessageStore): MessageStore {
  return new Proxy(store, {
    get(target, name: keyof MessageStore) {
      const method = target[name] as (...args: unknown[]) => Promise<unknown>;
      return async (...args: unknown[]) => {
        await fault?.(name);
        return method(...args);
      };
    },
  });
}

async function failure(promise: Promise<unknown>): Promise<ConnectError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof ConnectError) return error;
    throw error;
  }
  throw new Error('The call succeeded');
}

function reasonOf(error: ConnectError): string | undefined {
  const [info] = error.findDetails(ErrorInfoSchema);
  if (info !== undefined) expect(info.domain).toBe('chat.carepro');
  return info?.reason;
}

function violationsOf(error: ConnectError): string[] {
  return error.findDetails(BadRequestSchema).flatMap((bad) => bad.fieldViolations.map((violation) => violation.field));
}

describe.each(Object.entries(TRANSPORTS))('%s', (name, transport) => {
  const id = (user: string): string => `${user}-${name.replaceAll(/[^a-z0-9]/gi, '-')}`;

  test('every unary call of ChatService does its work', async () => {
    const alice = harness.client(id('alice'), transport);
    const bob = harness.client(id('bob'), transport);
    const sent = await alice.sendMessage({ receiverId: id('bob'), text: 'Grüße 👋', clientMessageId: 'c1' });
    expect(sent.duplicate).toBe(false);
    expect(sent.message).toMatchObject({ seq: 1, senderId: id('alice'), text: 'Grüße 👋', status: MessageStatus.SENT });
    const again = await alice.sendMessage({ receiverId: id('bob'), text: 'Grüße 👋', clientMessageId: 'c1' });
    expect(again.duplicate).toBe(true);
    expect(again.message?.id).toBe(sent.message?.id);
    const redacted = await alice.sendMessage({ receiverId: id('bob'), text: 'Call 555' });
    expect(redacted.message?.text).toBe('[removed]');
    expect(redacted.redactionWarning).toBe('No numbers please');

    expect(await bob.getUnreadCounts({})).toMatchObject({
      total: 2,
      counts: [{ otherUserId: id('alice'), unreadCount: 2 }],
    });
    const delivered = await bob.markDelivered({ upTo: { case: 'messageId', value: sent.message?.id ?? '' } });
    expect(delivered).toMatchObject({ upToSeq: 1, moved: true });
    const read = await bob.markRead({ upTo: { case: 'otherUserId', value: id('alice') } });
    expect(read).toMatchObject({ upToSeq: 2, moved: true });
    expect(await bob.markRead({ upTo: { case: 'otherUserId', value: id('alice') } })).toMatchObject({ moved: false });

    const page = await bob.listMessages({
      otherUserId: id('alice'),
      pageSize: 1,
      start: { case: 'afterSeq', value: 0 },
    });
    expect(page.messages).toHaveLength(1);
    expect(page.hasMore).toBe(true);
    expect(page.messages[0]).toMatchObject({ seq: 1, status: MessageStatus.READ });
    expect(page.messages[0]?.deliveredAt).toBeDefined();
    expect(page.messages[0]?.readAt).toBeDefined();
    const newest = await bob.listMessages({ otherUserId: id('alice'), pageSize: 1 });
    expect(newest.messages[0]?.seq).toBe(2);
    const before = await bob.listMessages({ otherUserId: id('alice'), start: { case: 'beforeSeq', value: 2 } });
    expect(before.messages.map((message) => message.seq)).toEqual([1]);

    const list = await alice.listConversations({});
    expect(list.conversations).toHaveLength(1);
    expect(list.nextPageToken).toBe('');
    const conversation = await alice.getConversation({ otherUserId: id('bob') });
    expect(conversation.conversation).toMatchObject({
      otherUserId: id('bob'),
      otherUser: { name: `Name of ${id('bob')}` },
      otherPresence: { online: false },
      unreadCount: 0,
      otherReadSeq: 2,
      otherDeliveredSeq: 2,
    });
    const deleted = await alice.deleteMessage({ messageId: sent.message?.id ?? '' });
    expect(deleted.message).toMatchObject({ seq: 1, text: '' });
    expect(deleted.message?.deletedAt).toBeDefined();

    const presence = await alice.getPresence({ userIds: [id('bob'), id('alice'), id('bob')] });
    expect(presence.presences.map((one) => one.userId)).toEqual([id('bob'), id('alice')]);
    expect((await alice.listOnlineUsers({})).userIds).toEqual([]);
  });

  test('errors carry their details', async () => {
    const carol = harness.client(id('carol'), transport);
    const empty = await failure(carol.sendMessage({ receiverId: id('dave'), text: '  ' }));
    expect(empty.code).toBe(Code.InvalidArgument);
    expect(reasonOf(empty)).toBe('TEXT_EMPTY');
    expect(violationsOf(empty)).toEqual(['text']);
    const taken = harness.client(id('carol'), transport);
    await taken.sendMessage({ receiverId: id('dave'), text: 'one', clientMessageId: 'same' });
    const reused = await failure(taken.sendMessage({ receiverId: id('dave'), text: 'two', clientMessageId: 'same' }));
    expect(reused.code).toBe(Code.AlreadyExists);
    expect(reasonOf(reused)).toBe('CLIENT_MESSAGE_ID_REUSED');
  });
});

describe('Errors', () => {
  const cases: readonly [string, () => Promise<unknown>, Code, string, string[]?][] = [
    ['a missing receiver', () => send({ receiverId: '' }), Code.InvalidArgument, 'INVALID_FIELD', ['receiver_id']],
    [
      'an over-long id',
      () => send({ receiverId: 'x'.repeat(129) }),
      Code.InvalidArgument,
      'INVALID_FIELD',
      ['receiver_id'],
    ],
    [
      'a control character',
      () => send({ receiverId: 'a\u0000b' }),
      Code.InvalidArgument,
      'INVALID_FIELD',
      ['receiver_id'],
    ],
    [
      'a text that is too long',
      () => send({ text: 'x'.repeat(5001) }),
      Code.InvalidArgument,
      'TEXT_TOO_LONG',
      ['text'],
    ],
    [
      'a message to oneself',
      () => send({ receiverId: 'erin' }),
      Code.InvalidArgument,
      'RECEIVER_IS_SENDER',
      ['receiver_id'],
    ],
    ['sending for another', () => send({ senderId: 'frank' }), Code.PermissionDenied, 'ACCESS_DENIED'],
    ['an unknown message', () => client().deleteMessage({ messageId: 'nope' }), Code.NotFound, 'MESSAGE_NOT_FOUND'],
    [
      'an unknown conversation',
      () => client().getConversation({ otherUserId: 'nope' }),
      Code.NotFound,
      'CONVERSATION_NOT_FOUND',
    ],
    ['a mark up to nothing', () => client().markRead({}), Code.InvalidArgument, 'INVALID_FIELD', ['up_to']],
    [
      'a mark on an unknown message',
      () => client().markDelivered({ upTo: { case: 'messageId', value: 'nope' } }),
      Code.NotFound,
      'MESSAGE_NOT_FOUND',
    ],
    ['presence of nobody', () => client().getPresence({}), Code.InvalidArgument, 'INVALID_FIELD', ['user_ids']],
    [
      'presence of too many',
      () => client().getPresence({ userIds: Array.from({ length: 501 }, (_, n) => `u${n}`) }),
      Code.InvalidArgument,
      'INVALID_FIELD',
      ['user_ids'],
    ],
    [
      "another's conversations",
      () => client().listConversations({ userId: 'frank' }),
      Code.PermissionDenied,
      'ACCESS_DENIED',
    ],
    ["another's events", () => first(client().subscribe({ userId: 'frank' })), Code.PermissionDenied, 'ACCESS_DENIED'],
    [
      'a token without a user',
      () => harness.client('nobody').getUnreadCounts({}),
      Code.Unauthenticated,
      'USER_MISSING',
    ],
    [
      'a token that is none',
      () => harness.client('garbage').getUnreadCounts({}),
      Code.Unauthenticated,
      'TOKEN_INVALID',
    ],
    ['an expired token', () => harness.client('erin::1').getUnreadCounts({}), Code.Unauthenticated, 'TOKEN_EXPIRED'],
    [
      'an expired token on a stream',
      () => first(harness.client('erin::1').subscribe({})),
      Code.Unauthenticated,
      'TOKEN_EXPIRED',
    ],
    [
      'keys that cannot be had',
      () => harness.client('no-keys').getUnreadCounts({}),
      Code.Unavailable,
      'KEYS_UNAVAILABLE',
    ],
  ];
  const client = () => harness.client('erin');
  const send = (request: object) => client().sendMessage({ receiverId: 'frank', text: 'hi', ...request });
  async function first(frames: AsyncIterable<unknown>): Promise<void> {
    for await (const _ of frames) return;
  }

  test.each(cases)('%s is answered with code, reason and fields', async (_, call, code, reason, fields = []) => {
    const error = await failure(call());
    expect(Code[error.code]).toBe(Code[code]);
    expect(reasonOf(error)).toBe(reason);
    expect(violationsOf(error)).toEqual(fields);
  });

  test('a missing token is refused, and a good one is verified only once', async () => {
    const anonymous = createClient(UserService, transportOf('Connect over HTTP/1.1')(harness));
    const error = await failure(anonymous.getUserProfiles({ userIds: ['a'] }));
    expect(error.code).toBe(Code.Unauthenticated);
    expect(reasonOf(error)).toBe('TOKEN_MISSING');
    const before = harness.verifier.verified;
    const grace = harness.client('grace');
    for (let n = 0; n < 3; n += 1) await grace.getUnreadCounts({});
    expect(harness.verifier.verified).toBe(before + 1);
  });

  test('too many sends are told when to try again', async () => {
    const flood = harness.client('flood');
    const sends = Array.from({ length: 60 }, (_, n) => flood.sendMessage({ receiverId: 'frank', text: `${n}` }));
    const outcomes = await Promise.allSettled(sends);
    const refused = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [outcome.reason as ConnectError] : [],
    );
    expect(refused.length).toBeGreaterThan(5);
    const [error] = refused;
    if (error === undefined) throw new Error('None was refused');
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(reasonOf(error)).toBe('RATE_LIMITED');
    const [retry] = error.findDetails(RetryInfoSchema);
    expect(retry?.retryDelay).toBeDefined();
  });

  test('what fails inside is told to the log and not to the client', async () => {
    const secret = new Error('disk sector 7');
    fault = () => {
      throw secret;
    };
    try {
      const error = await failure(send({}));
      expect(error.code).toBe(Code.Internal);
      expect(error.rawMessage).toBe('Something went wrong inside the server');
      expect(reasonOf(error)).toBe('INTERNAL');
      expect(harness.log.errors).toContain(secret);
    } finally {
      fault = undefined;
    }
  });

  test('a store that does not answer ends in the default deadline, or in the one the client named', async () => {
    fault = (method) => (method === 'unreadCounts' ? new Promise(() => undefined) : undefined);
    try {
      const error = await failure(client().getUnreadCounts({}));
      expect(error.code).toBe(Code.DeadlineExceeded);
      const started = performance.now();
      // By header only: a client with a timer of its own might be first.
      const named = await failure(client().getUnreadCounts({}, { headers: { 'grpc-timeout': '50m' } }));
      expect(named.code).toBe(Code.DeadlineExceeded);
      expect(performance.now() - started).toBeLessThan(290);
      await until(
        () => harness.log.entries.filter((entry) => entry.code === 'deadline_exceeded').length >= 2,
        'both calls are in the log',
      );
    } finally {
      fault = undefined;
    }
  });

  test('a deadline beyond what a timer can keep is none', async () => {
    await client().getUnreadCounts({}, { headers: { 'grpc-timeout': '99999999H' } });
    const connect = harness.client('erin', transportOf('Connect over HTTP/1.1'));
    await connect.getUnreadCounts({}, { headers: { 'connect-timeout-ms': '9999999999' } });
  });
});

describe('Calls', () => {
  test('are logged and counted with their code and nothing that a user wrote', async () => {
    const from = harness.log.entries.length;
    await harness
      .client('heidi')
      .sendMessage({ receiverId: 'ivan', text: 'my secret' }, { headers: { 'x-request-id': 'r-1' } });
    await failure(harness.client('heidi').sendMessage({ receiverId: '', text: 'my secret' }));
    await until(() => harness.log.entries.length >= from + 2, 'the log has both calls');
    const [good, bad] = harness.log.entries.slice(from);
    expect(good).toMatchObject({
      requestId: 'r-1',
      method: 'carepro.chat.v1.ChatService/SendMessage',
      code: 'ok',
      userId: 'heidi',
    });
    expect(good?.durationMs).toBeGreaterThan(0);
    expect(bad).toMatchObject({ code: 'invalid_argument' });
    expect(JSON.stringify(harness.log.entries)).not.toContain('secret');
    expect(
      harness.metrics.counts.get('chat_rpc_calls_total carepro.chat.v1.ChatService/SendMessage invalid_argument'),
    ).toBeGreaterThan(0);
  });

  test('are answered with a request id: the one given if it is safe, else a new one', async () => {
    const ids: (string | null)[] = [];
    const options = (given: string) => ({
      headers: { 'x-request-id': given },
      onHeader: (header: Headers) => void ids.push(header.get('x-request-id')),
    });
    await harness.client('heidi').getUnreadCounts({}, options('abc.1:2-3_4'));
    await harness.client('heidi').getUnreadCounts({}, options('two words'));
    expect(ids[0]).toBe('abc.1:2-3_4');
    expect(ids[1]).toMatch(/^[0-9a-f-]{36}$/);
    const refused = await fetch(`${harness.http1}/carepro.chat.v1.ChatService/SendMessage`, { method: 'POST' });
    expect(refused.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('UserService', () => {
  const users = (token: string) => createClient(UserService, transportOf('gRPC over HTTP/2')({ ...harness, token }));

  test('a service writes profiles, anybody reads them in the order asked', async () => {
    const service = users('backend:Service');
    const written = await service.upsertUserProfile({
      profile: { userId: 'kim', name: 'Kim', email: 'kim@example.org', role: 'Caregiver' },
    });
    expect(written.profile).toMatchObject({ name: 'Kim', avatarUrl: '' });
    await service.upsertUserProfile({ profile: { userId: 'kim', avatarUrl: 'https://example.org/kim.png' } });
    await service.upsertUserProfile({ profile: { userId: 'lee', name: 'Lee' } });
    const found = await users('mallory').getUserProfiles({ userIds: ['lee', 'unknown', 'kim', 'lee'] });
    expect(found.profiles.map((profile) => profile.userId)).toEqual(['lee', 'kim']);
    expect(found.profiles[1]).toMatchObject({ name: 'Kim', avatarUrl: 'https://example.org/kim.png' });
  });

  test('others may not write, and a profile is required', async () => {
    const denied = await failure(users('mallory').upsertUserProfile({ profile: { userId: 'mallory' } }));
    expect(denied.code).toBe(Code.PermissionDenied);
    const none = await failure(users('backend:Service').upsertUserProfile({}));
    expect(violationsOf(none)).toEqual(['profile']);
    const long = await failure(
      users('backend:Service').upsertUserProfile({ profile: { userId: 'kim', name: 'x'.repeat(257) } }),
    );
    expect(violationsOf(long)).toEqual(['profile.name']);
    const nobody = await failure(users('backend:Service').getUserProfiles({}));
    expect(violationsOf(nobody)).toEqual(['user_ids']);
  });

  test('profiles fill themselves from token claims', async () => {
    await harness.client('nina').getUnreadCounts({});
    const read = async () => (await users('mallory').getUserProfiles({ userIds: ['nina'] })).profiles[0]?.name;
    await expect.poll(read).toBe('Name of nina');
  });
});

function transportOf(name: string) {
  const transport = TRANSPORTS[name];
  if (transport === undefined) throw new Error('No such transport');
  return transport;
}
