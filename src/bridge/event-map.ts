/**
 * Core events as the hub invocations that the page listens to, and who of the two people gets them.
 *
 * An event object is the same for every session of a fan-out, one after the other, so remembering the last one is all it
 * takes to encode each event once.
 */
import type { ChatEvent, StatusAdvanced } from '../core/events.ts';
import { isoTime } from './dto.ts';
import { type SharedInvocation, sharedInvocation } from './signalr/hub/shared-invocation.ts';

const NOTHING: readonly SharedInvocation[] = [];

/** Whether the hub connections of `userId` are told of `event`. */
export function isForUser(event: ChatEvent, userId: string): boolean {
  switch (event.type) {
    case 'messageSent':
      // Not to the sender: the page shows every ReceiveMessage in whichever chat is open.
      return event.message.receiverId === userId;
    case 'messageRedacted':
      return event.message.senderId === userId;
    case 'statusAdvanced':
    case 'conversationRead':
      return event.senderId === userId;
    case 'messageDeleted':
    case 'presenceChanged':
      return true;
    case 'typing':
      return false;
  }
}

/** The invocations of an event, in the order in which they are sent. */
export function invocationsOf(event: ChatEvent): readonly SharedInvocation[] {
  switch (event.type) {
    case 'messageSent': {
      const { id, senderId, text } = event.message;
      return [sharedInvocation('ReceiveMessage', [senderId, text, id, 'sent'])];
    }
    case 'messageRedacted': {
      const { id, text } = event.message;
      return [sharedInvocation('MessageRedacted', [id, text, event.warning])];
    }
    case 'statusAdvanced':
      return statusInvocations(event);
    case 'conversationRead':
      return [sharedInvocation('AllMessagesRead', [event.readerId, isoTime(event.atMs)])];
    case 'messageDeleted': {
      const { byUserId, messageId, receiverId, senderId } = event;
      const otherId = byUserId === senderId ? receiverId : senderId;
      return [sharedInvocation('MessageDeleted', [messageId, byUserId, otherId])];
    }
    case 'presenceChanged':
      return event.changes.map(({ userId, online }) =>
        sharedInvocation('UserStatusChanged', [userId, online ? 'Online' : 'Offline']),
      );
    case 'typing':
      return NOTHING;
  }
}

/** Each message twice: one event for clients that show a status, one that makes the page drop its history cache. */
function statusInvocations(event: StatusAdvanced): SharedInvocation[] {
  const { readerId, senderId, status } = event;
  const target = status === 'read' ? 'MessageRead' : 'MessageDelivered';
  const timestamp = isoTime(event.atMs);
  return event.messageIds.flatMap((messageId) => [
    sharedInvocation('MessageStatusChanged', [messageId, status]),
    sharedInvocation(target, [messageId, timestamp, readerId, senderId]),
  ]);
}

/** Remembers the invocations of the last event. One for all connections of a hub. */
export class EventEncoder {
  #event: ChatEvent | undefined;
  #invocations: readonly SharedInvocation[] = NOTHING;

  /** As `invocationsOf`; repeated calls for the same event object give the same invocations. */
  encode(event: ChatEvent): readonly SharedInvocation[] {
    if (event !== this.#event) {
      this.#invocations = invocationsOf(event);
      this.#event = event;
    }
    return this.#invocations;
  }
}
