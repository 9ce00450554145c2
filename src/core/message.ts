/**
 * What a message, a conversation and a cursor are (see docs/architecture.md, "Truths about messages").
 *
 * Messages are immutable and totally ordered in their conversation by `seq`. Their status is derived from the two
 * visible cursors of the receiver; nothing is kept per message.
 */

/** A message between two people. After deletion it is a tombstone: it keeps its `seq`, `text` is empty. */
export interface Message {
  /** Opaque, at most 128 characters; UUIDv7 for messages this server made, 24 hex digits for migrated ones. */
  readonly id: string;
  /** Place in the conversation, from 1, given by the store; the same order for every reader. */
  readonly seq: number;
  readonly senderId: string;
  readonly receiverId: string;
  /** The text as delivered (after the message policy). Empty for a tombstone. */
  readonly text: string;
  /** When the store took it, milliseconds since the Unix epoch; never decreases along `seq`. */
  readonly sentAtMs: number;
  /** When it was deleted; absent for a living message. */
  readonly deletedAtMs?: number;
}

export type MessageStatus = 'sent' | 'delivered' | 'read';

/** A message with what its receiver's cursors say of it. */
export interface MessageView extends Message {
  readonly status: MessageStatus;
  /** When the receiver's delivered cursor passed it; absent while the status is `sent`. */
  readonly deliveredAtMs?: number;
  /** When the receiver's read cursor passed it; absent unless the status is `read`. */
  readonly readAtMs?: number;
}

/**
 * One person's marks in one conversation, each a `seq` (0 = nothing): `0 <= read <= delivered <= received <= last seq`.
 * `received` is internal: evidence that a device of the person has everything up to it.
 */
export interface Cursors {
  readonly received: number;
  readonly delivered: number;
  readonly read: number;
}

/** The cursor a move is about. Moving one moves the weaker ones along: read implies delivered implies received. */
export type CursorKind = keyof Cursors;

/** A conversation as one of its two people sees it. */
export interface ConversationView {
  /** The other person. */
  readonly otherId: string;
  /** The newest message, tombstones included. */
  readonly lastMessage: MessageView;
  /** Messages of the other person above the own read cursor, tombstones not counted. */
  readonly unreadCount: number;
  /** The own cursors. */
  readonly own: Cursors;
  /** The other person's cursors. */
  readonly other: Cursors;
}

/** What is known of a user, from token claims or from the typed API. Absent means unknown. */
export interface UserProfile {
  readonly userId: string;
  readonly name?: string;
  readonly email?: string;
  readonly avatarUrl?: string;
  /** The role as its source wrote it: Client, Caregiver, Admin… For display only, it grants nothing. */
  readonly role?: string;
}

/** Whether a user is reachable. */
export interface Presence {
  readonly userId: string;
  readonly online: boolean;
  /** When the last connection ended; absent if never seen, or while online for the first time. */
  readonly lastSeenMs?: number;
}
