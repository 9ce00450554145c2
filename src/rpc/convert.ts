/**
 * Between the core's types and the generated ones. Messages are written as plain literals (a generated message of proto3
 * is one, with `$typeName`), which the compiler checks for completeness and which costs nothing beyond the object.
 */
import type { Duration, Timestamp } from '@bufbuild/protobuf/wkt';
import type {
  MarkDeliveredRequest,
  MarkReadRequest,
  SendMessageResponse,
} from '../../gen/carepro/chat/v1/chat_service_pb.ts';
import {
  type Conversation as WireConversation,
  type Message as WireMessage,
  MessageStatus as WireMessageStatus,
  type StreamPosition as WirePosition,
  type Presence as WirePresence,
  type UserProfile as WireProfile,
} from '../../gen/carepro/chat/v1/types_pb.ts';
import type { SendResult, UpTo } from '../core/chat.ts';
import { invalidField } from '../core/errors.ts';
import type { StreamPosition } from '../core/events.ts';
import { MAX_ID_LENGTH } from '../core/ids.ts';
import type { Message, MessageStatus, MessageView, Presence, UserProfile } from '../core/message.ts';
import type { ConversationSummary } from '../core/reader.ts';

export function toTimestamp(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  const nanos = Math.round(ms - seconds * 1000) * 1_000_000;
  return { $typeName: 'google.protobuf.Timestamp', seconds: BigInt(seconds), nanos };
}

export function toDuration(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  const nanos = Math.round(ms - seconds * 1000) * 1_000_000;
  return { $typeName: 'google.protobuf.Duration', seconds: BigInt(seconds), nanos };
}

const STATUSES: Readonly<Record<MessageStatus, WireMessageStatus>> = {
  sent: WireMessageStatus.SENT,
  delivered: WireMessageStatus.DELIVERED,
  read: WireMessageStatus.READ,
};

export function toStatusOf(status: MessageStatus): WireMessageStatus {
  return STATUSES[status];
}

/** A message as an event or an answer to its sender tells it: its status is not known there, so SENT. */
export function toMessage(message: Message): WireMessage {
  const wire: WireMessage = {
    $typeName: 'carepro.chat.v1.Message',
    id: message.id,
    seq: message.seq,
    senderId: message.senderId,
    receiverId: message.receiverId,
    text: message.text,
    sentAt: toTimestamp(message.sentAtMs),
    status: WireMessageStatus.SENT,
  };
  if (message.deletedAtMs !== undefined) wire.deletedAt = toTimestamp(message.deletedAtMs);
  return wire;
}

export function toMessageView(view: MessageView): WireMessage {
  const wire = toMessage(view);
  wire.status = STATUSES[view.status];
  if (view.deliveredAtMs !== undefined) wire.deliveredAt = toTimestamp(view.deliveredAtMs);
  if (view.readAtMs !== undefined) wire.readAt = toTimestamp(view.readAtMs);
  return wire;
}

export function toPresence(presence: Presence): WirePresence {
  const wire: WirePresence = {
    $typeName: 'carepro.chat.v1.Presence',
    userId: presence.userId,
    online: presence.online,
  };
  if (presence.lastSeenMs !== undefined) wire.lastSeen = toTimestamp(presence.lastSeenMs);
  return wire;
}

export function toProfile(profile: UserProfile): WireProfile {
  return {
    $typeName: 'carepro.chat.v1.UserProfile',
    userId: profile.userId,
    name: profile.name ?? '',
    email: profile.email ?? '',
    avatarUrl: profile.avatarUrl ?? '',
    role: profile.role ?? '',
  };
}

/** Empty fields are absent: they leave what is known as it is. */
export function fromProfile(wire: WireProfile): UserProfile {
  return {
    userId: wire.userId,
    ...(wire.name !== '' && { name: wire.name }),
    ...(wire.email !== '' && { email: wire.email }),
    ...(wire.avatarUrl !== '' && { avatarUrl: wire.avatarUrl }),
    ...(wire.role !== '' && { role: wire.role }),
  };
}

export function toConversation(summary: ConversationSummary): WireConversation {
  return {
    $typeName: 'carepro.chat.v1.Conversation',
    otherUserId: summary.otherId,
    otherUser: toProfile(summary.profile),
    otherPresence: toPresence(summary.presence),
    lastMessage: toMessageView(summary.lastMessage),
    unreadCount: summary.unreadCount,
    ownDeliveredSeq: summary.own.delivered,
    ownReadSeq: summary.own.read,
    otherDeliveredSeq: summary.other.delivered,
    otherReadSeq: summary.other.read,
  };
}

export function toPosition(position: StreamPosition): WirePosition {
  return {
    $typeName: 'carepro.chat.v1.StreamPosition',
    epoch: position.epoch,
    offset: BigInt(position.offset),
  };
}

/** @throws ChatError `invalidArgument` if it cannot be a position that the server gave. */
export function fromPosition(wire: WirePosition | undefined): StreamPosition | undefined {
  if (wire === undefined || wire.epoch === '') return undefined;
  if (wire.epoch.length > MAX_ID_LENGTH) {
    throw invalidField('position.epoch', `must not be longer than ${MAX_ID_LENGTH} characters`);
  }
  if (wire.offset > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw invalidField('position.offset', 'must be an offset that the server gave');
  }
  return { epoch: wire.epoch, offset: Number(wire.offset) };
}

export function toSendResponse(result: SendResult): SendMessageResponse {
  return {
    $typeName: 'carepro.chat.v1.SendMessageResponse',
    message: toMessage(result.message),
    duplicate: result.duplicate,
    redactionWarning: result.warning ?? '',
  };
}

/** @throws ChatError `invalidArgument` if neither of the two is set. */
export function fromUpTo(upTo: MarkDeliveredRequest['upTo'] | MarkReadRequest['upTo']): UpTo {
  switch (upTo.case) {
    case 'messageId':
      return { messageId: upTo.value };
    case 'otherUserId':
      return { otherUserId: upTo.value };
    case undefined:
      throw invalidField('up_to', 'must name a message or the other user');
  }
}
