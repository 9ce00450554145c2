/**
 * Reads the living messages that cursor moves are about to pass: from what is remembered, else from the server, and there,
 * where the cursors are roughly known, before they are read exactly.
 */
import type { AdvanceOp } from '../../core/ports.ts';
import { MAX_PASSED_PER_MOVE } from '../../core/ports.ts';
import { allLimited } from './all-limited.ts';
import type { Collections } from './collections.ts';
import { alternatives, CHUNK, type CursorRow, chunks, cursorsOf, type Head, ONE_ANSWER } from './conversations.ts';
import type { MessageDocument } from './documents.ts';
import { otherSide, rowKey, type Side, sideOf } from './keys.ts';
import type { Item, Living } from './plan.ts';
import type { Recent } from './recent.ts';

const NOTHING: Living = { messages: [], upTo: Number.MAX_SAFE_INTEGER };
/** Ranges up to this length are read many in one query. */
const SHORT_RANGE = 64;
const LONG_AT_ONCE = 16;

/** What one side of a conversation is asked for. */
export interface Range {
  readonly c: string;
  readonly side: Side;
  readonly above: number;
  readonly upTo: number;
}

/** What was read ahead, by side and conversation. */
export type Ahead = ReadonlyMap<string, { readonly range: Range; readonly living: Living }>;

type Found = Pick<MessageDocument, '_id' | 'c' | 's' | 'f'>;

export class LivingReader {
  readonly #collections: Collections;

  readonly #recent: Recent;

  constructor(collections: Collections, recent: Recent) {
    this.#collections = collections;
    this.#recent = recent;
  }

  /**
   * Looks while the rows are being read: from where the cursors were the last time, up to what surely was there.
   * @param lastKnown seq of a message of the conversation that exists.
   */
  async ahead(items: ReadonlyMap<string, readonly Item[]>, lastKnown: (c: string) => number): Promise<Ahead> {
    const guessed = [...items].flatMap(([c, own]) => {
      const rows = [0, 1].map((side) => this.#recent.rowOf(rowKey(c, side as Side)));
      return rangesOf(c, own, rows, lastKnown(c)).filter(({ side }) => rows[side] !== undefined);
    });
    const ranges = guessed.filter((range) => isShort(range) && this.remembered(range) === undefined);
    const found: [Range, Living][] = [];
    for (const chunk of chunks(ranges, CHUNK)) found.push(...(await this.#readShort(chunk)));
    return new Map(found.map(([range, living]) => [keyOf(range), { range, living }]));
  }

  /** What is known without asking; undefined if that is not all. */
  remembered({ c, side, above, upTo }: Range): Living | undefined {
    const messages = this.#recent.living(c, otherSide(side), above, upTo);
    return messages && { ...NOTHING, messages };
  }

  /** Answers, by conversation and reading person, what the moves among the items may pass. */
  async load(
    items: ReadonlyMap<string, readonly Item[]>,
    rows: ReadonlyMap<string, readonly (CursorRow | undefined)[]>,
    heads: ReadonlyMap<string, Head>,
    ahead: Ahead,
  ): Promise<(conversation: string) => readonly [Living, Living]> {
    const ranges = [...items].flatMap(([c, own]) => rangesOf(c, own, rows.get(c), heads.get(c)?.s ?? 0));
    const found = new Map<string, [Living, Living]>(ranges.map(({ c }) => [c, [NOTHING, NOTHING]]));
    const asked = ranges.filter((range) => {
      const known = this.remembered(range) ?? lookedAhead(range, ahead);
      if (known !== undefined) setLiving(found, range, known);
      return known === undefined;
    });
    const short = asked.filter(isShort);
    const long = asked.filter((range) => !isShort(range));
    for (const chunk of chunks(short, CHUNK)) {
      for (const [range, living] of await this.#readShort(chunk)) setLiving(found, range, living);
    }
    await allLimited(long, LONG_AT_ONCE, async (range) => setLiving(found, range, await this.#readLong(range)));
    return (conversation) => found.get(conversation) ?? [NOTHING, NOTHING];
  }

  async #readShort(ranges: readonly Range[]): Promise<Map<Range, Living>> {
    const messages = await this.#find(alternatives(ranges.map(filterOf))).toArray();
    const byPlace = Map.groupBy(messages, ({ c, f }) => `${f}${c}`);
    return new Map(
      ranges.map((range) => {
        const own = byPlace.get(`${otherSide(range.side)}${range.c}`) ?? [];
        return [range, { ...NOTHING, messages: own.map(toPassed).sort((a, b) => a.seq - b.seq) }];
      }),
    );
  }

  async #readLong(range: Range): Promise<Living> {
    const limit = MAX_PASSED_PER_MOVE + 1;
    const messages = (await this.#find(filterOf(range)).sort({ c: 1, s: 1 }).limit(limit).toArray()).map(toPassed);
    return messages.length < limit ? { ...NOTHING, messages } : { messages, upTo: messages.at(-1)?.seq ?? 0 };
  }

  #find(filter: object) {
    return this.#collections.messages.find<Found>(filter, { ...ONE_ANSWER, projection: { c: 1, s: 1, f: 1 } });
  }
}

function isShort({ above, upTo }: Range): boolean {
  return upTo - above <= SHORT_RANGE;
}

function keyOf({ c, side }: Range): string {
  return `${side}${c}`;
}

function lookedAhead(range: Range, ahead: Ahead): Living | undefined {
  const known = ahead.get(keyOf(range));
  return known !== undefined && known.range.above <= range.above && known.range.upTo >= range.upTo
    ? known.living
    : undefined;
}

/** What the moves among the items may pass, for each of the two that moves. */
export function rangesOf(
  c: string,
  items: readonly Item[],
  rows: readonly (CursorRow | undefined)[] | undefined,
  last: number,
): Range[] {
  return ([0, 1] as const).flatMap((side) => {
    const cursors = cursorsOf(rows?.[side]);
    let above = Number.MAX_SAFE_INTEGER;
    let upTo = 0;
    for (const { operation } of items) {
      if (operation.type !== 'advance' || sideOf(operation.personId, operation.otherId) !== side) continue;
      const target = endOf(operation, last);
      if (target <= cursors[operation.kind]) continue;
      above = Math.min(above, cursors[operation.kind]);
      upTo = Math.max(upTo, target);
    }
    return upTo > above ? [{ c, side, above, upTo }] : [];
  });
}

/** Up to where a move has to know what is there. */
function endOf({ kind, toSeq, withoutHoleBelow }: AdvanceOp, last: number): number {
  const hole = withoutHoleBelow === undefined ? 0 : Math.min(withoutHoleBelow - 1, last);
  return kind === 'received' ? hole : Math.max(hole, Math.min(toSeq, last));
}

function filterOf({ c, side, above, upTo }: Range) {
  return { c, s: { $gt: above, $lte: upTo }, f: otherSide(side), del: { $exists: false } };
}

function toPassed({ _id, s }: Found): { id: string; seq: number } {
  return { id: _id, seq: s };
}

function setLiving(found: Map<string, [Living, Living]>, { c, side }: Range, living: Living): void {
  const both = found.get(c);
  if (both !== undefined) both[side] = living;
}
