/** Who may do what, at every door alike: the policy table of the core, asked through door × use case × role. */
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UserService } from '../../gen/carepro/chat/v1/user_service_pb.ts';
import type { Role } from '../../src/core/identity.ts';
import { POLICY, type UseCase } from '../../src/core/policy.ts';
import { Page } from './support/page.ts';
import { type TypedClient, typedClient } from './support/rpc-clients.ts';
import { startServer, type TestServer, tokenFor } from './support/server.ts';

const ROLES: readonly Role[] = ['user', 'Admin', 'SuperAdmin', 'Service'];

/** A caller who has no part in the conversation of alice and bob. */
interface Caller {
  readonly rpc: TypedClient;
  readonly page: Page;
}

interface Act {
  readonly door: 'rpc' | 'hub' | 'rest';
  readonly useCase: UseCase;
  /** Acts in alice's affairs. Resolves if that was allowed, rejects if not. */
  readonly act: (caller: Caller) => Promise<unknown>;
}

async function rest(page: Page, method: string, path: string): Promise<void> {
  const { body, status } = await page.rest(method, path);
  if (status !== 200) throw new Error(`${status} ${(body as { message: string }).message}`);
}

let server: TestServer;
let messageId: string;

const ACTS: readonly Act[] = [
  {
    door: 'rpc',
    useCase: 'sendMessage',
    act: ({ rpc }) => rpc.chat.sendMessage({ senderId: 'alice', receiverId: 'bob', text: 'for her' }),
  },
  {
    door: 'rpc',
    useCase: 'readMessages',
    act: ({ rpc }) => rpc.chat.listMessages({ userId: 'alice', otherUserId: 'bob' }),
  },
  { door: 'rpc', useCase: 'readConversations', act: ({ rpc }) => rpc.chat.listConversations({ userId: 'alice' }) },
  {
    door: 'rpc',
    useCase: 'readConversations',
    act: ({ rpc }) => rpc.chat.getConversation({ userId: 'alice', otherUserId: 'bob' }),
  },
  { door: 'rpc', useCase: 'readUnread', act: ({ rpc }) => rpc.chat.getUnreadCounts({ userId: 'alice' }) },
  {
    door: 'rpc',
    useCase: 'markStatus',
    act: ({ rpc }) => rpc.chat.markDelivered({ userId: 'alice', upTo: { case: 'otherUserId', value: 'bob' } }),
  },
  {
    door: 'rpc',
    useCase: 'markStatus',
    act: ({ rpc }) => rpc.chat.markRead({ userId: 'alice', upTo: { case: 'otherUserId', value: 'bob' } }),
  },
  { door: 'rpc', useCase: 'deleteMessage', act: ({ rpc }) => rpc.chat.deleteMessage({ userId: 'alice', messageId }) },
  {
    door: 'rpc',
    useCase: 'receiveEvents',
    act: async ({ rpc }) => {
      for await (const { frame } of rpc.chat.subscribe({ userId: 'alice' })) if (frame.case === 'ready') return;
      throw new Error('The stream ended without a ready');
    },
  },
  { door: 'rpc', useCase: 'readPresence', act: ({ rpc }) => rpc.chat.getPresence({ userIds: ['alice'] }) },
  {
    door: 'rpc',
    useCase: 'readProfile',
    act: ({ rpc }) => createClient(UserService, rpc.transport).getUserProfiles({ userIds: ['alice'] }),
  },
  {
    door: 'rpc',
    useCase: 'writeProfile',
    act: ({ rpc }) =>
      createClient(UserService, rpc.transport).upsertUserProfile({ profile: { userId: 'alice', name: 'Alice' } }),
  },
  {
    door: 'hub',
    useCase: 'readMessages',
    act: ({ page }) => page.hub.invoke('GetMessageHistory', 'alice', 'bob', 0, 50),
  },
  { door: 'hub', useCase: 'readConversations', act: ({ page }) => page.hub.invoke('GetUserConversations', 'alice') },
  { door: 'hub', useCase: 'readPresence', act: ({ page }) => page.hub.invoke('GetOnlineStatus', 'alice') },
  {
    door: 'rest',
    useCase: 'readMessages',
    act: ({ page }) => rest(page, 'GET', '/api/chat/history?user1=alice&user2=bob&skip=0&take=50'),
  },
  { door: 'rest', useCase: 'readConversations', act: ({ page }) => rest(page, 'GET', '/api/chat/conversations/alice') },
  {
    door: 'rest',
    useCase: 'readConversations',
    act: ({ page }) => rest(page, 'GET', '/api/chat/ChatPreview?userId=alice'),
  },
  { door: 'rest', useCase: 'readUnread', act: ({ page }) => rest(page, 'GET', '/api/chat/unread-count?userId=alice') },
  { door: 'rest', useCase: 'readProfile', act: ({ page }) => rest(page, 'GET', '/api/users/alice') },
];

beforeAll(async () => {
  server = await startServer();
  using alice = typedClient(server.url, await tokenFor('alice', { name: 'Alice Example' }));
  using bob = typedClient(server.url, await tokenFor('bob'));
  messageId = (await alice.chat.sendMessage({ receiverId: 'bob', text: 'private' })).message?.id ?? '';
  await bob.chat.sendMessage({ receiverId: 'alice', text: 'private too' });
});

afterAll(() => server[Symbol.asyncDispose]());

describe.each(ROLES)('A stranger with role %s', (role) => {
  it.each(ACTS.map((item) => [item.door, item.useCase, item.act] as const))(
    'through %s may %s in the affairs of others exactly if the table says so',
    async (_door, useCase, act) => {
      const token = await tokenFor(`stranger-${role}`, role === 'user' ? {} : { role });
      using rpc = typedClient(server.url, token);
      await using page = await Page.open({ url: server.url, token });
      const outcome = await act({ rpc, page }).then(
        () => 'allowed',
        (error: unknown) => error,
      );
      if (POLICY[useCase].others.includes(role)) {
        expect(outcome).toBe('allowed');
        return;
      }
      if (outcome instanceof ConnectError) expect(outcome.code).toBe(Code.PermissionDenied);
      else expect(String(outcome)).toMatch(/Access denied/);
    },
  );
});

it('every use case is asked at some door, but for typing, which names no other sender', () => {
  const asked = new Set(ACTS.map(({ useCase }) => useCase));
  expect(Object.keys(POLICY).filter((useCase) => !asked.has(useCase as UseCase))).toEqual(['signalTyping']);
});

it('identity is the token, whatever ids the arguments of the page carry', async () => {
  const token = await tokenFor('mallory');
  await using page = await Page.open({ url: server.url, token });
  const id = await page.send('alice', 'bob', 'not from alice');
  using bob = typedClient(server.url, await tokenFor('bob'));
  const { messages } = await bob.chat.listMessages({ otherUserId: 'mallory' });
  expect(messages.map((message) => [message.id, message.senderId])).toEqual([[id, 'mallory']]);
  await expect(page.hub.invoke('MarkMessageAsRead', messageId, 'bob')).rejects.toThrow('Message not found');
  await expect(page.hub.invoke('DeleteMessage', messageId, 'alice')).rejects.toThrow('Message not found');
});
