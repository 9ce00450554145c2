import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ConversationDto, MessageDto } from '../../../src/bridge/dto.ts';
import { Page } from '../../fixtures/page.ts';
import { FORBIDDEN, type PageServer, startPageServer, WARNING } from '../../fixtures/page-server.ts';

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

let server: PageServer;
let names = 0;

beforeAll(async () => {
  server = await startPageServer();
});

afterAll(() => server[Symbol.asyncDispose]());

/** New people for each test, connected. */
async function people(count: number): Promise<{ ids: string[]; pages: Page[] }> {
  names += 1;
  const ids = Array.from({ length: count }, (_, index) => `p${names}-${'abc'[index]}`);
  const pages = await Promise.all(ids.map((id) => Page.open(server.url, server.token(id))));
  return { ids, pages };
}

async function pair(): Promise<{ ann: Page; annId: string; bob: Page; bobId: string }> {
  const { ids, pages } = await people(2);
  const [ann, bob] = pages;
  const [annId, bobId] = ids;
  if (ann === undefined || bob === undefined || annId === undefined || bobId === undefined) throw new Error('no pair');
  return { ann, annId, bob, bobId };
}

function pendingOf(userId: string): Promise<unknown[]> {
  return server.store.listPending(userId, { above: 'received', limit: 1000 });
}

describe('sending', () => {
  test('a message reaches every tab of the receiver, and no tab of the sender', async () => {
    const { ann, annId, bob, bobId } = await pair();
    await using annTab = await Page.open(server.url, server.token(annId));
    await using bobTab = await Page.open(server.url, server.token(bobId));
    const id = await ann.invoke('SendMessage', annId, bobId, 'hi');
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(await bob.hears(1)).toStrictEqual([['ReceiveMessage', annId, 'hi', id, 'sent']]);
    expect(await bobTab.hears(1)).toStrictEqual([['ReceiveMessage', annId, 'hi', id, 'sent']]);
    await Promise.all([ann.settle(), annTab.settle()]);
    expect([...ann.heard, ...annTab.heard]).toStrictEqual([]);
  });

  test('the identity is the token’s, whatever sender is named', async () => {
    const { ann, annId, bob, bobId } = await pair();
    const id = await ann.invoke('sendmessage', 'somebody-else', bobId, 'hi');
    expect(await bob.hears(1)).toStrictEqual([['ReceiveMessage', annId, 'hi', id, 'sent']]);
  });

  test('a client message id makes a retry the same message', async () => {
    const { ann, annId, bob, bobId } = await pair();
    const id = await ann.invoke('SendMessage', annId, bobId, 'hi', 'c1');
    expect(await ann.invoke('SendMessage', annId, bobId, 'hi', 'c1')).toBe(id);
    await expect(ann.invoke('SendMessage', annId, bobId, 'other', 'c1')).rejects.toThrow(
      'HubException: This client message id was already used for another message',
    );
    await ann.invoke('SendMessage', annId, bobId, 'next');
    expect((await bob.hears(2)).map(([, , text]) => text)).toStrictEqual(['hi', 'next']);
  });

  test('the sender is told when the text was changed', async () => {
    const { ann, annId, bob, bobId } = await pair();
    const id = await ann.invoke('SendMessage', annId, bobId, `a ${FORBIDDEN} word`);
    expect(await ann.hears(1)).toStrictEqual([['MessageRedacted', id, 'a *** word', WARNING]]);
    expect(await bob.hears(1)).toStrictEqual([['ReceiveMessage', annId, 'a *** word', id, 'sent']]);
  });

  test.each([
    ['a sender that is null', [null, 'bob', 'x'], 'Invalid message parameters'],
    ['an empty receiver', ['ann', '', 'x'], 'Invalid message parameters'],
    ['an empty text', ['ann', 'bob', ''], 'Invalid message parameters'],
    ['a text of white space', ['ann', 'bob', ' \n'], 'Invalid message parameters'],
    ['a text of 5,001 characters', ['ann', 'bob', 'x'.repeat(5001)], 'Message exceeds maximum length'],
    [
      'a receiver of 129 characters',
      ['ann', 'b'.repeat(129), 'x'],
      'Invalid message parameters: receiverId must not be longer than 128 characters',
    ],
  ])('%s is refused', async (_name, args, text) => {
    const { pages } = await people(1);
    await expect(pages[0]?.invoke('SendMessage', ...args)).rejects.toThrow(
      `An unexpected error occurred invoking 'SendMessage' on the server. HubException: ${text}`,
    );
    await pages[0]?.settle();
  });

  test('nobody writes to themselves; 5,000 characters pass', async () => {
    const { ann, annId, bobId } = await pair();
    await expect(ann.invoke('SendMessage', annId, annId, 'x')).rejects.toThrow('Cannot send messages to yourself');
    await ann.invoke('SendMessage', annId, bobId, '\u20ac'.repeat(5000));
  });
});

describe('statuses', () => {
  test('an acknowledgement is told to the sender under both names, once, and not to the reader', async () => {
    const { ann, annId, bob, bobId } = await pair();
    const id = await ann.invoke('SendMessage', annId, bobId, 'hi');
    await bob.hears(1);
    expect(await bob.invoke('MessageReceived', id)).toBeNull();
    expect(await bob.invoke('MarkMessageAsDelivered', id, 'whoever')).toBe(true);
    expect(await bob.invoke('MarkMessageAsRead', id, bobId)).toBe(true);
    expect(await bob.invoke('MarkMessageAsRead', id, bobId)).toBe(true);
    expect(await bob.invoke('MessageRead', id)).toBeNull();
    expect(await ann.hears(4)).toStrictEqual([
      ['MessageStatusChanged', id, 'delivered'],
      ['MessageDelivered', id, expect.stringMatching(ISO), bobId, annId],
      ['MessageStatusChanged', id, 'read'],
      ['MessageRead', id, expect.stringMatching(ISO), bobId, annId],
    ]);
    await Promise.all([ann.settle(), bob.settle()]);
    expect(ann.heard).toHaveLength(4);
    expect(bob.heard).toHaveLength(1);
  });

  test('marking all tells of each message, then of all', async () => {
    const { ann, annId, bob, bobId } = await pair();
    const ids = [
      await ann.invoke('SendMessage', annId, bobId, '1'),
      await ann.invoke('SendMessage', annId, bobId, '2'),
    ];
    expect(await bob.invoke('MarkAllMessagesAsRead', annId, 'whoever')).toBe(true);
    expect((await ann.hears(5)).map(([name, id]) => [name, id])).toStrictEqual([
      ...ids.flatMap((id) => [
        ['MessageStatusChanged', id],
        ['MessageRead', id],
      ]),
      ['AllMessagesRead', bobId],
    ]);
    expect(ann.heard[4]?.[2]).toMatch(ISO);
    expect(await bob.invoke('MarkAllMessagesAsRead', annId, bobId)).toBe(true);
    expect(await bob.invoke('MarkAllMessagesAsRead', 'stranger', bobId)).toBe(true);
    await ann.settle();
    expect(ann.heard).toHaveLength(5);
  });

  test('what cannot be marked is refused, but the old acknowledgement of an unknown message is passed over', async () => {
    const { ann, annId, bob, bobId } = await pair();
    const id = await ann.invoke('SendMessage', annId, bobId, 'hi');
    expect(await bob.invoke('MessageReceived', 'no-such-message')).toBeNull();
    expect(await bob.invoke('MessageRead', 'no-such-message')).toBeNull();
    await expect(bob.invoke('MarkMessageAsRead', 'no-such-message', bobId)).rejects.toThrow('Message not found');
    await expect(bob.invoke('MarkMessageAsRead', '', bobId)).rejects.toThrow('Invalid message parameters');
    await expect(ann.invoke('MarkMessageAsRead', id, annId)).rejects.toThrow(
      'You can only mark messages sent to you as read',
    );
  });

  test('a deletion is told to both, and only the sender may', async () => {
    const { ann, annId, bob, bobId } = await pair();
    const id = await ann.invoke('SendMessage', annId, bobId, 'hi');
    await bob.hears(1);
    await expect(bob.invoke('DeleteMessage', id, annId)).rejects.toThrow('You can only delete your own messages');
    await expect(ann.invoke('DeleteMessage', 'nothing', annId)).rejects.toThrow('Message not found');
    expect(await ann.invoke('DeleteMessage', id, annId)).toBe(true);
    expect(await ann.invoke('DeleteMessage', id, annId)).toBe(true);
    expect(await ann.hears(1)).toStrictEqual([['MessageDeleted', id, annId, bobId]]);
    expect((await bob.hears(2))[1]).toStrictEqual(['MessageDeleted', id, annId, bobId]);
  });
});

describe('reading', () => {
  test('history is the newest page, oldest first; optional arguments may be left out', async () => {
    const { ann, annId, bob, bobId } = await pair();
    for (const text of ['1', '2', '3']) await ann.invoke('SendMessage', annId, bobId, text);
    const texts = async (...args: unknown[]): Promise<string[]> =>
      (await bob.invoke<MessageDto[]>('GetMessageHistory', ...args)).map(({ message }) => message);
    expect(await texts(annId, bobId)).toStrictEqual(['1', '2', '3']);
    expect(await texts(bobId, annId, 1)).toStrictEqual(['1', '2']);
    expect(await texts(annId, bobId, 0, 2)).toStrictEqual(['2', '3']);
    expect(await texts(annId, bobId, 1, 1)).toStrictEqual(['2']);
    expect(await texts('stranger', bobId)).toStrictEqual([]);
    await expect(texts(annId, bobId, -1)).rejects.toThrow('skip must be a whole number from 0');
    await expect(texts(annId, bobId, 0, 0)).rejects.toThrow('take must be a whole number from 1');
    await expect(texts(annId, null)).rejects.toThrow('Invalid message parameters');
  });

  test('more than a page of history comes in one piece', async () => {
    const { ann, annId, bobId } = await pair();
    const all = Array.from({ length: 230 }, (_, index) => String(index));
    for (const text of all) await ann.invoke('SendMessage', annId, bobId, text);
    const history = await ann.invoke<MessageDto[]>('GetMessageHistory', annId, bobId, 0, 500);
    expect(history.map(({ text }) => text)).toStrictEqual(all);
    const skipped = await ann.invoke<MessageDto[]>('GetMessageHistory', annId, bobId, 5, 210);
    expect(skipped.map(({ text }) => text)).toStrictEqual(all.slice(15, 225));
  });

  test('others’ history and conversations are for Admin and SuperAdmin only', async () => {
    const { ann, annId, bobId } = await pair();
    const { pages } = await people(1);
    const [stranger] = pages;
    await ann.invoke('SendMessage', annId, bobId, 'hi');
    await expect(stranger?.invoke('GetMessageHistory', annId, bobId)).rejects.toThrow('HubException: Access denied');
    await expect(stranger?.invoke('GetUserConversations', annId)).rejects.toThrow('HubException: Access denied');
    for (const role of ['Admin', 'SuperAdmin'] as const) {
      await using admin = await Page.open(server.url, server.token('admin', { roles: [role] }));
      expect(await admin.invoke('GetMessageHistory', annId, bobId)).toHaveLength(1);
      expect(await admin.invoke('GetUserConversations', annId)).toHaveLength(1);
    }
  });

  test('conversations come newest first, with what the token said of the other', async () => {
    const { ids, pages } = await people(2);
    const [annId = '', bobId = ''] = ids;
    const claims = { name: 'Cid Smith', email: 'cid@example.org', roleClaim: 'Caregiver' };
    await using cid = await Page.open(server.url, server.token(`${annId}-cid`, { claims }));
    await pages[1]?.invoke('SendMessage', bobId, annId, 'from bob');
    await cid.invoke('SendMessage', '-', annId, 'from cid');
    const list = (await pages[0]?.invoke<ConversationDto[]>('GetUserConversations', annId)) ?? [];
    expect(list.map(({ previewMessage }) => previewMessage)).toStrictEqual(['from cid', 'from bob']);
    expect(list[0]).toMatchObject({ fullName: 'Cid Smith', role: 'Caregiver', unreadCount: 1, isOnline: true });
  });
});

describe('presence', () => {
  test('everybody hears who comes and goes; a second tab is no news, and closing one of two is none either', async () => {
    const { ann, annId } = await pair();
    const bobId = `${annId}-late`;
    const first = await Page.open(server.url, server.token(bobId));
    await ann.hearsStatus(bobId, 'Online');
    const second = await Page.open(server.url, server.token(bobId));
    expect(await ann.invoke('GetOnlineStatus', bobId)).toBe(true);
    expect(await ann.invoke('IsUserOnline', bobId)).toBe(true);
    expect(await ann.invoke('GetOnlineUsers')).toEqual(expect.arrayContaining([annId, bobId]));
    await first.connection.stop();
    expect(await ann.invoke('GetOnlineStatus', bobId)).toBe(true);
    await second.connection.stop();
    await ann.hearsStatus(bobId, 'Offline');
    expect(ann.statuses.filter(([, id]) => id === bobId)).toHaveLength(2);
    expect(await ann.invoke('GetOnlineStatus', bobId)).toBe(false);
    expect(await ann.invoke('GetOnlineStatus', 'nobody')).toBe(false);
    expect(await ann.invoke('GetOnlineStatus', '')).toBe(false);
    await expect(ann.invoke('GetOnlineStatus', null)).rejects.toThrow(
      /^An unexpected error occurred invoking 'GetOnlineStatus' on the server\.$/,
    );
  });

  test('registering and pinging are answered', async () => {
    const { pages } = await people(1);
    expect(await pages[0]?.invoke('RegisterConnection', 'whoever')).toBeNull();
    expect(await pages[0]?.invoke('Ping')).toBe('pong');
  });
});

describe('evidence of receipt', () => {
  test('a page that acknowledges nothing is replayed what it has not had: in order, once', async () => {
    const { ann, annId, bob, bobId } = await pair();
    await ann.invoke('SendMessage', annId, bobId, 'live');
    await bob.hears(1);
    await expect.poll(() => pendingOf(bobId)).toHaveLength(0);
    await bob.connection.stop();
    for (const text of ['1', '2', '3']) await ann.invoke('SendMessage', annId, bobId, text);
    await using again = await Page.open(server.url, server.token(bobId));
    expect((await again.hears(3)).map(([, , text]) => text)).toStrictEqual(['1', '2', '3']);
    await expect.poll(() => pendingOf(bobId)).toHaveLength(0);
    await again.connection.stop();
    await using third = await Page.open(server.url, server.token(bobId));
    await ann.invoke('SendMessage', annId, bobId, 'new');
    expect((await third.hears(1)).map(([, , text]) => text)).toStrictEqual(['new']);
    const history = await ann.invoke<MessageDto[]>('GetMessageHistory', annId, bobId);
    expect(new Set(history.map(({ status }) => status))).toStrictEqual(new Set(['sent']));
  });

  test('a long replay of large messages does not count as a slow client', async () => {
    const { ids, pages } = await people(1);
    const [annId = ''] = ids;
    const bobId = `${annId}-away`;
    // Quotation marks take two characters on the wire: 120 of these exceed the bound of a connection's queue.
    const text = '"'.repeat(5000);
    for (let count = 0; count < 120; count += 1) await pages[0]?.invoke('SendMessage', annId, bobId, text);
    await using bob = await Page.open(server.url, server.token(bobId));
    expect(await bob.hears(120)).toHaveLength(120);
    await bob.settle();
  });
});

describe('who may be connected', () => {
  test('a token that names nobody is told so, and must not come back', async () => {
    await expect(Page.open(server.url, server.token(undefined))).rejects.toThrow(
      'Connection closed with an error. HubException: Authentication required',
    );
  });

  test('a revoked user is closed for good', async () => {
    const { ann, annId } = await pair();
    server.registry.endUser(annId, 'revoked');
    expect(String(await ann.closed)).toContain('HubException: Authentication required');
  });

  test('a connection lives on after its token expired, for as long as is configured', async () => {
    const expired = { expiresAtMs: Date.now() - 60_000 };
    await using lenient = await Page.open(server.url, server.token('lenient', expired));
    await lenient.settle();
    await using strict = await startPageServer({ hubExpiryGraceMs: 0 });
    const page = await Page.open(strict.url, strict.token('strict', { expiresAtMs: Date.now() + 100 }));
    await page.closed;
  });

  test('a token that is renewed keeps its connection open beyond the end of the first', async () => {
    await using strict = await startPageServer({ hubExpiryGraceMs: 0, hub: { allowTokenRenewal: true } });
    const expiresAtMs = Date.now() + 2_000;
    const first = strict.token('renews', { expiresAtMs });
    const later = strict.token('renews', { expiresAtMs: Date.now() + 3_600_000 });
    const ask = (path: string, token: string, method = 'POST', body?: string): Promise<Response> => {
      const headers = { authorization: `Bearer ${token}` };
      return fetch(`${strict.url}/chathub${path}`, { method, headers, ...(body !== undefined && { body }) });
    };
    const negotiated = await (await ask('/negotiate?negotiateVersion=1', first)).json();
    const id = `?id=${(negotiated as { connectionToken: string }).connectionToken}`;
    await ask(id, first, 'GET');
    await ask(id, first, 'POST', '{"protocol":"json","version":1}\u001e');
    expect(await (await ask(id, first, 'GET')).text()).toContain('{}\u001e');
    const control = await Page.open(strict.url, strict.token('does not renew', { expiresAtMs }));

    const renewed = (await (await ask(`/refresh${id}`, later)).json()) as { tokenLifetimeSeconds: number };
    expect(renewed.tokenLifetimeSeconds).toBeGreaterThan(3_000);
    await control.closed;
    await ask(id, later, 'POST', '{"type":1,"invocationId":"1","target":"GetOnlineUsers","arguments":[]}\u001e');
    let heard = '';
    while (!heard.includes('"invocationId":"1"')) {
      const poll = await ask(id, later, 'GET');
      expect(poll.status).toBe(200);
      heard += await poll.text();
    }
    expect((await ask(id, later, 'DELETE')).status).toBe(202);
  });
});

test('nothing was reported that is not a caller’s mistake', () => {
  const unexpected = server.errors.filter((error) => !(error instanceof Error && error.name === 'HubException'));
  expect(unexpected.map(String)).toStrictEqual(['TypeError: The user id must not be null']);
});
