import { describe, expect, test } from 'vitest';
import { chatPreviewDto, conversationDto, messageDto, userDto } from '../../../src/bridge/dto.ts';
import type { MessageView } from '../../../src/core/message.ts';
import type { ConversationSummary } from '../../../src/core/reader.ts';

const sentAtMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const view: MessageView = { id: 'm1', seq: 1, senderId: 'a', receiverId: 'b', text: 'hi', sentAtMs, status: 'sent' };
const summary: ConversationSummary = {
  otherId: 'b',
  lastMessage: view,
  unreadCount: 2,
  own: { received: 0, delivered: 0, read: 0 },
  other: { received: 0, delivered: 0, read: 0 },
  profile: {
    userId: 'b',
    name: 'Bob Builder',
    email: 'bob@example.org',
    role: 'Caregiver',
    avatarUrl: 'https://x/y.png',
  },
  presence: { userId: 'b', online: true },
};

describe('MessageDto', () => {
  test('has every field under every name', () => {
    expect(messageDto(view)).toStrictEqual({
      id: 'm1',
      messageId: 'm1',
      senderId: 'a',
      receiverId: 'b',
      text: 'hi',
      message: 'hi',
      status: 'sent',
      timestamp: '2026-01-02T03:04:05.678Z',
      isDelivered: false,
      deliveredAt: null,
      isRead: false,
      readAt: null,
      isDeleted: false,
    });
  });

  test('says when it was delivered and read', () => {
    const read: MessageView = { ...view, status: 'read', deliveredAtMs: sentAtMs + 1, readAtMs: sentAtMs + 2 };
    expect(messageDto(read)).toMatchObject({
      status: 'read',
      isDelivered: true,
      deliveredAt: '2026-01-02T03:04:05.679Z',
      isRead: true,
      readAt: '2026-01-02T03:04:05.680Z',
    });
    expect(messageDto({ ...view, status: 'delivered', deliveredAtMs: sentAtMs })).toMatchObject({
      isDelivered: true,
      isRead: false,
      readAt: null,
    });
  });

  test('is marked when the message was deleted', () => {
    expect(messageDto({ ...view, text: '', deletedAtMs: sentAtMs })).toMatchObject({ isDeleted: true, message: '' });
  });
});

describe('ConversationDto', () => {
  test('has every field under every name', () => {
    expect(conversationDto(summary)).toStrictEqual({
      id: 'b',
      userId: 'b',
      name: 'Bob Builder',
      fullName: 'Bob Builder',
      avatar: 'https://x/y.png',
      email: 'bob@example.org',
      role: 'Caregiver',
      previewMessage: 'hi',
      lastMessage: 'hi',
      lastActive: '2026-01-02T03:04:05.678Z',
      lastMessageTimestamp: '2026-01-02T03:04:05.678Z',
      isActive: true,
      isOnline: true,
      isRead: false,
      unreadCount: 2,
    });
  });

  test('holds no null for a person nothing is known of', () => {
    const unknown = conversationDto({
      ...summary,
      unreadCount: 0,
      profile: { userId: 'b' },
      presence: { userId: 'b', online: false },
      lastMessage: { ...view, text: '', deletedAtMs: 1 },
    });
    expect(Object.values(unknown)).not.toContain(null);
    expect(Object.values(unknown)).not.toContain(undefined);
    expect(unknown).toMatchObject({ name: 'b', avatar: '', previewMessage: '', isRead: true, isOnline: false });
  });

  test('has a short form', () => {
    expect(chatPreviewDto(summary)).toStrictEqual({
      fullName: 'Bob Builder',
      appUserId: 'b',
      email: 'bob@example.org',
      role: 'Caregiver',
      lastMessage: 'hi',
      lastMessageTimestamp: '2026-01-02T03:04:05.678Z',
    });
  });
});

describe('UserDto', () => {
  test.each([
    ['Ada Lovelace', 'Ada', 'Lovelace'],
    ['Ludwig van Beethoven', 'Ludwig van', 'Beethoven'],
    ['Plato', 'Plato', ''],
    [' Ada  Lovelace ', 'Ada', 'Lovelace'],
    [undefined, '', ''],
  ])('splits the name %j at the last space', (name, firstName, lastName) => {
    expect(userDto({ userId: 'u', ...(name !== undefined && { name }) })).toStrictEqual({
      id: 'u',
      fullName: name?.trim() ?? '',
      firstName,
      lastName,
      email: '',
      role: '',
      profileImage: '',
    });
  });
});
