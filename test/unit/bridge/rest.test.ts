import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MessageDto } from '../../../src/bridge/dto.ts';
import { ChatError } from '../../../src/core/errors.ts';
import { Page } from '../../fixtures/page.ts';
import { FORBIDDEN, type PageServer, startPageServer, WARNING } from '../../fixtures/page-server.ts';

let server: PageServer;
let names = 0;
let storeFailure: Error | undefined;

beforeAll(async () => {
  server = await startPageServer({
    limits: { sendBurst: 50, sendsPerSecond: 1 },
    wrapStore: (store) =>
      new Proxy(store, {
        get: (target, key) => {
          const value: unknown = Reflect.get(target, key);
          if (typeof value !== 'function') return value;
          return (...args: unknown[]) =>
            storeFailure === undefined ? value.apply(target, args) : Promise.reject(storeFailure);
        },
      }),
  });
});

afterAll(() => server[Symbol.asyncDispose]());

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: what the door answers is the matter of the tests
  readonly body: any;
}

interface Ask {
  readonly token?: string;
  readonly body?: unknown;
  readonly raw?: string | Uint8Array<ArrayBuffer>;
}

async function ask(method: string, path: string, { body, raw, token }: Ask = {}): Promise<Answer> {
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: {
      'Content-Type': 'application/json',
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    },
    body: raw ?? (body === undefined ? null : JSON.stringify(body)),
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** Two new people with their tokens. */
function pair(): { ann: string; annToken: string; bob: string; bobToken: string } {
  names += 1;
  const [ann, bob] = [`r${names}-ann`, `r${names}-bob`];
  return { ann, annToken: server.token(ann), bob, bobToken: server.token(bob) };
}

async function send(token: string, receiverId: string, message: string): Promise<string> {
  const { body, status } = await ask('POST', '/api/chat/send', { token, body: { receiverId, message } });
  expect(status).toBe(200);
  return body.messageId;
}

describe('POST /api/chat/send', () => {
  test('answers the message and reaches the receiver’s hub connection', async () => {
    const { ann, annToken, bob, bobToken } = pair();
    await using page = await Page.open(server.url, bobToken);
    const answer = await ask('POST', '/api/Chat/send', {
      token: annToken,
      body: { senderId: 'ignored', receiverId: bob, message: 'hi', timestamp: '2026-01-01T00:00:00Z' },
    });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const { messageId } = answer.body;
    expect(answer.body).toStrictEqual({
      messageId,
      wasRedacted: false,
      redactionWarning: null,
      deliveredMessage: 'hi',
    });
    expect(await page.hears(1)).toStrictEqual([['ReceiveMessage', ann, 'hi', messageId, 'sent']]);
  });

  test('takes keys in PascalCase and ids in the query', async () => {
    const { annToken, bob } = pair();
    const pascal = await ask('POST', '/API/CHAT/SEND', {
      token: annToken,
      body: { SenderId: 'x', ReceiverId: bob, Message: 'hi', Timestamp: 'T' },
    });
    const query = await ask('POST', `/api/chat/send?SenderId=x&receiverid=${bob}`, {
      token: annToken,
      body: { message: 'hi', timestamp: 'T' },
    });
    expect([pascal.status, query.status]).toStrictEqual([200, 200]);
    expect(query.body.messageId).toBe(pascal.body.messageId);
  });

  test('says what a policy changed', async () => {
    const { annToken, bob } = pair();
    const { body } = await ask('POST', '/api/chat/send', {
      token: annToken,
      body: { receiverId: bob, message: FORBIDDEN },
    });
    expect(body).toMatchObject({ wasRedacted: true, redactionWarning: WARNING, deliveredMessage: '***' });
  });

  test.each([
    ['no receiver', { message: 'x' }, 'Invalid message parameters: receiverId must not be empty'],
    ['an empty message', { receiverId: 'b', message: '' }, 'Invalid message parameters: message must not be empty'],
    ['white space', { receiverId: 'b', message: ' ' }, 'Invalid message parameters'],
    [
      'a message that is null',
      { receiverId: 'b', message: null },
      'Invalid message parameters: message must not be empty',
    ],
    [
      'a message that is a number',
      { receiverId: 'b', message: 5 },
      'Invalid message parameters: message must be a string',
    ],
    [
      'a receiver that is a list',
      { receiverId: [], message: 'x' },
      'Invalid message parameters: receiverId must be a string',
    ],
    [
      'a timestamp that is a flag',
      { receiverId: 'b', message: 'x', timestamp: true },
      'Invalid message parameters: timestamp must be a time',
    ],
    ['5,001 characters', { receiverId: 'b', message: 'x'.repeat(5001) }, 'Message exceeds maximum length'],
  ])('%s: 400', async (_name, body, message) => {
    const answer = await ask('POST', '/api/chat/send', { token: server.token('r0'), body });
    expect(answer).toMatchObject({ status: 400, body: { error: message, message } });
  });

  test('nobody writes to themselves', async () => {
    const { ann, annToken } = pair();
    const answer = await ask('POST', '/api/chat/send', { token: annToken, body: { receiverId: ann, message: 'x' } });
    expect(answer).toMatchObject({ status: 400, body: { message: 'Cannot send messages to yourself' } });
  });

  test.each([
    ['no JSON', '{"message":', 'The body is not valid JSON'],
    ['no object', '["x"]', 'The body must be a JSON object'],
    ['no UTF-8', Uint8Array.of(0x7b, 0xff, 0x7d), 'The body is not valid UTF-8'],
  ])('%s: 400', async (_name, raw, message) => {
    const answer = await ask('POST', '/api/chat/send', { token: server.token('r0'), raw });
    expect(answer).toMatchObject({ status: 400, body: { error: message, message } });
  });

  test('more than 64 KiB: 413, also without a length', async () => {
    const token = server.token('r0');
    const raw = JSON.stringify({ receiverId: 'b', message: 'x'.repeat(70_000) });
    expect((await ask('POST', '/api/chat/send', { token, raw })).status).toBe(413);
    const stream = new Blob([raw]).stream();
    const response = await fetch(`${server.url}/api/chat/send`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}` },
      body: stream,
      duplex: 'half',
    } as RequestInit);
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ message: 'The body must not be larger than 65536 bytes' });
  });

  test('a client that leaves in the middle of its body leaves nothing behind', async () => {
    const { port } = new URL(server.url);
    const before = server.errors.length;
    const socket = connect(Number(port), '127.0.0.1');
    const token = server.token('r0');
    socket.write(
      `POST /api/chat/send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Length: 99\r\n\r\n{"me`,
    );
    socket.end();
    socket.resume();
    await new Promise((resolve) => socket.on('close', resolve));
    expect(server.errors.slice(before)).toStrictEqual([]);
  });

  test('too many: 429, and when to come back', async () => {
    const { annToken, bob } = pair();
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        ask('POST', '/api/chat/send', { token: annToken, body: { receiverId: bob, message: String(index) } }),
      ),
    );
    const refused = answers.find(({ status }) => status !== 200);
    expect(refused).toMatchObject({ status: 429, body: { message: 'Too many messages, slow down' } });
    expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  });

  test('a store that fails: 503 and 500, one text, the cause only in the report; then it recovers', async () => {
    const { annToken, bob } = pair();
    const asked: Ask = { token: annToken, body: { receiverId: bob, message: 'x', timestamp: 'T' } };
    const text = 'An error occurred while sending your message';
    try {
      storeFailure = new ChatError('unavailable', 'STORE_UNAVAILABLE', 'disk full at /data');
      const unavailable = await ask('POST', '/api/chat/send', asked);
      expect(unavailable).toMatchObject({ status: 503, body: { error: text, message: text } });
      expect(unavailable.headers.get('retry-after')).toBe('1');
      storeFailure = new Error('bug');
      expect(await ask('POST', '/api/chat/send', asked)).toMatchObject({ status: 500, body: { message: text } });
      expect(server.errors.at(-1)).toBe(storeFailure);
    } finally {
      storeFailure = undefined;
    }
    expect((await ask('POST', '/api/chat/send', asked)).status).toBe(200);
  });
});

describe('reading', () => {
  test('GET history: oldest first, skip and take, only one’s own', async () => {
    const { ann, annToken, bob, bobToken } = pair();
    for (const message of ['1', '2', '3']) await send(annToken, bob, message);
    const texts = async (query: string, token = bobToken): Promise<string[]> => {
      const { body, status } = await ask('GET', `/api/chat/history?user1=${ann}&user2=${bob}${query}`, { token });
      expect(status).toBe(200);
      return body.map((message: MessageDto) => message.text);
    };
    expect(await texts('')).toStrictEqual(['1', '2', '3']);
    expect(await texts('&skip=1&take=1')).toStrictEqual(['2']);
    expect(await texts('&SKIP=&Take=2')).toStrictEqual(['2', '3']);
    expect(await texts('', server.token('boss', { roles: ['Admin'] }))).toHaveLength(3);
    const stranger = await ask('GET', `/api/chat/history?user1=${ann}&user2=${bob}`, { token: server.token('x') });
    expect(stranger).toMatchObject({ status: 403, body: { error: 'Access denied', message: 'Access denied' } });
  });

  test.each(['', '?user1=a', '?user1=a&user2=b&skip=-1', '?user1=a&user2=b&take=0', '?user1=a&user2=b&take=x'])(
    'GET history%s: 400',
    async (query) => {
      const answer = await ask('GET', `/api/chat/history${query}`, { token: server.token('a') });
      expect(answer.status).toBe(400);
      expect(answer.body.message).toMatch(/^Invalid message parameters: (user1|user2|skip|take) must/);
    },
  );

  test('GET conversations and ChatPreview: newest first, with profiles as tokens tell them', async () => {
    const { ann, bob, bobToken } = pair();
    const claims = { name: 'Ann Other', email: 'ann@example.org', roleClaim: 'Client', picture: 'https://x/ann.png' };
    await send(server.token(ann, { claims }), bob, 'from ann');
    await send(server.token(`${ann}-2`), bob, 'newest');
    const list = await ask('GET', `/api/chat/conversations/${bob}`, { token: bobToken });
    expect(list.body).toMatchObject([
      { id: `${ann}-2`, previewMessage: 'newest', unreadCount: 1, isRead: false, isOnline: false },
      { id: ann, name: 'Ann Other', avatar: 'https://x/ann.png', role: 'Client', lastMessage: 'from ann' },
    ]);
    const previews = await ask('GET', `/api/chat/ChatPreview?userId=${bob}`, { token: bobToken });
    expect(previews.body).toHaveLength(2);
    expect(previews.body[1]).toStrictEqual({
      fullName: 'Ann Other',
      appUserId: ann,
      email: 'ann@example.org',
      role: 'Client',
      lastMessage: 'from ann',
      lastMessageTimestamp: list.body[1].lastMessageTimestamp,
    });
    expect((await ask('GET', '/api/chat/chatpreview', { token: bobToken })).body).toHaveLength(2);
    const stranger = server.token('stranger');
    expect((await ask('GET', `/api/chat/conversations/${bob}`, { token: stranger })).status).toBe(403);
    expect((await ask('GET', `/api/chat/chatpreview?userId=${bob}`, { token: stranger })).status).toBe(403);
    const admin = server.token('boss', { roles: ['SuperAdmin'] });
    expect((await ask('GET', `/api/chat/conversations/${bob}`, { token: admin })).body).toHaveLength(2);
  });

  test('GET unread-count: one’s own, or anybody’s for Admin', async () => {
    const { annToken, bob, bobToken } = pair();
    await send(annToken, bob, '1');
    await send(annToken, bob, '2');
    expect((await ask('GET', '/api/chat/unread-count', { token: bobToken })).body).toStrictEqual({ count: 2 });
    const admin = server.token('boss', { roles: ['Admin'] });
    const asked = `/api/chat/unread-count?userId=${bob}`;
    expect((await ask('GET', asked, { token: admin })).body).toStrictEqual({ count: 2 });
    expect((await ask('GET', asked, { token: annToken })).status).toBe(403);
  });

  test('GET users: somebody known, else 404', async () => {
    const { ann, bobToken } = pair();
    const claims = { name: 'Ann Mary Other', email: 'ann@example.org', roleClaim: 'Client' };
    await ask('GET', '/api/chat/unread-count', { token: server.token(ann, { claims }) });
    await expect.poll(async () => (await ask('GET', `/api/Users/${ann}`, { token: bobToken })).status).toBe(200);
    const { body } = await ask('GET', `/api/Users/${ann}`, { token: bobToken });
    expect(body).toStrictEqual({
      id: ann,
      fullName: 'Ann Mary Other',
      firstName: 'Ann Mary',
      lastName: 'Other',
      email: 'ann@example.org',
      role: 'Client',
      profileImage: '',
    });
    // Oneself is known from the very first call.
    const own = await ask('GET', '/api/users/newcomer', { token: server.token('newcomer', { claims }) });
    expect(own.body).toStrictEqual({ ...body, id: 'newcomer' });
    const unknown = await ask('GET', '/api/users/nobody', { token: bobToken });
    expect(unknown).toMatchObject({ status: 404, body: { error: 'User not found' } });
  });
});

describe('changing', () => {
  test('mark-delivered, mark-read and mark-all-read move the status as the hub does', async () => {
    const { ann, annToken, bob, bobToken } = pair();
    await using page = await Page.open(server.url, annToken);
    const first = await send(annToken, bob, '1');
    const second = await send(annToken, bob, '2');
    const third = await send(annToken, bob, '3');
    const delivered = await ask('POST', `/api/chat/mark-delivered/${first}?userId=ignored`, { token: bobToken });
    expect(delivered).toMatchObject({ status: 200, body: { success: true, messageId: first } });
    const read = await ask('POST', `/api/chat/Mark-Read/${second}`, { token: bobToken });
    expect(read.body).toStrictEqual({ success: true, messageId: second });
    const all = await ask('POST', '/api/chat/mark-all-read', {
      token: bobToken,
      body: { SenderId: ann, receiverId: 'ignored' },
    });
    expect(all.body).toStrictEqual({ success: true });
    expect((await page.hears(9)).map(([name, id]) => [name, id])).toStrictEqual([
      ['MessageStatusChanged', first],
      ['MessageDelivered', first],
      ['MessageStatusChanged', first],
      ['MessageRead', first],
      ['MessageStatusChanged', second],
      ['MessageRead', second],
      ['MessageStatusChanged', third],
      ['MessageRead', third],
      ['AllMessagesRead', bob],
    ]);
    expect((await ask('POST', `/api/chat/mark-read/${first}`, { token: annToken })).body.message).toBe(
      'You can only mark messages sent to you as read',
    );
    expect((await ask('POST', '/api/chat/mark-read/nothing', { token: bobToken })).status).toBe(404);
    expect((await ask('POST', '/api/chat/mark-all-read', { token: bobToken, body: {} })).status).toBe(400);
  });

  test('DELETE: only one’s own', async () => {
    const { annToken, bob, bobToken } = pair();
    const id = await send(annToken, bob, '1');
    expect(await ask('DELETE', `/api/chat/delete/${id}`, { token: bobToken })).toMatchObject({
      status: 403,
      body: { message: 'You can only delete your own messages' },
    });
    const { body } = await ask('DELETE', `/api/chat/delete/${id}`, { token: annToken });
    expect(body).toStrictEqual({ success: true, messageId: id });
    expect((await ask('DELETE', '/api/chat/delete/nothing', { token: annToken })).status).toBe(404);
  });
});

describe('who may call, and what', () => {
  test('no token: 401; a bad one: 401 that says why; one that names nobody: 401', async () => {
    const none = await ask('GET', '/api/chat/unread-count');
    expect(none).toMatchObject({ status: 401, body: { error: 'Authentication required' } });
    expect(none.headers.get('www-authenticate')).toBe('Bearer');
    const bad = await ask('GET', '/api/chat/unread-count', { token: 'bad' });
    expect(bad).toMatchObject({ status: 401, body: { message: 'The token has expired' } });
    expect(bad.headers.get('www-authenticate')).toBe(
      'Bearer error="invalid_token", error_description="The token has expired"',
    );
    const nobody = await ask('GET', '/api/chat/unread-count', { token: server.token(undefined) });
    expect(nobody).toMatchObject({ status: 401, body: { message: 'Authentication required' } });
  });

  test('a token may stand in the query', async () => {
    const { status } = await ask('GET', `/api/chat/unread-count?access_token=${server.token('q')}`);
    expect(status).toBe(200);
  });

  test('unknown paths: 404; another method: 405 with Allow', async () => {
    const token = server.token('q');
    for (const path of [
      '/api',
      '/api/',
      '/api/nothing',
      '/api/chat/mark-read/',
      '/api/chat/mark-read/a/b',
      '/api/users',
    ]) {
      expect(await ask('GET', path, { token })).toMatchObject({
        status: 404,
        body: { error: 'There is no such path' },
      });
    }
    const wrong = await ask('GET', '/api/chat/send', { token });
    expect(wrong.status).toBe(405);
    expect(wrong.headers.get('allow')).toBe('POST');
  });

  test('ids in paths are percent-decoded, and 129 characters are too many', async () => {
    const token = server.token('q');
    expect((await ask('GET', '/api/users/%E0%A4%A', { token })).status).toBe(400);
    expect((await ask('GET', `/api/users/${'x'.repeat(129)}`, { token })).status).toBe(400);
    const spaced = server.token('with space', { claims: { name: 'Spaced' } });
    expect((await ask('GET', '/api/users/with%20space/', { token: spaced })).body).toMatchObject({ id: 'with space' });
  });

  test('HEAD is answered like GET, without the body', async () => {
    const response = await fetch(`${server.url}/api/chat/unread-count?access_token=${server.token('q')}`, {
      method: 'HEAD',
    });
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('');
  });

  test('HTTP/2 is served alike', async () => {
    const { annToken, bob } = pair();
    const session = connectHttp2(server.http2Url);
    const call = (method: string, path: string, body: string): Promise<[status: unknown, text: string]> => {
      const stream = session.request({ ':method': method, ':path': path, authorization: `Bearer ${annToken}` });
      if (body !== '') stream.end(body);
      const status = new Promise((resolve) => stream.on('response', (headers) => resolve(headers[':status'])));
      return Promise.all([status, readText(stream)]);
    };
    const [status, text] = await call('POST', '/api/chat/send', JSON.stringify({ receiverId: bob, message: 'h2' }));
    expect(status).toBe(200);
    expect(JSON.parse(text)).toMatchObject({ deliveredMessage: 'h2' });
    expect((await call('POST', '/api/chat/send', 'x'.repeat(100_000)))[0]).toBe(413);
    expect((await call('GET', '/api/nothing', ''))[0]).toBe(404);
    session.close();
  });

  test.each([
    [413, '/api/chat/send', '65536'],
    [404, '/api/nothing', 'no such path'],
    [401, '/api/users/x?access_token=none', 'token'],
  ])('over HTTP/2, a body that never comes is answered %i and keeps no stream', async (status, path, text) => {
    const { annToken } = pair();
    const session = connectHttp2(server.http2Url);
    const post = session.request(
      {
        ':method': status === 401 ? 'GET' : 'POST',
        ':path': path,
        'content-length': '2000000',
        ...(status !== 401 && { authorization: `Bearer ${annToken}` }),
      },
      { endStream: false },
    );
    let answer = '';
    post.on('data', (chunk: Buffer) => {
      answer += chunk.toString();
    });
    const closed = once(post, 'close');
    const [headers] = await once(post, 'response');
    await closed;
    expect([headers[':status'], post.rstCode]).toEqual([status, 0]);
    expect(JSON.parse(answer)).toMatchObject({ message: expect.stringContaining(text) });
    session.close();
  });
});
