import { beforeEach, describe, expect, test } from 'vitest';
import type { Identity } from '../../../src/core/identity.ts';
import { DEFAULT_LIMITS } from '../../../src/core/limits.ts';
import type { Presence, UserProfile } from '../../../src/core/message.ts';
import { Policy } from '../../../src/core/policy.ts';
import { type ListMessagesRequest, Reader } from '../../../src/core/reader.ts';
import { FakeMessageStore } from '../../fixtures/fake-message-store.ts';
import { identityOf } from '../../fixtures/identities.ts';

let store: FakeMessageStore;
let noted: unknown[][];
let audited: unknown[];
let online: string[];
/** Whose presence plain users may see. */
let visible: (userId: string) => boolean;
let reader: Reader;

beforeEach(() => {
  store = new FakeMessageStore();
  noted = [];
  audited = [];
  online = [];
  visible = () => true;
  const policy = new Policy({ record: (entry) => audited.push(entry) });
  const profiles = new Map<string, UserProfile>([['alice', { userId: 'alice', name: 'Alice' }]]);
  reader = new Reader({
    store,
    chat: {
      noteReceived: (...args) => {
        noted.push(args);
        return Promise.reject(new Error('The mark is not worth an error'));
      },
    },
    presence: {
      find: (userIds) =>
        Promise.resolve(
          new Map(userIds.map((userId): [string, Presence] => [userId, { userId, online: online.includes(userId) }])),
        ),
      listOnline: ({ after, limit }) =>
        Promise.resolve(online.filter((userId) => after === undefined || userId > after).slice(0, limit)),
      visibleTo: (identity: Identity, userIds) =>
        Promise.resolve(policy.seesEverybody(identity) ? userIds : userIds.filter((userId) => visible(userId))),
    },
    profiles: { find: () => Promise.resolve(profiles) },
    policy,
    limits: { ...DEFAULT_LIMITS, pageSizeMax: 60 },
  });
});

const bob = identityOf('bob');
const admin = identityOf('root', 'Admin');

async function append(senderId: string, receiverId: string, count: number, atMs = 0): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await store.write([
      { type: 'append', id: `${senderId}-${receiverId}-${atMs}-${index}`, senderId, receiverId, text: 'x', atMs },
    ]);
  }
}

async function page(
  request: Partial<ListMessagesRequest>,
  identity = bob,
): Promise<{ seqs: number[]; hasMore: boolean }> {
  const { messages, hasMore } = await reader.listMessages(identity, { otherUserId: 'alice', ...request });
  return { seqs: messages.map((message) => message.seq), hasMore };
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index);

describe('a page of messages', () => {
  beforeEach(() => append('alice', 'bob', 10));

  test.each<[string, Partial<ListMessagesRequest>, number[], boolean]>([
    ['the newest', { pageSize: 3 }, [8, 9, 10], true],
    ['the newest before a place', { pageSize: 3, beforeSeq: 8 }, [5, 6, 7], true],
    ['the last of the older ones', { pageSize: 3, beforeSeq: 4 }, [1, 2, 3], false],
    ['nothing before the first', { pageSize: 3, beforeSeq: 1 }, [], false],
    ['the newest but some', { pageSize: 3, skip: 2 }, [6, 7, 8], true],
    ['nothing beyond the end', { pageSize: 3, skip: 10 }, [], false],
    ['the ones after a place', { pageSize: 3, afterSeq: 4 }, [5, 6, 7], true],
    ['all from the start', { pageSize: 3, afterSeq: 0 }, [1, 2, 3], true],
    ['the last after a place', { pageSize: 3, afterSeq: 7 }, [8, 9, 10], false],
    ['nothing after the last', { pageSize: 3, afterSeq: 10 }, [], false],
    ['after, if both directions are asked', { pageSize: 3, afterSeq: 1, beforeSeq: 9, skip: 1 }, [2, 3, 4], true],
    ['exactly as many as there are', { pageSize: 10 }, range(1, 10), false],
    ['the usual number for zero', { pageSize: 0, beforeSeq: 0, skip: 0 }, range(1, 10), false],
  ])('holds %s, oldest first', async (_name, request, seqs, hasMore) => {
    expect(await page(request)).toEqual({ seqs, hasMore });
  });

  test('is 50 if none is asked and bounded by configuration', async () => {
    await append('alice', 'bob', 90, 1);
    expect(await page({})).toEqual({ seqs: range(51, 100), hasMore: true });
    expect(await page({ pageSize: 1000 })).toEqual({ seqs: range(41, 100), hasMore: true });
  });

  test.each(['pageSize', 'beforeSeq', 'afterSeq', 'skip'] as const)('refuses an impossible %s', async (field) => {
    for (const value of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60]) {
      await expect(page({ [field]: value })).rejects.toMatchObject({
        code: 'invalidArgument',
        reason: 'INVALID_FIELD',
      });
    }
  });

  test('walking back and walking on meet every message once', async () => {
    const back: number[] = [];
    for (let beforeSeq = 0, more = true; more; ) {
      const { seqs, hasMore } = await page({ pageSize: 4, beforeSeq });
      back.unshift(...seqs);
      beforeSeq = seqs[0] ?? 0;
      more = hasMore;
    }
    const on: number[] = [];
    for (let afterSeq = 0, more = true; more; ) {
      const { seqs, hasMore } = await page({ pageSize: 4, afterSeq });
      on.push(...seqs);
      afterSeq = seqs.at(-1) ?? 0;
      more = hasMore;
    }
    expect(back).toEqual(range(1, 10));
    expect(on).toEqual(range(1, 10));
  });

  test('of strangers is empty', async () => {
    expect(await page({ otherUserId: 'nobody' })).toEqual({ seqs: [], hasMore: false });
  });

  test('holds tombstones without text', async () => {
    await store.write([{ type: 'delete', messageId: 'alice-bob-0-4', atMs: 5 }]);
    const { messages } = await reader.listMessages(bob, { otherUserId: 'alice' });
    expect(messages[4]).toMatchObject({ seq: 5, text: '', deletedAtMs: 5 });
  });
});

describe('reading as evidence of receipt', () => {
  test('reaches to the newest received message of the page, and says where the page begins', async () => {
    await append('alice', 'bob', 5);
    await append('bob', 'alice', 2, 1);
    await page({ pageSize: 4 });
    expect(noted).toEqual([['bob', 'alice', 5, 4]]);
  });

  test('is none if the page holds nothing received', async () => {
    await append('bob', 'alice', 2);
    await page({});
    await page({ otherUserId: 'nobody' });
    expect(noted).toEqual([]);
  });

  test('is none if somebody else reads, which is audited instead', async () => {
    await append('alice', 'bob', 1);
    expect((await page({ userId: 'bob' }, admin)).seqs).toEqual([1]);
    expect((await page({ userId: 'bob' }, identityOf('gateway', 'Service'))).seqs).toEqual([1]);
    expect(noted).toEqual([]);
    expect(audited).toEqual([
      { useCase: 'readMessages', callerId: 'root', subjectId: 'bob' },
      { useCase: 'readMessages', callerId: 'gateway', subjectId: 'bob' },
    ]);
  });

  test('does not fail the reader when it fails', async () => {
    await append('alice', 'bob', 1);
    expect((await page({})).seqs).toEqual([1]);
    expect(noted).toHaveLength(1);
  });
});

describe('conversations', () => {
  beforeEach(async () => {
    await append('alice', 'bob', 2, 1);
    await append('carol', 'bob', 1, 2);
    online = ['alice', 'carol'];
  });

  test('come newest first with profile, presence and unread count, in pages', async () => {
    const first = await reader.listConversations(bob, { pageSize: 1 });
    expect(first.conversations).toMatchObject([
      { otherId: 'carol', unreadCount: 1, profile: { userId: 'carol' }, presence: { userId: 'carol', online: true } },
    ]);
    const second = await reader.listConversations(bob, { pageSize: 1, pageToken: first.nextPageToken ?? '' });
    expect(second.conversations).toMatchObject([{ otherId: 'alice', unreadCount: 2, profile: { name: 'Alice' } }]);
    expect(second.nextPageToken).toBeUndefined();
  });

  test('show the partners of the owner whatever the audience of presence', async () => {
    visible = () => false;
    const { conversations } = await reader.listConversations(bob, {});
    expect(conversations.map((item) => item.presence.online)).toEqual([true, true]);
  });

  test('of others are for those who may read them', async () => {
    expect((await reader.listConversations(admin, { userId: 'bob' })).conversations).toHaveLength(2);
    await expect(reader.listConversations(identityOf('eve'), { userId: 'bob' })).rejects.toMatchObject({
      code: 'permissionDenied',
    });
    await expect(
      reader.findConversation(identityOf('eve'), { userId: 'bob', otherUserId: 'alice' }),
    ).rejects.toMatchObject({ code: 'permissionDenied' });
  });

  test('are found by the other person, or not', async () => {
    expect(await reader.findConversation(bob, { otherUserId: 'alice' })).toMatchObject({
      otherId: 'alice',
      lastMessage: { seq: 2 },
      profile: { name: 'Alice' },
    });
    await expect(reader.findConversation(bob, { otherUserId: 'nobody' })).rejects.toMatchObject({
      code: 'notFound',
      reason: 'CONVERSATION_NOT_FOUND',
    });
  });

  test('have unread counts that add up', async () => {
    const { total, counts } = await reader.unreadCounts(bob, {});
    expect(total).toBe(3);
    expect(counts.toSorted((a, b) => a.count - b.count)).toEqual([
      { otherId: 'carol', count: 1 },
      { otherId: 'alice', count: 2 },
    ]);
    await expect(reader.unreadCounts(identityOf('eve'), { userId: 'bob' })).rejects.toMatchObject({
      code: 'permissionDenied',
    });
  });
});

describe('presence', () => {
  test('is answered in the order asked, each user once', async () => {
    online = ['alice'];
    expect(await reader.presenceOf(bob, ['carol', 'alice', 'carol'])).toEqual([
      { userId: 'carol', online: false },
      { userId: 'alice', online: true },
    ]);
  });

  test('of users whom the caller may not see is offline, as of users who do not exist', async () => {
    online = ['alice', 'dave'];
    visible = (userId) => userId === 'alice';
    expect(await reader.presenceOf(bob, ['alice', 'dave'])).toEqual([
      { userId: 'alice', online: true },
      { userId: 'dave', online: false },
    ]);
    expect(await reader.presenceOf(admin, ['dave'])).toEqual([{ userId: 'dave', online: true }]);
  });

  test.each<[string, string[]]>([
    ['nobody', []],
    ['too many', Array.from({ length: 501 }, (_, index) => `u${index}`)],
    ['an impossible id', ['a\0']],
  ])('of %s is refused', async (_name, userIds) => {
    await expect(reader.presenceOf(bob, userIds)).rejects.toMatchObject({ code: 'invalidArgument' });
  });

  test('lists those online in pages, though a page may hold nobody the caller may see', async () => {
    online = ['a', 'b', 'c', 'd', 'e'];
    visible = (userId) => userId !== 'c' && userId !== 'd';
    const first = await reader.listOnline(bob, { pageSize: 2 });
    expect(first).toEqual({ userIds: ['a', 'b'], nextPageToken: 'b' });
    const second = await reader.listOnline(bob, { pageSize: 2, pageToken: 'b' });
    expect(second).toEqual({ userIds: [], nextPageToken: 'd' });
    expect(await reader.listOnline(bob, { pageSize: 2, pageToken: 'd' })).toEqual({ userIds: ['e'] });
  });

  test.each([-1, 0.5, Number.NaN])('refuses a page of %s online users', async (pageSize) => {
    await expect(reader.listOnline(bob, { pageSize })).rejects.toMatchObject({ code: 'invalidArgument' });
  });

  test('bounds a page of online users', async () => {
    online = Array.from({ length: 1500 }, (_, index) => `u${10_000 + index}`);
    expect((await reader.listOnline(bob, { pageSize: 5000 })).userIds).toHaveLength(1000);
    expect((await reader.listOnline(bob, {})).userIds).toHaveLength(200);
  });
});
