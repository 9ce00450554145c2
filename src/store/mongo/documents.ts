/**
 * The documents of each collection. Names are short where there is a document per message; numbers are milliseconds
 * since the Unix epoch for times and the `seq` of the core for places.
 */
import type { Message } from '../../core/message.ts';
import { peopleOf, type Side } from './keys.ts';

/** A message. Never changed but once, by its deletion. */
export interface MessageDocument {
  /** The message's id. */
  readonly _id: string;
  /** Key of the conversation. */
  readonly c: string;
  /** The place in it. */
  readonly s: number;
  /** Who of the two sent it. */
  readonly f: Side;
  /** The how-manieth of its sender in this conversation it is. */
  readonly n: number;
  readonly at: number;
  /** The text; empty after deletion. */
  readonly t: string;
  /** Present if it was sent without a client id. */
  readonly w?: true;
  /** When it was deleted. */
  readonly del?: number;
}

/** In which conversation a message is: keeps ids unique in the whole store, and finds a message on its shard. */
export interface PlaceDocument {
  readonly _id: string;
  readonly c: string;
  /** Key of the client id it was sent under, if there was one. */
  readonly k?: string;
}

/** A client id that was used. It names its message for ever, also before that message is stored. */
export interface ClientIdDocument {
  /** Pair key of sender and client id. */
  readonly _id: string;
  /** Id of the message. */
  readonly m: string;
  readonly c: string;
  /** Digest of what was asked. */
  readonly d: string;
}

/** A conversation as one of its two people has it: their cursors, and where to look for the rest. */
export interface RowDocument {
  /** Pair key of person and other. */
  readonly _id: string;
  readonly person: string;
  readonly other: string;
  /** Time of the newest message, or later if one failed. */
  readonly activity: number;
  /** Seq of the newest message, or more: nothing lies above it. */
  readonly top: number;
  /** Seq of the newest message of the other person, or more: nothing of them lies above it. */
  readonly in: number;
  /** True while something of the other person may lie above `read`. */
  readonly open: boolean;
  /** Seq of a message that exists: the newest is this one or above. With its time and the low person's count there. */
  readonly s: number;
  readonly at: number;
  readonly low: number;
  readonly received: number;
  readonly delivered: number;
  readonly read: number;
}

export type Track = 'delivered' | 'read';

/** One move of a visible cursor. */
export interface MoveDocument {
  readonly _id: string;
  /** Key of the person's row. */
  readonly row: string;
  readonly k: Track;
  readonly to: number;
  readonly at: number;
}

/** A deleted message, to count without reading messages. */
export interface TombstoneDocument {
  readonly _id: string;
  readonly c: string;
  readonly f: Side;
  readonly s: number;
}

/** A batch that is being written and told: what it may leave half done if its instance dies. */
export interface JournalDocument {
  readonly _id: string;
  /** Id of the instance, as in its lease. */
  readonly by: string;
  readonly at: number;
  /** Keys of the conversations. */
  readonly cs: readonly string[];
  /** Id of the message that is being deleted, if that is what is written. */
  readonly del?: string;
}

export function toMessage(document: MessageDocument): Message {
  const people = peopleOf(document.c);
  return {
    id: document._id,
    seq: document.s,
    senderId: people[document.f],
    receiverId: people[document.f === 0 ? 1 : 0],
    text: document.t,
    sentAtMs: document.at,
    ...(document.del !== undefined && { deletedAtMs: document.del }),
  };
}
