/** The existing page's daily life, with the stock client: connect, write, read, list, acknowledge, delete, and be refused. */
import { expect, test } from 'vitest';
import { field, historyTexts, openPage, restPage } from './support/pages.ts';
import { startServer, tokenFor } from './support/server.ts';

const ISO_TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

test.each([
  ['without negotiation', true],
  ['with negotiation', false],
])('two pages that connect %s write to each other and see what becomes of their messages', async (_way, skip) => {
  await using server = await startServer();
  await using alice = await openPage(server, 'alice', { skipNegotiation: skip });
  await using bob = await openPage(server, 'bob', { skipNegotiation: skip });
  const id = await alice.send('alice', 'bob', 'Hello Bob');
  await bob.until(() => bob.received.includes(id));
  expect(bob.all('ReceiveMessage')).toEqual([['alice', 'Hello Bob', id, 'sent']]);
  await bob.hub.invoke('MessageReceived', id);
  await alice.until(() => alice.all('MessageDelivered').length === 1);
  expect(alice.events.filter((event) => event.name !== 'UserStatusChanged')).toEqual([
    { name: 'MessageStatusChanged', args: [id, 'delivered'] },
    { name: 'MessageDelivered', args: [id, ISO_TIME, 'bob', 'alice'] },
  ]);
  const answer = await bob.send('bob', 'alice', 'Hello Alice');
  await alice.until(() => alice.received.includes(answer));
  // The own message does not come back to its sender.
  expect(alice.texts).toEqual(['Hello Alice']);
  expect(bob.texts).toEqual(['Hello Bob']);
  expect(await bob.hub.invoke('Ping')).toBe('pong');
});

test('conversations and history are read by REST in either letter case, as by the hub', async () => {
  await using server = await startServer();
  await using alice = await openPage(server, 'alice', { token: await tokenFor('alice', { name: 'Alice Ames' }) });
  await using bob = await openPage(server, 'bob');
  await alice.send('alice', 'bob', 'first');
  await bob.send('bob', 'alice', 'second');
  const carol = await restPage(server, 'carol');
  await carol.rest('POST', '/api/Chat/Send', { SenderId: 'carol', ReceiverId: 'bob', Message: 'third' });
  await bob.until(() => bob.texts.includes('third'));

  const ofHub = await bob.hub.invoke('GetUserConversations', 'bob');
  for (const path of ['/api/chat/conversations/bob', '/api/Chat/Conversations/bob', '/API/CHAT/CONVERSATIONS/bob']) {
    expect(await bob.rest('GET', path)).toEqual({ status: 200, body: ofHub });
  }
  // Newest first, because the page uses its first ten.
  expect(ofHub).toMatchObject([
    { id: 'carol', userId: 'carol', previewMessage: 'third', lastMessage: 'third', unreadCount: 1, isOnline: false },
    { id: 'alice', name: 'Alice Ames', fullName: 'Alice Ames', previewMessage: 'second', unreadCount: 1 },
  ]);
  const history = await bob.hub.invoke('GetMessageHistory', 'bob', 'alice');
  for (const path of [
    '/api/chat/history?user1=bob&user2=alice',
    '/api/Chat/history?user1=alice&user2=bob&skip=0&take=50',
    '/api/CHAT/History?User1=bob&User2=alice&Skip=0&Take=50',
  ]) {
    expect(await bob.rest('GET', path)).toEqual({ status: 200, body: history });
  }
  expect(history).toMatchObject([
    { senderId: 'alice', receiverId: 'bob', message: 'first', text: 'first', isRead: false, timestamp: ISO_TIME },
    { senderId: 'bob', receiverId: 'alice', message: 'second', text: 'second', status: 'sent' },
  ]);
  // The optional arguments may be left out or given: the newest page, oldest first.
  expect(await bob.hub.invoke('GetMessageHistory', 'bob', 'alice', 0, 1)).toMatchObject([{ message: 'second' }]);
  expect(await bob.hub.invoke('GetMessageHistory', 'bob', 'alice', 1, 1)).toMatchObject([{ message: 'first' }]);
});

test('marking a message read again is answered alike and told once', async () => {
  await using server = await startServer();
  await using alice = await openPage(server, 'alice');
  await using bob = await openPage(server, 'bob');
  const first = await alice.send('alice', 'bob', 'one');
  const second = await alice.send('alice', 'bob', 'two');
  for (let time = 0; time < 3; time += 1) {
    expect(await bob.hub.invoke('MarkMessageAsRead', first, 'bob')).toBe(true);
  }
  expect(await bob.rest('POST', `/api/chat/mark-read/${first}?userId=alice`)).toEqual({
    status: 200,
    body: { success: true, messageId: first },
  });
  await bob.hub.invoke('MarkMessageAsRead', second, 'bob');
  await alice.until(() => alice.all('MessageRead').length === 2);
  expect(alice.all('MessageRead')).toEqual([
    [first, ISO_TIME, 'bob', 'alice'],
    [second, ISO_TIME, 'bob', 'alice'],
  ]);
  expect(alice.all('MessageStatusChanged')).toEqual([
    [first, 'read'],
    [second, 'read'],
  ]);
  expect(alice.all('AllMessagesRead')).toEqual([]);
});

test('marking a whole conversation read tells of each message and then of all, and the counts follow', async () => {
  await using server = await startServer();
  await using alice = await openPage(server, 'alice');
  await using bob = await openPage(server, 'bob');
  const ids: string[] = [];
  for (const text of ['one', 'two', 'three']) ids.push(await alice.send('alice', 'bob', text));
  const carol = await restPage(server, 'carol');
  await carol.rest('POST', '/api/chat/send', { senderId: 'carol', receiverId: 'bob', message: 'also' });
  const unread = async (): Promise<unknown> => field((await bob.rest('GET', '/api/chat/unread-count')).body, 'count');
  expect(await unread()).toBe(4);
  expect(await bob.hub.invoke('MarkAllMessagesAsRead', 'alice', 'bob')).toBe(true);
  await alice.until(() => alice.all('AllMessagesRead').length === 1);
  expect(alice.all('MessageRead').map((args) => args[0])).toEqual(ids);
  expect(alice.all('AllMessagesRead')).toEqual([['bob', ISO_TIME]]);
  expect(alice.events.at(-1)?.name).toBe('AllMessagesRead');
  expect(await unread()).toBe(1);
  expect(await bob.rest('GET', '/api/chat/conversations/bob')).toMatchObject({
    body: [
      { id: 'carol', unreadCount: 1, isRead: false },
      { id: 'alice', unreadCount: 0, isRead: true },
    ],
  });
  expect(await bob.rest('POST', '/api/chat/mark-all-read', { senderId: 'carol', receiverId: 'bob' })).toEqual({
    status: 200,
    body: { success: true },
  });
  expect(await unread()).toBe(0);
});

test('a deleted message is told to both, leaves an empty tombstone and no unread count', async () => {
  await using server = await startServer();
  await using alice = await openPage(server, 'alice');
  await using bob = await openPage(server, 'bob');
  const byHub = await alice.send('alice', 'bob', 'secret');
  const byRest = await alice.send('alice', 'bob', 'also secret');
  await alice.send('alice', 'bob', 'stays');
  expect(await alice.hub.invoke('DeleteMessage', byHub, 'alice')).toBe(true);
  expect(await alice.rest('DELETE', `/api/Chat/delete/${byRest}`)).toEqual({
    status: 200,
    body: { success: true, messageId: byRest },
  });
  for (const page of [alice, bob]) {
    await page.until(() => page.all('MessageDeleted').length === 2);
    expect(page.all('MessageDeleted')).toEqual([
      [byHub, 'alice', 'bob'],
      [byRest, 'alice', 'bob'],
    ]);
  }
  expect(await historyTexts(bob, 'alice', 'bob')).toEqual(['', '', 'stays']);
  expect(await bob.rest('GET', '/api/chat/unread-count')).toEqual({ status: 200, body: { count: 1 } });
});

test('refused calls fail with the texts that the page knows, and the connection goes on', async () => {
  await using server = await startServer();
  await using alice = await openPage(server, 'alice');
  await using bob = await openPage(server, 'bob');
  const toBob = await alice.send('alice', 'bob', 'Hello');
  const refusals: [string, unknown[], string][] = [
    ['SendMessage', ['alice', '', 'text'], 'Invalid message parameters'],
    ['SendMessage', ['alice', 'bob', ''], 'Invalid message parameters'],
    ['SendMessage', ['alice', 'alice', 'text'], 'Cannot send messages to yourself'],
    ['SendMessage', ['alice', 'bob', 'x'.repeat(5001)], 'Message exceeds maximum length'],
    ['MarkMessageAsRead', ['no-such-message', 'alice'], 'Message not found'],
    ['MarkMessageAsRead', [toBob, 'bob'], 'You can only mark messages sent to you as read'],
    ['DeleteMessage', ['no-such-message', 'alice'], 'Message not found'],
    ['GetMessageHistory', ['bob', 'carol'], 'Access denied'],
    ['GetUserConversations', ['bob'], 'Access denied'],
  ];
  for (const [target, args, text] of refusals) {
    await expect(alice.hub.invoke(target, ...args), `${target} ${text}`).rejects.toThrow(
      new Error(`An unexpected error occurred invoking '${target}' on the server. HubException: ${text}`),
    );
  }
  await expect(bob.hub.invoke('DeleteMessage', toBob, 'alice')).rejects.toThrow(
    "invoking 'DeleteMessage' on the server. HubException: You can only delete your own messages",
  );
  // The longest text passes, and so does the identity of the token whatever the arguments say.
  await alice.send('somebody-else', 'bob', 'y'.repeat(5000));
  await bob.until(() => bob.received.length === 2);
  expect(bob.all('ReceiveMessage').map((args) => args[0])).toEqual(['alice', 'alice']);
  const text = 'Cannot send messages to yourself';
  expect(await alice.rest('POST', '/api/chat/send', { senderId: 'alice', receiverId: 'alice', message: 'x' })).toEqual({
    status: 400,
    body: { error: text, message: text },
  });
});
