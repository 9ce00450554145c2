/**
 * Ports owned by the core, each with the guarantees its adapters must give; the contract suites in test/contract hold
 * every adapter to them. Nothing here names a driver or a transport.
 */
import type { MessageDeleted, MessageSent, StreamEvent, StreamPosition, TransientEvent } from './events.ts';
import type { ConversationView, CursorKind, Cursors, Message, MessageView, Presence, UserProfile } from './message.ts';

/* ---------- MessageStore ---------- */

/** Stores a new message. */
export interface AppendOp {
  readonly type: 'append';
  /** Id for the message if it is new. */
  readonly id: string;
  readonly senderId: string;
  readonly receiverId: string;
  readonly text: string;
  readonly atMs: number;
  /** Unique per sender for ever; with `digest` it makes a retry return the first result. */
  readonly clientMessageId?: string;
  /** Digest of what the client asked for (receiver and original text); a retry must carry the same. */
  readonly digest?: string;
  /** True for a send that carries no client id and may be repeated by another door (see `findSendWithoutId`). */
  readonly withoutId?: boolean;
}

/** Moves one person's cursor in the conversation with `otherId`, by maximum, at most to the last seq. */
export interface AdvanceOp {
  readonly type: 'advance';
  readonly personId: string;
  readonly otherId: string;
  readonly kind: CursorKind;
  /** Target; `Number.MAX_SAFE_INTEGER` means the end of the conversation. */
  readonly toSeq: number;
  /**
   * If set, the cursor moves only if no living message of the other person lies above it and below this seq: evidence
   * that starts there then leaves no hole.
   */
  readonly withoutHoleBelow?: number;
  readonly atMs: number;
}

/** Turns a message into a tombstone. */
export interface DeleteOp {
  readonly type: 'delete';
  readonly messageId: string;
  readonly atMs: number;
}

/** Binds a further client id to a message that exists, so that later retries under it find that message. */
export interface BindOp {
  readonly type: 'bind';
  readonly senderId: string;
  readonly clientMessageId: string;
  readonly digest: string;
  readonly messageId: string;
}

export type WriteOp = AppendOp | AdvanceOp | DeleteOp | BindOp;

/** The message as stored. `duplicate` = a retry: the first message is returned, nothing was written. */
export interface Appended {
  readonly type: 'appended';
  readonly message: Message;
  readonly duplicate: boolean;
}

/** The client id was used before for something else (another digest). */
export interface Conflict {
  readonly type: 'conflict';
}

/** Where the cursors were and are. */
export interface Advanced {
  readonly type: 'advanced';
  readonly previous: Cursors;
  readonly current: Cursors;
  /**
   * For `delivered` and `read`: the other person's living messages that the named cursor passed, oldest first.
   * Bounded by `MAX_PASSED_PER_MOVE`: a longer move stops there and says `more`; the caller repeats it.
   */
  readonly passed: readonly { readonly id: string; readonly seq: number }[];
  readonly more: boolean;
}

/** The message as it was before deletion; `alreadyDeleted` = nothing changed. */
export interface Deleted {
  readonly type: 'deleted';
  readonly message: Message;
  readonly alreadyDeleted: boolean;
}

export interface Bound {
  readonly type: 'bound';
}

/** No such message, or (for advance) no such conversation. */
export interface Missing {
  readonly type: 'missing';
}

/** This one item failed; the others of the batch did not. Nothing of it was written. */
export interface Failed {
  readonly type: 'failed';
  readonly error: Error;
}

/** Outcome of each kind of write. */
export interface OutcomeOf {
  append: Appended | Conflict | Failed;
  advance: Advanced | Missing | Failed;
  delete: Deleted | Missing | Failed;
  bind: Bound | Conflict | Missing | Failed;
}

export type WriteOutcome = OutcomeOf[keyof OutcomeOf];

/** Most messages that one advance passes. */
export const MAX_PASSED_PER_MOVE = 1000;

/** Newest first, before `beforeSeq`; or oldest first, after `afterSeq`. Answers are always oldest first. */
export type MessageRange =
  | { readonly beforeSeq?: number; readonly skip?: number; readonly limit: number }
  | { readonly afterSeq: number; readonly limit: number };

/** Place in a user's conversation list, as an adapter wrote it; opaque. */
export type ConversationCursor = string;

/** Where a replay goes on: after this message. */
export interface ReplayCursor {
  readonly sentAtMs: number;
  readonly senderId: string;
  readonly seq: number;
}

/** Which messages are pending for a person, and which page of them. */
export interface PendingPage {
  /** Messages above this cursor of each conversation are pending. */
  readonly above: CursorKind;
  /** If set, so are messages that were sent at this time or later, whatever the cursors say. */
  readonly orSentSinceMs?: number;
  readonly after?: ReplayCursor;
  readonly limit: number;
}

/**
 * Keeps messages, conversations and cursors.
 *
 * Guarantees: (1) `write` resolves only when everything in it is durable (survives SIGKILL and power loss), in one
 * commit if the engine can, and its outcomes stand in the order of the operations; one bad item fails alone. (2) `seq`
 * is 1, 2, 3… per conversation under any concurrency, and `sentAtMs` never decreases along it. (3) A client id is
 * unique per sender for ever, also within one batch. (4) Cursors move only up and never pass the last seq. (5) Reads
 * see every write that was acknowledged before they began. (6) Failures reject with an Error and leave nothing half
 * written; the adapter recovers by itself once the cause is gone.
 */
export interface MessageStore {
  write(operations: readonly WriteOp[]): Promise<WriteOutcome[]>;
  findMessage(id: string): Promise<Message | undefined>;
  /** Messages between two people with statuses, oldest first; empty for strangers. */
  listMessages(userId: string, otherId: string, range: MessageRange): Promise<MessageView[]>;
  findConversation(userId: string, otherId: string): Promise<ConversationView | undefined>;
  /** A user's conversations, newest activity first. Costs one page, whatever the total. */
  listConversations(
    userId: string,
    page: { readonly after?: ConversationCursor; readonly limit: number },
  ): Promise<{ readonly conversations: ConversationView[]; readonly next?: ConversationCursor }>;
  /** Unread counts of the conversations that have any, in no promised order. */
  unreadCounts(userId: string): Promise<{ readonly otherId: string; readonly count: number }[]>;
  /**
   * Living messages to `userId` that lie above the named cursor of their conversation or were sent since
   * `orSentSinceMs`, each once though both hold; ordered by `sentAtMs`, sender and seq (so in order within each
   * conversation), at most `limit`, after `after`. One call sees one state of the store: no message without those that
   * were committed before it. A time is as good as the clock that gave it: where the clock was set back by more than a
   * minute meanwhile, messages below the cursor may be left out.
   */
  listPending(userId: string, page: PendingPage): Promise<Message[]>;
  /** Ids of everybody `userId` has a conversation with, at most `limit`, most recent first. */
  listPartners(userId: string, limit: number): Promise<string[]>;
  /**
   * The newest message of that sender, receiver and text that was appended with `withoutId` between the two times
   * (inclusive), or undefined.
   */
  findSendWithoutId(query: {
    readonly senderId: string;
    readonly receiverId: string;
    readonly text: string;
    readonly fromMs: number;
    readonly toMs: number;
  }): Promise<Message | undefined>;
  /**
   * Told, where a user is connected, of what the event log brings of stored messages, maybe of another instance's. Spares
   * looks and changes no answer; absent where there is nothing to spare.
   */
  noteEvent?(event: MessageSent | MessageDeleted): void;
}

/* ---------- UserDirectory ---------- */

/** Keeps user profiles. `upsert` is durable when it resolves and replaces only the fields it carries. */
export interface UserDirectory {
  find(userIds: readonly string[]): Promise<Map<string, UserProfile>>;
  upsert(profile: UserProfile): Promise<void>;
}

/* ---------- PresenceStore ---------- */

/** A connection began or ended. */
export type PresenceWrite =
  | { readonly type: 'connected'; readonly connectionId: string; readonly userId: string; readonly atMs: number }
  | {
      readonly type: 'disconnected';
      readonly connectionId: string;
      readonly userId: string;
      readonly atMs: number;
      /** Until then the ended connection still counts as online (the grace of a reload). */
      readonly lingerUntilMs: number;
    };

/**
 * Keeps who is connected, as rows owned by instances with leases; never counters.
 *
 * Online at `nowMs` means: a connection row whose instance's lease has not run out and whose linger time, if it ended,
 * has not passed. Guarantees: `apply` is atomic and answers, per item, whether the user was offline immediately before
 * it (for `connected`). `sweep` removes rows that count no longer and answers the users who have none left, each to
 * exactly one caller, once per time they go offline. `connected` may come again for a connection that is known (its row
 * stays or is replaced) or was swept (it counts again); `disconnected` of an unknown connection changes nothing.
 */
export interface PresenceStore {
  /**
   * Answers true if another instance has found the lease run out since the last renewal: the connections of this one may
   * have been swept, whatever its own clock says.
   */
  renewLease(instanceId: string, untilMs: number): Promise<boolean>;
  apply(
    instanceId: string,
    writes: readonly PresenceWrite[],
    nowMs: number,
  ): Promise<{ readonly wasOffline: boolean }[]>;
  find(userIds: readonly string[], nowMs: number): Promise<Map<string, Presence>>;
  /** Online users in order of id, after `after`. */
  listOnline(page: { readonly after?: string; readonly limit: number }, nowMs: number): Promise<string[]>;
  sweep(nowMs: number): Promise<Presence[]>;
  /**
   * Everybody has been told that these users are offline. Of whom this is not said, another sweep tells again after a while, so
   * that an instance that dies after its sweep leaves nobody Online for watchers. Absent where no other instance could.
   */
  confirmTold?(userIds: readonly string[]): Promise<void>;
  /** When any instance last renewed its lease before `instanceId` first did; undefined on a new store. */
  previousSignOfLife(instanceId: string): Promise<number | undefined>;
}

/* ---------- Broker ---------- */

/** One event of a user's stream with its place. */
export interface StreamEntry {
  readonly position: StreamPosition;
  readonly event: StreamEvent;
}

/** An event for a user's stream. */
export interface AppendEntry {
  readonly userId: string;
  readonly event: StreamEvent;
  /**
   * For an event that follows on others (a message, a deletion, a move of a cursor): it was looked up in the store that the
   * stream lacks nothing between this seq and its own. Absent: it follows on the one before its own, or on its `fromSeq`.
   */
  readonly afterSeq?: number;
}

/**
 * What an append left out of one user's stream, because it does not follow on what is there: another instance has committed
 * what comes between and has not published it (yet, or never), or has overtaken this one.
 */
export interface StreamGap {
  readonly userId: string;
  /** In their order; the first is the one that does not follow. */
  readonly entries: readonly AppendEntry[];
  /** The seq that the stream has come to; absent: the broker does not know. */
  readonly afterSeq?: number;
}

/** What a subscriber of one user's stream is told; calls come in stream order. */
export interface StreamListener {
  onEntry(entry: StreamEntry): void;
  onTransient(event: TransientEvent): void;
  /** The broker may have lost events of this stream: read again since the last position. */
  onDoubt(): void;
}

export interface History {
  /** Events after the asked position, in order, without gaps; empty if `complete` is false. */
  readonly entries: readonly StreamEntry[];
  /** True if the entries are everything that happened since the position, up to `top`. */
  readonly complete: boolean;
  /** The newest position of the stream. */
  readonly top: StreamPosition;
}

/**
 * Keeps each user's event log for a while and carries events between instances.
 *
 * Guarantees: append to the log and publish to the subscribers are one atomic step per user; offsets are 1, 2, 3… within
 * an epoch; an epoch exists from the first read or append on; a subscription that has resolved misses nothing that is
 * appended later, or says `onDoubt`; appends of one call and of successive calls keep their order per user. A broker that
 * several instances share also keeps the messages of a conversation in the order of their seq, each once per stream and none
 * after its deletion, and the moves of a cursor in their order: what is there already is passed over, and what does not follow
 * is left out, with the rest of that stream, and answered.
 */
export interface Broker {
  append(entries: readonly AppendEntry[]): Promise<readonly StreamGap[]>;
  /**
   * Which streams fail together: an append for users of one number may be refused while those of another are taken. Depends on
   * the id alone. Absent: all fail together.
   */
  laneOf?(userId: string): number;
  /** To the subscribers of one user, on every instance; not kept. */
  publishToUser(userId: string, event: TransientEvent): Promise<void>;
  /** To every instance's `onBroadcast`; not kept. `audience`: only for these users; absent = for everybody. */
  broadcast(event: TransientEvent, audience?: readonly string[]): Promise<void>;
  /** Resolves when live. The returned function ends the subscription. */
  subscribe(userId: string, listener: StreamListener): Promise<() => void>;
  /** @param onDeaf broadcasts of the last so many milliseconds may have been missed here, and are heard again. */
  onBroadcast(
    listener: (event: TransientEvent, audience: readonly string[] | undefined) => void,
    onDeaf?: (deafMs: number) => void,
  ): () => void;
  /** History after `position`; incomplete if it is longer than `limit`, was trimmed, or belongs to another epoch. */
  readSince(userId: string, position: StreamPosition, limit: number): Promise<History>;
  top(userId: string): Promise<StreamPosition>;
  /**
   * Begins a new epoch for each of these users, for events that will never be appended: every subscriber on every
   * instance is told to doubt, and no position given before proves anything.
   */
  endEpochs(userIds: readonly string[]): Promise<void>;
}

/* ---------- MessagePolicy ---------- */

/** Decides about a text before it is stored: pass it, or change it with a warning to the sender. */
export interface MessagePolicy {
  review(message: { readonly senderId: string; readonly receiverId: string; readonly text: string }): {
    readonly text: string;
    /** Present if the text was changed. */
    readonly warning?: string;
  };
}
