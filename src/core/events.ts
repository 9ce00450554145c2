/**
 * What happens to a user: the entries of the user's stream, and transient signals that are not worth remembering.
 *
 * The same event object is handed to every session of a fan-out, so that a door can encode it once and recognise it by
 * identity.
 */
import type { Message, Presence } from './message.ts';

/** A message was committed. Goes to the receiver's stream and to the sender's (whose typed streams show it). */
export interface MessageSent {
  readonly type: 'messageSent';
  readonly message: Message;
  /** The sender's clientMessageId, for the sender's own devices to match it; absent if there was none. */
  readonly clientMessageId?: string;
}

/** A policy changed the text of a message. Goes to the sender. */
export interface MessageRedacted {
  readonly type: 'messageRedacted';
  readonly message: Message;
  /** Why, in words for the sender. */
  readonly warning: string;
}

/** A reader's visible cursor passed messages. Goes to the sender of those messages and to the reader. */
export interface StatusAdvanced {
  readonly type: 'statusAdvanced';
  readonly status: 'delivered' | 'read';
  /** Who acknowledged. */
  readonly readerId: string;
  /** Whose messages were acknowledged. */
  readonly senderId: string;
  /** Where the cursor was before, for what keeps moves in their order; absent if that is not known. */
  readonly fromSeq?: number;
  /** The cursor now; every message of `senderId` up to it has at least this status. */
  readonly upToSeq: number;
  /** The messages that this move passed, oldest first, tombstones left out; at most `MAX_PASSED_PER_EVENT`. */
  readonly messageIds: readonly string[];
  readonly atMs: number;
}

/** The reader marked the whole conversation read. Follows the `StatusAdvanced` of the same move; same audience. */
export interface ConversationRead {
  readonly type: 'conversationRead';
  readonly readerId: string;
  readonly senderId: string;
  readonly upToSeq: number;
  readonly atMs: number;
}

/** A message became a tombstone. Goes to both people. */
export interface MessageDeleted {
  readonly type: 'messageDeleted';
  readonly messageId: string;
  readonly seq: number;
  readonly senderId: string;
  readonly receiverId: string;
  readonly byUserId: string;
  readonly atMs: number;
}

/** Kept in the stream's history and resumable. */
export type StreamEvent = MessageSent | MessageRedacted | StatusAdvanced | ConversationRead | MessageDeleted;

/** Users came online or went offline; one event for all changes of one announcement. */
export interface PresenceChanged {
  readonly type: 'presenceChanged';
  /**
   * From instance to instance, without changes: who announced any within so many milliseconds is asked to do it again, for an instance
   * that could not hear. Not for sessions.
   */
  readonly repeatLastMs?: number;
  readonly changes: readonly Presence[];
}

/** Somebody is writing to the receiver, or stopped. */
export interface Typing {
  readonly type: 'typing';
  readonly fromUserId: string;
  readonly toUserId: string;
  readonly active: boolean;
}

/** Delivered to whoever is connected now, then forgotten. */
export type TransientEvent = PresenceChanged | Typing;

export type ChatEvent = StreamEvent | TransientEvent;

/** A place in one user's stream. An empty epoch matches no stream: it stands for "not provable". */
export interface StreamPosition {
  /** Lifetime of the stream; another epoch means that history was lost. */
  readonly epoch: string;
  /** Number of the last event seen, from 1; 0 = before the first. */
  readonly offset: number;
}

/** Most message ids in one `StatusAdvanced`; a longer move becomes several events. */
export const MAX_PASSED_PER_EVENT = 500;
