/**
 * A conversation in the writer's memory and the rules that move it. Pure: the table is conversation-table.ts.
 *
 * Invariant: in each side `0 <= read <= delivered <= received <= lastSeq`, and none of them ever falls.
 */
import type { CursorKind, Cursors } from '../../core/message.ts';
import { encodeMove, trackOf } from './move-log.ts';

/** Index of a person in a conversation: 0 = low, the one with the smaller key. */
export type SideIndex = 0 | 1;

export interface Person {
  readonly key: number;
  readonly id: string;
}

/** What one person has in a conversation. */
export interface Side {
  readonly person: Person;
  /** Seq of the person's own newest message. */
  sent: number;
  received: number;
  delivered: number;
  read: number;
  /** Place in the person's list; 0 = not in it. */
  activity: number;
  /** Whether the `unread` table holds the conversation for this person. */
  inUnread: boolean;
}

/** A recent message, to answer which messages a move passed without reading them again. */
export interface RecentMessage {
  readonly seq: number;
  readonly id: string;
  readonly sender: SideIndex;
  deleted: boolean;
}

export interface Conversation {
  readonly key: number;
  readonly sides: readonly [Side, Side];
  lastSeq: number;
  lastAtMs: number;
  /** Messages of the low person; the high person's are the rest. */
  lowCount: number;
  /** Recent moves, encoded (move-log.ts), and how many. */
  moves: string;
  moveCount: number;
  /** Every message above `recentAfter`, oldest first. */
  recent: RecentMessage[];
  recentAfter: number;
  /** False until the row exists. */
  stored: boolean;
}

const RECENT_KEPT = 16;

export function cursorsOf(side: Side): Cursors {
  return { received: side.received, delivered: side.delivered, read: side.read };
}

export function isUnread(conversation: Conversation, side: SideIndex): boolean {
  return conversation.sides[side === 0 ? 1 : 0].sent > conversation.sides[side].read;
}

/** Takes note of a message that was stored at `lastSeq + 1`. */
export function noteAppended(conversation: Conversation, sender: SideIndex, id: string, atMs: number): void {
  conversation.lastSeq += 1;
  conversation.lastAtMs = atMs;
  if (sender === 0) conversation.lowCount += 1;
  conversation.sides[sender].sent = conversation.lastSeq;
  conversation.recent.push({ seq: conversation.lastSeq, id, sender, deleted: false });
  if (conversation.recent.length > 2 * RECENT_KEPT) {
    conversation.recent = conversation.recent.slice(-RECENT_KEPT);
    conversation.recentAfter = conversation.lastSeq - RECENT_KEPT;
  }
}

export function noteDeleted(conversation: Conversation, seq: number): void {
  const message = conversation.recent[seq - conversation.recentAfter - 1];
  if (message !== undefined) message.deleted = true;
}

/** Moves one cursor up to `toSeq` (not past the last), and the weaker ones along. Answers whether anything moved. */
export function moveCursor(
  conversation: Conversation,
  sideIndex: SideIndex,
  kind: CursorKind,
  toSeq: number,
  atMs: number,
): boolean {
  const side = conversation.sides[sideIndex];
  const target = Math.min(toSeq, conversation.lastSeq);
  if (target <= side[kind]) return false;
  if (kind === 'read') {
    side.read = target;
    logMove(conversation, encodeMove(trackOf(sideIndex, 'read'), target, atMs));
  }
  if (kind !== 'received' && target > side.delivered) {
    side.delivered = target;
    logMove(conversation, encodeMove(trackOf(sideIndex, 'delivered'), target, atMs));
  }
  if (target > side.received) side.received = target;
  return true;
}

function logMove(conversation: Conversation, encoded: string): void {
  conversation.moves += encoded;
  conversation.moveCount += 1;
}
