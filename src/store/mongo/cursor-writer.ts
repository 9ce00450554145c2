/** Carries out planned cursor moves: a document per move, and the rows raised. */
import type { AnyBulkWriteOperation } from 'mongodb';
import type { Collections } from './collections.ts';
import type { Head } from './conversations.ts';
import type { MoveDocument, RowDocument } from './documents.ts';
import { insertMissing, updateAll } from './failure.ts';
import { rowKey } from './keys.ts';
import type { PlannedMove } from './plan.ts';
import type { Recent } from './recent.ts';
import { raiseCursors } from './row-updates.ts';

/** A move of one conversation, and the newest message known there. */
export interface DueMove {
  readonly c: string;
  readonly move: PlannedMove;
  readonly head: Head;
}

export class CursorWriter {
  readonly #collections: Collections;
  readonly #recent: Recent;

  constructor(collections: Collections, recent: Recent) {
    this.#collections = collections;
    this.#recent = recent;
  }

  /** @param others further updates of rows, in the same command: two that touch the same rows would collide. */
  async write(moves: readonly DueMove[], others: readonly AnyBulkWriteOperation<RowDocument>[]): Promise<void> {
    // Of several moves of one cursor in the batch, the last raises the row as far as all.
    const last = new Map(moves.map((due) => [`${due.move.side}${due.c}`, due]));
    const raised = [...last.values()].flatMap(({ c, move, head }) => raiseCursors(c, move, head));
    // A move that is there already was made by an attempt that was not answered.
    await Promise.all([
      insertMissing(
        this.#collections.moves,
        moves.flatMap(({ c, move }) => moveDocuments(c, move)),
      ),
      updateAll(this.#collections.rows, [...others, ...raised]),
    ]);
    for (const { c, move } of last.values()) this.#recent.noteRaised(rowKey(c, move.side), move.cursors);
  }
}

export function moveDocuments(c: string, { atMs, cursors, side, tracks }: PlannedMove): MoveDocument[] {
  const row = rowKey(c, side);
  return tracks.map((k) => ({ _id: `${k}:${cursors[k]}:${row}`, row, k, to: cursors[k], at: atMs }));
}
