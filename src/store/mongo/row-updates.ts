/**
 * The updates of rows. All but one only raise numbers, so they may come in any order and twice. The exception closes a
 * row, and only if nothing that may be unread was announced since.
 */
import type { AnyBulkWriteOperation } from 'mongodb';
import type { Head } from './conversations.ts';
import type { RowDocument } from './documents.ts';
import { pairKey, peopleOf, type Side } from './keys.ts';
import type { PlannedMove } from './plan.ts';
import type { RowCursors } from './recent.ts';

type RowUpdate = AnyBulkWriteOperation<RowDocument>;

/** What is about to be stored in a conversation. */
export interface Announcement {
  readonly c: string;
  /** Time and seq of the newest message. */
  readonly at: number;
  readonly top: number;
  /** By who reads them: seq of the newest message to that person, if there is one. */
  readonly incoming: readonly [number | undefined, number | undefined];
  /** The newest message that is known to exist. */
  readonly head: Head;
}

const UNTOUCHED = { s: 0, at: 0, low: 0, received: 0, delivered: 0, read: 0 };

/** Makes the rows of both people, or raises their bounds. Must be durable before the messages are acknowledged. */
export function announce({ c, at, top, incoming, head }: Announcement): RowUpdate[] {
  return ([0, 1] as const).map((side) => {
    const own = incoming[side];
    const { s, at: headAt, low, ...cursors } = UNTOUCHED;
    // Time and count never fall along seq, so the highest of each are of the same message as the highest seq.
    const known = head.s > 0 ? { s: head.s, at: head.at, low: head.low } : undefined;
    return {
      updateOne: {
        filter: filterOf(c, side),
        update: {
          $max: { activity: at, top, ...known, ...(own !== undefined && { in: own }) },
          ...(own !== undefined && { $set: { open: true } }),
          $setOnInsert: {
            ...cursors,
            ...(known === undefined && { s, at: headAt, low }),
            ...(own === undefined && { in: 0, open: false }),
          },
        },
        upsert: true,
      },
    };
  });
}

/** Raises the lower bound in the row of one of the two: writers look at both. */
export function confirm(c: string, side: Side, { s, at, low }: Head): RowUpdate {
  return { updateOne: { filter: filterOf(c, side), update: { $max: { s, at, low } } } };
}

/** Moves the cursors of one person. */
export function raiseCursors(c: string, { side, cursors }: PlannedMove, head: Head): RowUpdate[] {
  const filter = filterOf(c, side);
  // The row is there, unless the writer of the first message died between the two rows.
  const missing = { activity: head.at, top: head.s, in: head.s, open: true, s: head.s, at: head.at, low: head.low };
  const raise: RowUpdate = {
    updateOne: { filter, update: { $max: { ...cursors }, $setOnInsert: missing }, upsert: true },
  };
  if (cursors.read === 0) return [raise];
  const close: RowUpdate = {
    updateOne: { filter: { ...filter, in: { $lte: cursors.read } }, update: { $set: { open: false } } },
  };
  return [raise, close];
}

/** Moves the cursors of one person if they are where they were, and closes the row if nothing came since. */
export function raiseIfUnmoved(c: string, { side, cursors }: PlannedMove, before: RowCursors) {
  const { delivered, in: incoming, read, received } = before;
  const closes = cursors.read > 0 && incoming <= cursors.read;
  return {
    filter: { ...filterOf(c, side), received, delivered, read, ...(closes && { in: { $lte: cursors.read } }) },
    update: { $max: { ...cursors }, ...(closes && { $set: { open: false } }) },
  };
}

function filterOf(c: string, side: Side) {
  const people = peopleOf(c);
  const [person, other] = side === 0 ? people : [people[1], people[0]];
  return { _id: pairKey(person, other), person, other };
}
