/**
 * Cursor moves in one round trip: planned from what this instance remembers, and carried out only where the row still says
 * so. A person's row is mostly as it was left here, because the device that acknowledges stays with its instance. Where it
 * is not, nothing moves, and the way by reading follows.
 */
import type { AdvanceOp } from '../../core/ports.ts';
import type { Collections } from './collections.ts';
import type { Conversations, Head } from './conversations.ts';
import { moveDocuments } from './cursor-writer.ts';
import { insertAll } from './failure.ts';
import { otherSide, rowKey, type Side, sideOf } from './keys.ts';
import { type LivingReader, rangesOf } from './living-reader.ts';
import { type Item, type Living, type PlannedMove, planSteps, type Step } from './plan.ts';
import type { Recent, RowCursors } from './recent.ts';
import { raiseIfUnmoved } from './row-updates.ts';

/** Rows are checked in a command each: with more, reading them first costs less. */
const MOST_ROWS = 8;
const NOTHING: Living = { messages: [], upTo: 0 };

interface QuickMove {
  readonly c: string;
  readonly side: Side;
  readonly row: RowCursors;
  readonly steps: readonly Step[];
  /** The last of the moves, which goes as far as all. */
  readonly move: PlannedMove;
}

export interface QuickMovesParts {
  readonly collections: Collections;
  readonly conversations: Conversations;
  readonly living: LivingReader;
  readonly recent: Recent;
}

export class QuickMoves {
  readonly #parts: QuickMovesParts;

  constructor(parts: QuickMovesParts) {
    this.#parts = parts;
  }

  /** Gives their outcome to the items whose rows were as remembered; touches no others. */
  async try(items: readonly Item[]): Promise<void> {
    const groups = Map.groupBy(items, ({ c, operation }) => `${sideOfMove(operation as AdvanceOp)}${c}`);
    if (groups.size > MOST_ROWS) return;
    const moves = [...groups.values()].flatMap((own) => this.#plan(own) ?? []);
    if (moves.length === 0) return;
    const { collections, recent } = this.#parts;
    const documents = moves.flatMap(({ c, steps }) =>
      steps.flatMap(({ move }) => (move ? moveDocuments(c, move) : [])),
    );
    const [inserted, ...moved] = await Promise.all([
      insertAll(collections.moves, documents),
      ...moves.map(async ({ c, row, move }) => {
        const { filter, update } = raiseIfUnmoved(c, move, row);
        return (await collections.rows.updateOne(filter, update)).matchedCount === 1;
      }),
    ]);
    for (const failure of inserted.failed.values()) if (failure !== true) throw failure;
    const refused = moves.filter((_, index) => moved[index] !== true);
    for (const { c, move, side, steps } of moves.filter((quick) => !refused.includes(quick))) {
      recent.noteRaised(rowKey(c, side), move.cursors);
      for (const { item, outcome } of steps) item.outcome = outcome;
    }
    if (refused.length === 0) return;
    for (const { c, side } of refused) recent.forgetRow(rowKey(c, side));
    const rows = new Set(refused.map(({ c, side }) => rowKey(c, side)));
    await this.#takeBack(
      refused.map(({ c }) => c),
      documents.filter(({ row }, index) => rows.has(row) && !inserted.failed.has(index)),
    );
  }

  /** Undefined if too little is remembered, or nothing would move. */
  #plan(items: readonly Item[]): QuickMove | undefined {
    const { conversations, living, recent } = this.#parts;
    const [first] = items;
    if (first === undefined) return undefined;
    const { c } = first;
    const side = sideOfMove(first.operation as AdvanceOp);
    const row = this.#rowOf(c, side);
    const bound = conversations.bound(c);
    const head: Head = { ...bound, s: Math.max(bound.s, recent.lastOf(c)) };
    // Where the conversation ends is known by the server alone.
    const isCovered = items.every(({ operation }) => operation.type === 'advance' && operation.toSeq <= head.s);
    if (row === undefined || !isCovered) return undefined;
    const rows = side === 0 ? ([row, undefined] as const) : ([undefined, row] as const);
    const [range] = rangesOf(c, items, rows, head.s);
    const known = range === undefined ? NOTHING : living.remembered(range);
    if (known === undefined) return undefined;
    const steps = planSteps(c, items, { rows, head, living: side === 0 ? [known, NOTHING] : [NOTHING, known] });
    const move = steps.findLast((step) => step.move !== undefined)?.move;
    return move && { c, side, row, steps, move };
  }

  #rowOf(c: string, side: Side): RowCursors | undefined {
    const { recent } = this.#parts;
    const row = recent.rowOf(rowKey(c, side));
    return row && { ...row, in: Math.max(row.in, recent.lastBy(c, otherSide(side))) };
  }

  /** Removes moves that were not made, unless somebody else has made the same. */
  async #takeBack(
    conversations: readonly string[],
    documents: readonly { _id: string; row: string; k: string; to: number }[],
  ) {
    const { collections, conversations: all } = this.#parts;
    const pairs = [...(await all.rows(conversations)).values()].flat();
    const rows = new Map(pairs.flatMap((row) => (row === undefined ? [] : [[row._id, row] as const])));
    const wrong = documents.filter(({ k, row, to }) => rows.get(row)?.[k as 'delivered' | 'read'] !== to);
    if (wrong.length === 0) return;
    const keys = [...new Set(wrong.map(({ row }) => row))];
    await collections.moves.deleteMany({ row: { $in: keys }, _id: { $in: wrong.map(({ _id }) => _id) } });
  }
}

function sideOfMove({ otherId, personId }: AdvanceOp): Side {
  return sideOf(personId, otherId);
}
