/**
 * The objects that the existing page reads, under every name that one of its builds looks for. Unknown texts are empty
 * strings, never null: the page calls string methods on them.
 */
import type { MessageStatus, MessageView, UserProfile } from '../core/message.ts';
import type { ConversationSummary } from '../core/reader.ts';

/** A message. Times are ISO 8601 UTC with milliseconds. */
export interface MessageDto {
  readonly id: string;
  readonly messageId: string;
  readonly senderId: string;
  readonly receiverId: string;
  /** Empty for a deleted message. */
  readonly text: string;
  readonly message: string;
  readonly status: MessageStatus;
  readonly timestamp: string;
  readonly isDelivered: boolean;
  readonly deliveredAt: string | null;
  readonly isRead: boolean;
  readonly readAt: string | null;
  readonly isDeleted: boolean;
}

/** A conversation as its owner sees it; `id` and `userId` are the other person's. */
export interface ConversationDto {
  readonly id: string;
  readonly userId: string;
  /** The user id while the name is unknown. */
  readonly name: string;
  readonly fullName: string;
  readonly avatar: string;
  readonly email: string;
  readonly role: string;
  readonly previewMessage: string;
  readonly lastMessage: string;
  readonly lastActive: string;
  readonly lastMessageTimestamp: string;
  readonly isActive: boolean;
  readonly isOnline: boolean;
  /** Whether the owner has read everything. */
  readonly isRead: boolean;
  readonly unreadCount: number;
}

/** The short form of a conversation. */
export interface ChatPreviewDto {
  readonly fullName: string;
  readonly appUserId: string;
  readonly email: string;
  readonly role: string;
  readonly lastMessage: string;
  readonly lastMessageTimestamp: string;
}

/** A user. */
export interface UserDto {
  readonly id: string;
  readonly fullName: string;
  /** Everything before the last space of the name. */
  readonly firstName: string;
  /** What follows the last space; empty for a name without one. */
  readonly lastName: string;
  readonly email: string;
  readonly role: string;
  readonly profileImage: string;
}

let lastMs = Number.NaN;
let lastIso = '';

/** A time as the page reads it. The last one is remembered: all events of a commit have the same. */
export function isoTime(atMs: number): string {
  if (atMs !== lastMs) {
    lastMs = atMs;
    lastIso = new Date(atMs).toISOString();
  }
  return lastIso;
}

export function messageDto(view: MessageView): MessageDto {
  return {
    id: view.id,
    messageId: view.id,
    senderId: view.senderId,
    receiverId: view.receiverId,
    text: view.text,
    message: view.text,
    status: view.status,
    timestamp: isoTime(view.sentAtMs),
    isDelivered: view.status !== 'sent',
    deliveredAt: view.deliveredAtMs === undefined ? null : isoTime(view.deliveredAtMs),
    isRead: view.status === 'read',
    readAt: view.readAtMs === undefined ? null : isoTime(view.readAtMs),
    isDeleted: view.deletedAtMs !== undefined,
  };
}

export function conversationDto(summary: ConversationSummary): ConversationDto {
  const { lastMessage, otherId, presence, profile, unreadCount } = summary;
  const name = profile.name ?? otherId;
  const timestamp = isoTime(lastMessage.sentAtMs);
  return {
    id: otherId,
    userId: otherId,
    name,
    fullName: name,
    avatar: profile.avatarUrl ?? '',
    email: profile.email ?? '',
    role: profile.role ?? '',
    previewMessage: lastMessage.text,
    lastMessage: lastMessage.text,
    lastActive: timestamp,
    lastMessageTimestamp: timestamp,
    isActive: presence.online,
    isOnline: presence.online,
    isRead: unreadCount === 0,
    unreadCount,
  };
}

export function chatPreviewDto(summary: ConversationSummary): ChatPreviewDto {
  const { lastMessage, otherId, profile } = summary;
  return {
    fullName: profile.name ?? otherId,
    appUserId: otherId,
    email: profile.email ?? '',
    role: profile.role ?? '',
    lastMessage: lastMessage.text,
    lastMessageTimestamp: isoTime(lastMessage.sentAtMs),
  };
}

export function userDto(profile: UserProfile): UserDto {
  const fullName = profile.name?.trim() ?? '';
  const lastSpace = fullName.lastIndexOf(' ');
  return {
    id: profile.userId,
    fullName,
    firstName: lastSpace === -1 ? fullName : fullName.slice(0, lastSpace).trimEnd(),
    lastName: lastSpace === -1 ? '' : fullName.slice(lastSpace + 1),
    email: profile.email ?? '',
    role: profile.role ?? '',
    profileImage: profile.avatarUrl ?? '',
  };
}
