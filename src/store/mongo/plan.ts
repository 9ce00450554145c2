/**
 * What a batch means for one conversation: the documents to insert and the cursors to move, worked out in memory from
 * what was read. Pure. The plan holds only if nobody else writes meanwhile; that is found out when it is carried out.
 */
import type { CursorKind, Cursors } from '../../core/message.ts';
import type { Advanced, AdvanceOp, AppendOp, WriteOutcome } from '../../core/ports.ts';
import { MAX_PASSED_PER_MOVE } from '../../core/ports.ts';
import { type CursorRow, cursorsOf, type Head, headOf } from './conversations.ts';
import { type MessageDocument, type Track, toMessage } from './documents.ts';
import { otherSide, type Side, sideOf } from './keys.ts';

/** One operation on its way. */
export interface Item<O extends AppendOp | AdvanceOp = AppendOp | AdvanceOp> {
  readonly operation: O;
  /** Key of its conversation. */
  readonly c: string;
  /** Id of the message: the operation's, or what an earlier attempt under the client id named it. */
  id: string;
  /** True if an earlier item of the batch has the same client id: it gets its answer from that one. */
  follows: boolean;
  outcome: WriteOutcome | undefined;
}

/** Living messages of one person, in order of seq, complete up to `upTo`. */
export interface Living {
  readonly messages: readonly { readonly id: string; readonly seq: number }[];
  readonly upTo: number;
}

/** A cursor move to carry out. */
export interface PlannedMove {
  readonly side: Side;
  readonly cursors: Cursors;
  /** The visible cursors that moved, with the time. */
  readonly tracks: readonly Track[];
  readonly atMs: number;
}

/** What one item comes to, if the plan holds. */
export interface Step {
  readonly item: Item;
  readonly outcome: WriteOutcome;
  readonly message?: MessageDocument;
  readonly move?: PlannedMove;
}

export interface ConversationState {
  readonly rows: readonly [low: CursorRow | undefined, high: CursorRow | undefined];
  readonly head: Head;
  /** By the person who reads: the living messages of the other that their advances may pass. */
  readonly living: readonly [Living, Living];
}

export function planSteps(c: string, items: readonly Item[], state: ConversationState): Step[] {
  const cursors: [Cursors, Cursors] = [cursorsOf(state.rows[0]), cursorsOf(state.rows[1])];
  const appended: [Living['messages'][number][], Living['messages'][number][]] = [[], []];
  let { head } = state;
  return items.map((item): Step => {
    const { operation } = item;
    if (operation.type === 'append') {
      const message = nextMessage(c, item as Item<AppendOp>, head);
      head = headOf(message);
      appended[message.f].push({ id: message._id, seq: message.s });
      return { item, message, outcome: { type: 'appended', message: toMessage(message), duplicate: false } };
    }
    if (head.s === 0) return { item, outcome: { type: 'missing' } };
    const side = sideOf(operation.personId, operation.otherId);
    const loaded = state.living[side];
    const living = { messages: [...loaded.messages, ...appended[otherSide(side)]], upTo: loaded.upTo };
    const outcome = advance(operation, cursors[side], head.s, living);
    if (outcome.current === outcome.previous) return { item, outcome };
    cursors[side] = outcome.current;
    const tracks = (['delivered', 'read'] as const).filter((kind) => outcome.current[kind] > outcome.previous[kind]);
    return { item, outcome, move: { side, cursors: outcome.current, tracks, atMs: operation.atMs } };
  });
}

function nextMessage(c: string, { id, operation }: Item<AppendOp>, head: Head): MessageDocument {
  const f = sideOf(operation.senderId, operation.receiverId);
  return {
    _id: id,
    c,
    s: head.s + 1,
    f,
    n: (f === 0 ? head.low : head.s - head.low) + 1,
    at: Math.max(operation.atMs, head.at),
    t: operation.text,
    ...(operation.withoutId && { w: true }),
  };
}

function advance(operation: AdvanceOp, previous: Cursors, last: number, living: Living): Advanced {
  const { kind, withoutHoleBelow } = operation;
  const from = previous[kind];
  const stay: Advanced = { type: 'advanced', previous, current: previous, passed: [], more: false };
  let target = Math.min(operation.toSeq, last);
  if (target <= from || (withoutHoleBelow !== undefined && mayHaveHole(living, from, withoutHoleBelow))) return stay;
  if (kind === 'received') return { ...stay, current: moved(previous, kind, target) };
  let more = false;
  if (target > living.upTo) {
    target = living.upTo;
    more = true;
  }
  const passed = living.messages.filter(({ seq }) => seq > from && seq <= target);
  if (passed.length > MAX_PASSED_PER_MOVE) {
    passed.length = MAX_PASSED_PER_MOVE;
    target = passed.at(-1)?.seq ?? target;
    more = true;
  }
  return { type: 'advanced', previous, current: moved(previous, kind, target), passed, more };
}

/** Also true if it is not known. */
function mayHaveHole(living: Living, above: number, below: number): boolean {
  return living.messages.some(({ seq }) => seq > above && seq < below) || living.upTo < below - 1;
}

function moved(previous: Cursors, kind: CursorKind, target: number): Cursors {
  return {
    received: Math.max(previous.received, target),
    delivered: kind === 'received' ? previous.delivered : Math.max(previous.delivered, target),
    read: kind === 'read' ? target : previous.read,
  };
}
