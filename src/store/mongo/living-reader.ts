/** Reads the living messages that cursor moves are about to pass. */
import type { AdvanceOp } from '../../core/ports.ts';
import { MAX_PASSED_PER_MOVE } from '../../core/ports.ts';
import { allLimited } from './all-limited.ts';
import type { Collections } from './collections.ts';
import { alternatives, CHUNK, chunks, cursorsOf, type Head, type Rows } from './conversations.ts';
import type { MessageDocument } from './documents.ts';
import { otherSide, type Side, sideOf } from './keys.ts';
import type { Item, Living } from './plan.ts';

const NOTHING: Living = { messages: [], upTo: Number.MAX_SAFE_INTEGER };
/** Ranges up to this length are read many in one query. */
const SHORT_RANGE = 64;
const LONG_AT_ONCE = 16;

interface Range {
  readonly c: string;
  readonly side: Side;
  readonly above: number;
  readonly upTo: number;
}

type Found = Pick<MessageDocument, '_id' | 'c' | 's' | 'f'>;

export class LivingReader {
  readonly #collections: Collections;

  constructor(collections: Collections) {
    this.#collections = collections;
  }

  /** Answers, by conversation and reading person, what the moves among the items may pass. */
  async load(
    items: ReadonlyMap<string, readonly Item[]>,
    rows: ReadonlyMap<string, Rows>,
    heads: ReadonlyMap<string, Head>,
  ): Promise<(conversation: string) => readonly [Living, Living]> {
    const ranges = [...items].flatMap(([c, own]) => rangesOf(c, own, rows.get(c), heads.get(c)?.s ?? 0));
    const found = new Map<string, [Living, Living]>(ranges.map(({ c }) => [c, [NOTHING, NOTHING]]));
    const short = ranges.filter(({ above, upTo }) => upTo - above <= SHORT_RANGE);
    const long = ranges.filter((range) => !short.includes(range));
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
    return this.#collections.messages.find<Found>(filter, { projection: { c: 1, s: 1, f: 1 } });
  }
}

function rangesOf(c: string, items: readonly Item[], rows: Rows | undefined, last: number): Range[] {
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
