/**
 * Events as frames. The inside of a frame is made once per event object, however many streams it goes to; only the
 * position, which differs from user to user, is put around it for each.
 */
import type { Event as WireEvent } from '../../gen/carepro/chat/v1/events_pb.ts';
import type { ChatEvent, StreamPosition } from '../core/events.ts';
import { toMessage, toPosition, toPresence, toStatusOf, toTimestamp } from './convert.ts';

type Inside = WireEvent['event'];

interface Converted {
  readonly inside: Inside;
  /** Estimate of what the event costs to keep in a queue. */
  readonly bytes: number;
}

/** What a frame costs beside its texts: objects, ids, times. */
export const FRAME_BYTES = 300;

const converted = new WeakMap<ChatEvent, Converted>();

/** The event as one stream is told of it, and an estimate of its bytes. */
export function toEventFrame(
  event: ChatEvent,
  position: StreamPosition | undefined,
  replayed: boolean,
): { readonly event: WireEvent; readonly bytes: number } {
  let found = converted.get(event);
  if (found === undefined) {
    found = { inside: convert(event), bytes: estimate(event) };
    converted.set(event, found);
  }
  const frame: WireEvent = { $typeName: 'carepro.chat.v1.Event', replayed, event: found.inside };
  if (position !== undefined) frame.position = toPosition(position);
  return { event: frame, bytes: found.bytes };
}

function convert(event: ChatEvent): Inside {
  switch (event.type) {
    case 'messageSent':
      return {
        case: 'messageSent',
        value: {
          $typeName: 'carepro.chat.v1.MessageSent',
          message: toMessage(event.message),
          clientMessageId: event.clientMessageId ?? '',
        },
      };
    case 'messageRedacted':
      return {
        case: 'messageRedacted',
        value: {
          $typeName: 'carepro.chat.v1.MessageRedacted',
          message: toMessage(event.message),
          warning: event.warning,
        },
      };
    case 'statusAdvanced':
      return {
        case: 'statusAdvanced',
        value: {
          $typeName: 'carepro.chat.v1.StatusAdvanced',
          status: toStatusOf(event.status),
          readerId: event.readerId,
          senderId: event.senderId,
          upToSeq: event.upToSeq,
          messageIds: [...event.messageIds],
          at: toTimestamp(event.atMs),
        },
      };
    case 'conversationRead':
      return {
        case: 'conversationRead',
        value: {
          $typeName: 'carepro.chat.v1.ConversationRead',
          readerId: event.readerId,
          senderId: event.senderId,
          upToSeq: event.upToSeq,
          at: toTimestamp(event.atMs),
        },
      };
    case 'messageDeleted':
      return {
        case: 'messageDeleted',
        value: {
          $typeName: 'carepro.chat.v1.MessageDeleted',
          messageId: event.messageId,
          seq: event.seq,
          senderId: event.senderId,
          receiverId: event.receiverId,
          byUserId: event.byUserId,
          at: toTimestamp(event.atMs),
        },
      };
    case 'presenceChanged':
      return {
        case: 'presenceChanged',
        value: { $typeName: 'carepro.chat.v1.PresenceChanged', changes: event.changes.map(toPresence) },
      };
    case 'typing':
      return {
        case: 'typing',
        value: { $typeName: 'carepro.chat.v1.Typing', fromUserId: event.fromUserId, active: event.active },
      };
  }
}

function estimate(event: ChatEvent): number {
  switch (event.type) {
    case 'messageSent':
      return FRAME_BYTES + event.message.text.length * 2;
    case 'messageRedacted':
      return FRAME_BYTES + (event.message.text.length + event.warning.length) * 2;
    case 'statusAdvanced':
      return FRAME_BYTES + event.messageIds.length * 64;
    case 'presenceChanged':
      return FRAME_BYTES + event.changes.length * 128;
    case 'conversationRead':
    case 'messageDeleted':
    case 'typing':
      return FRAME_BYTES;
  }
}
