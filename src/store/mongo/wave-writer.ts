/**
 * Appends and cursor moves of many conversations at once, without transactions.
 *
 * First, side by side: message ids and client ids are claimed, the rows are read, and a journal entry says what is being
 * written. Then, side by side: messages are inserted under the unique place in their conversation, and the rows announce
 * them. What lost its place to another instance is planned anew. Only then is anything acknowledged. If the instance dies
 * between, the journal tells the others which conversations to look at (journal.ts).
 *
 * Several messages of one conversation go in order, and the first that fails stops the others of that conversation: so
 * they keep their order and leave no gap.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { AnyBulkWriteOperation } from 'mongodb';
import type { AdvanceOp, AppendOp, WriteOutcome } from '../../core/ports.ts';
import type { Claimed, Claims } from './claims.ts';
import type { Collections } from './collections.ts';
import { type Conversations, type Head, headOf, type Rows } from './conversations.ts';
import type { CursorWriter, DueMove } from './cursor-writer.ts';
import { type MessageDocument, type RowDocument, toMessage } from './documents.ts';
import { unavailable, updateAll } from './failure.ts';
import { insertRuns } from './insert-runs.ts';
import type { Journal } from './journal.ts';
import { conversationKey } from './keys.ts';
import type { Ahead, LivingReader } from './living-reader.ts';
import { type Item, planSteps, type Step } from './plan.ts';
import type { QuickMoves } from './quick-moves.ts';
import type { Recent } from './recent.ts';
import { type Announcement, announce, confirm } from './row-updates.ts';

/** Rounds after which a place that is always taken by others is given up. */
const MAX_ROUNDS = 60;
const NO_ROWS: Rows = [undefined, undefined];

/** What was read while the ids were claimed. */
interface Read {
  readonly rows: Map<string, Rows>;
  readonly ahead: Ahead;
}

/** The steps of one conversation in one round. */
interface Plan {
  readonly c: string;
  readonly steps: readonly Step[];
  readonly head: Head;
  /** Steps that were carried out. */
  done: number;
}

export interface WaveWriterParts {
  readonly collections: Collections;
  readonly conversations: Conversations;
  readonly claims: Claims;
  readonly journal: Journal;
  readonly living: LivingReader;
  readonly cursors: CursorWriter;
  readonly quick: QuickMoves;
  readonly recent: Recent;
  /** Does something after the answer, whose failure harms nothing. */
  readonly later: (work: () => Promise<unknown>) => void;
}

export class WaveWriter {
  readonly #parts: WaveWriterParts;
  /** The newest messages of conversations that no row confirms yet: until then, other instances look for them. */
  readonly #unconfirmed = new Map<string, MessageDocument>();

  constructor(parts: WaveWriterParts) {
    this.#parts = parts;
  }

  /** Outcomes in the order of the operations. @throws the driver's error if it is not known what became of them. */
  async write(operations: readonly (AppendOp | AdvanceOp)[], nowMs: number): Promise<WriteOutcome[]> {
    const { claims, conversations, journal, later, living, quick } = this.#parts;
    const items = operations.map(toItem);
    if (items.every(({ operation }) => operation.type === 'advance')) await quick.try(items);
    const left = byConversation(items.filter((item) => item.outcome === undefined));
    if (left.size === 0) return outcomesOf(items);
    const appends = items.filter((item): item is Item<AppendOp> => item.operation.type === 'append' && !item.outcome);
    const touched = new Set(appends.map((item) => item.c));
    const entry = touched.size === 0 ? undefined : journal.begin([...touched], nowMs);
    let claimed: Claimed;
    try {
      const [taken, rows, ahead] = await Promise.all([
        claims.take(appends),
        conversations.rows(left.keys()),
        living.ahead(left, (c) => this.#lastKnown(c)),
        entry?.stored,
      ]);
      claimed = taken;
      await this.#writeClaimed(items, claimed, { rows, ahead }, nowMs);
    } catch (error) {
      if (entry !== undefined) journal.abandon(entry);
      throw error;
    }
    later(() => claims.release(claimed));
    const outcomes = outcomesOf(items);
    // A write that failed may have been stored all the same, and its caller publishes nothing.
    const isCertain = outcomes.every(({ type }) => type !== 'failed');
    if (entry !== undefined && isCertain) journal.written(entry);
    if (entry !== undefined && !isCertain) journal.abandon(entry);
    return outcomes;
  }

  async #writeClaimed(items: readonly Item[], claimed: Claimed, read: Read, nowMs: number): Promise<void> {
    const { claims } = this.#parts;
    await claims.settle(claimed, (message) => this.#reveal(message, read.rows.get(message.c)));
    await this.#carryOut(items, read);
    const again = claims.answerFollowers(claimed);
    if (again.length === 0) return;
    const outcomes = await this.write(
      again.map((item) => item.operation),
      nowMs,
    );
    for (const [index, item] of again.entries()) item.outcome = outcomes[index];
  }

  /** What the next batch would confirm, if there is none. */
  async confirm(): Promise<void> {
    await updateAll(this.#parts.collections.rows, this.#takeUnconfirmed());
  }

  /** Rounds of planning and trying, until every item has its outcome. */
  async #carryOut(items: readonly Item[], { ahead, rows: firstRows }: Read): Promise<void> {
    const { conversations, living } = this.#parts;
    let rows = firstRows;
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const left = byConversation(items.filter((item) => item.outcome === undefined && !item.follows));
      if (left.size === 0) return;
      if (round > 0) {
        // A message that took the place may not be readable before a majority has it.
        if (round > 1) await delay(Math.random() * Math.min(100, 2 ** round));
        rows = await conversations.rows(left.keys());
      }
      const current = new Map([...left.keys()].map((c): [string, Rows] => [c, rows.get(c) ?? NO_ROWS]));
      const heads = await conversations.heads(current, round > 0);
      const passed = await living.load(left, current, heads, ahead);
      const plans = [...left].map(([c, own]): Plan => {
        const head = heads.get(c) ?? { s: 0, at: 0, low: 0 };
        const state = { rows: current.get(c) ?? NO_ROWS, head, living: passed(c) };
        return { c, head, steps: planSteps(c, own, state), done: 0 };
      });
      await this.#try(plans);
    }
    for (const item of items) {
      if (item.outcome === undefined && !item.follows) {
        item.outcome = { type: 'failed', error: unavailable(new Error('Its place was taken in every round')) };
      }
    }
  }

  async #try(plans: readonly Plan[]): Promise<void> {
    const withMessages = plans.filter((plan) => plan.steps.some((step) => step.message !== undefined));
    const others = plans.filter((plan) => !withMessages.includes(plan));
    for (const plan of others) plan.done = plan.steps.length;
    const updates: AnyBulkWriteOperation<RowDocument>[] = withMessages.map(toAnnouncement).flatMap(announce);
    // What waits for no message of this batch goes along with them, whatever becomes of them.
    const early = [...others.flatMap((plan) => dueSteps(plan)), ...withMessages.flatMap(earlySteps)];
    const gone = new Set(early.map(({ step }) => step));
    if (withMessages.length > 0) {
      // An announcement confirms what was there before it.
      for (const { c } of withMessages) this.#unconfirmed.delete(c);
      updates.push(...this.#takeUnconfirmed());
    }
    await Promise.all([this.#insert(withMessages), this.#parts.cursors.write(early, updates)]);
    for (const { item, outcome } of gone) item.outcome = outcome;
    const late = withMessages.flatMap((plan) => dueSteps(plan, plan.done)).filter(({ step }) => !gone.has(step));
    await this.#parts.cursors.write(late, []);
    for (const { steps, done } of plans) for (const { item, outcome } of steps.slice(0, done)) item.outcome = outcome;
    for (const { c, steps, done } of withMessages) {
      const last = steps.slice(0, done).findLast((step) => step.message !== undefined)?.message;
      if (last !== undefined) this.#unconfirmed.set(c, last);
    }
  }

  /** Inserts what is planned, and says in `done` how far each plan held. */
  #insert(plans: readonly Plan[]): Promise<void> {
    const runs = plans.map((plan) => {
      const steps = messageSteps(plan);
      return {
        documents: steps.flatMap(({ message }) => message ?? []),
        settle: (stored: number, failure?: true | Error) => this.#settle(plan, steps, stored, failure),
      };
    });
    return insertRuns(this.#parts.collections.messages, runs);
  }

  /** Of the messages in the plan, the first `stored` are durable; the next failed. */
  async #settle(plan: Plan, steps: readonly Step[], stored: number, failure: true | Error | undefined): Promise<void> {
    const { conversations, claims, recent } = this.#parts;
    const last = steps[stored - 1]?.message;
    if (last !== undefined) conversations.note(plan.c, headOf(last));
    for (const { item, message } of steps.slice(0, stored)) {
      claims.note(item.id, plan.c);
      if (message !== undefined) recent.noteMessage(message);
    }
    const failing = steps[stored];
    if (failing === undefined) {
      plan.done = plan.steps.length;
      return;
    }
    plan.done = plan.steps.indexOf(failing);
    if (failure instanceof Error) {
      failing.item.outcome = { type: 'failed', error: failure };
      return;
    }
    // The place is taken, or the id: by another attempt of this very send, maybe one whose answer was lost.
    const message = await this.#parts.collections.messages.findOne({ c: plan.c, _id: failing.item.id });
    if (message === null) return;
    await this.#reveal(message, undefined);
    // Under a client id, another attempt came first and tells of it; without one, nobody else can have written it.
    const { operation } = failing.item;
    const duplicate = operation.type === 'append' && operation.clientMessageId !== undefined;
    failing.item.outcome = { type: 'appended', message: toMessage(message), duplicate };
  }

  /** Makes sure that the rows announce a message before it is acknowledged by another attempt than the one that wrote it. */
  async #reveal(message: MessageDocument, rows: Rows | undefined): Promise<void> {
    if (rows?.every((row) => (row?.top ?? 0) >= message.s)) return;
    await updateAll(this.#parts.collections.rows, announce(announcementOf(message)));
  }

  /** Seq of a message that exists. */
  #lastKnown(c: string): number {
    return Math.max(this.#parts.conversations.bound(c).s, this.#parts.recent.lastOf(c));
  }

  #takeUnconfirmed(): ReturnType<typeof confirm>[] {
    const updates = [...this.#unconfirmed].map(([c, last]) => confirm(c, last.f, headOf(last)));
    this.#unconfirmed.clear();
    return updates;
  }
}

/** The announcement of one message that exists. */
export function announcementOf(message: MessageDocument): Announcement {
  const { c, at, s, f } = message;
  return { c, at, top: s, incoming: f === 0 ? [undefined, s] : [s, undefined], head: headOf(message) };
}

function toAnnouncement(plan: Plan): Announcement {
  const messages = messageSteps(plan).flatMap((step) => step.message ?? []);
  const last = messages.at(-1);
  const newestTo = (side: 0 | 1): number | undefined => messages.findLast((message) => message.f !== side)?.s;
  return { c: plan.c, at: last?.at ?? 0, top: last?.s ?? 0, incoming: [newestTo(0), newestTo(1)], head: plan.head };
}

/** The moves among the first steps of a plan. */
function dueSteps({ c, head, steps }: Plan, count = steps.length): (DueMove & { readonly step: Step })[] {
  return steps.slice(0, count).flatMap((step) => (step.move === undefined ? [] : [{ c, head, move: step.move, step }]));
}

/** The moves that stay below the messages that the plan adds. */
function earlySteps(plan: Plan): ReturnType<typeof dueSteps> {
  return dueSteps(plan).filter(({ move }) => move.cursors.received <= plan.head.s);
}

function outcomesOf(items: readonly Item[]): WriteOutcome[] {
  return items.map(({ outcome }) => outcome ?? notCarriedOut());
}

function notCarriedOut(): WriteOutcome {
  return { type: 'failed', error: new Error('It was not carried out') };
}

function messageSteps(plan: Plan): Step[] {
  return plan.steps.filter((step) => step.message !== undefined);
}

function toItem(operation: AppendOp | AdvanceOp): Item {
  const [own, other] =
    operation.type === 'append' ? [operation.senderId, operation.receiverId] : [operation.personId, operation.otherId];
  const item: Item = {
    operation,
    c: conversationKey(own, other),
    id: operation.type === 'append' ? operation.id : '',
    follows: false,
    outcome: undefined,
  };
  if (own === other && operation.type === 'append') {
    item.outcome = { type: 'failed', error: new TypeError('A message needs two people') };
  }
  return item;
}

function byConversation(items: readonly Item[]): Map<string, Item[]> {
  return Map.groupBy(items, (item) => item.c);
}
