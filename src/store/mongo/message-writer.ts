/**
 * The writing half of the MessageStore: collects concurrent calls into batches, and a batch into waves. In a wave, sends
 * and cursor moves go together (wave-writer.ts); deletions and further client ids, which are rare, go one by one.
 */
import type { AdvanceOp, AppendOp, BindOp, DeleteOp, OutcomeOf, WriteOp, WriteOutcome } from '../../core/ports.ts';
import type { Claims } from './claims.ts';
import type { Collections } from './collections.ts';
import { type MessageDocument, toMessage } from './documents.ts';
import { insertAll, insertMissing, toChatError } from './failure.ts';
import type { Journal } from './journal.ts';
import { pairKey } from './keys.ts';
import type { Recent } from './recent.ts';
import type { WaveWriter } from './wave-writer.ts';

/** Operations that are written together, unless one call brings more. */
const MAX_BATCH = 1000;

interface Call {
  readonly operations: readonly WriteOp[];
  readonly resolve: (outcomes: WriteOutcome[]) => void;
  readonly reject: (error: unknown) => void;
}

type WaveOp = AppendOp | AdvanceOp;

export interface MessageWriterParts {
  readonly collections: Collections;
  readonly claims: Claims;
  readonly journal: Journal;
  readonly waves: WaveWriter;
  readonly recent: Recent;
  readonly now: () => number;
  /** Does something after the answer, whose failure harms nothing. */
  readonly later: (work: () => Promise<unknown>) => void;
}

export class MessageWriter {
  readonly #parts: MessageWriterParts;
  #waiting: Call[] = [];
  #running: Promise<void> | undefined;

  constructor(parts: MessageWriterParts) {
    this.#parts = parts;
  }

  /** Rejects only if nothing of the call is known to be stored. */
  write(operations: readonly WriteOp[]): Promise<WriteOutcome[]> {
    if (operations.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ operations, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when everything that was asked has been answered. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#execute(this.#next());
      // Nobody waits for it: what is written next may overtake it.
      if (this.#waiting.length === 0) this.#parts.later(() => this.#parts.waves.confirm());
    }
    this.#running = undefined;
  }

  #next(): Call[] {
    let size = 0;
    const count = this.#waiting.findIndex((call) => {
      size += call.operations.length;
      return size > MAX_BATCH;
    });
    return this.#waiting.splice(0, count < 0 ? this.#waiting.length : Math.max(1, count));
  }

  async #execute(calls: readonly Call[]): Promise<void> {
    const operations = calls.flatMap((call) => call.operations);
    const outcomes: WriteOutcome[] = [];
    let trouble: Error | undefined;
    for (const wave of waves(operations)) {
      try {
        outcomes.push(...(await this.#executeWave(wave)));
      } catch (error) {
        trouble = toChatError(error);
        break;
      }
    }
    let from = 0;
    for (const { operations: own, resolve, reject } of calls) {
      const answered = outcomes.slice(from, from + own.length);
      from += own.length;
      const { length } = own;
      if (trouble === undefined || answered.length === length) resolve(answered);
      else if (answered.length === 0) reject(trouble);
      else
        resolve([
          ...answered,
          ...new Array<WriteOutcome>(length - answered.length).fill({ type: 'failed', error: trouble }),
        ]);
    }
  }

  async #executeWave(wave: readonly WriteOp[]): Promise<WriteOutcome[]> {
    const together = wave.filter(isWaveOp);
    if (together.length > 0) return this.#parts.waves.write(together, this.#parts.now());
    const outcomes: WriteOutcome[] = [];
    for (const operation of wave) {
      if (operation.type === 'delete') outcomes.push(await this.#delete(operation));
      if (operation.type === 'bind') outcomes.push(await this.#bind(operation));
    }
    return outcomes;
  }

  async #delete({ atMs, messageId }: DeleteOp): Promise<OutcomeOf['delete']> {
    const found = await this.#find(messageId);
    if (found === undefined) return { type: 'missing' };
    const { _id, c } = found;
    const before = found.del === undefined ? await this.#carryOut(found, atMs) : null;
    this.#parts.recent.noteDeleted(c, _id);
    if (before !== null) return { type: 'deleted', message: toMessage(before), alreadyDeleted: false };
    const now = found.del === undefined ? ((await this.#find(messageId)) ?? found) : found;
    return { type: 'deleted', message: toMessage(now), alreadyDeleted: true };
  }

  /**
   * Null if somebody else was quicker. The journal says where to finish if it ends between the two writes, where a living message
   * counts as deleted, and what to publish.
   */
  async #carryOut({ _id, c, f, s }: MessageDocument, atMs: number): Promise<MessageDocument | null> {
    const { collections, journal, now } = this.#parts;
    const entry = journal.begin([c], now(), _id);
    try {
      // First: else it would stay counted as unread.
      await Promise.all([insertMissing(collections.tombstones, [{ _id: `${s}:${c}`, c, f, s }]), entry.stored]);
      const before = await collections.messages.findOneAndUpdate(
        { c, _id, del: { $exists: false } },
        { $set: { t: '', del: atMs } },
        { returnDocument: 'before' },
      );
      journal.written(entry);
      return before;
    } catch (error) {
      journal.abandon(entry);
      throw error;
    }
  }

  async #bind({ clientMessageId, digest, messageId, senderId }: BindOp): Promise<OutcomeOf['bind']> {
    const { clientIds } = this.#parts.collections;
    const message = await this.#find(messageId);
    if (message === undefined || toMessage(message).senderId !== senderId) return { type: 'missing' };
    const _id = pairKey(senderId, clientMessageId);
    const { failed } = await insertAll(clientIds, [{ _id, m: messageId, c: message.c, d: digest }]);
    const failure = failed.get(0);
    if (failure === undefined) return { type: 'bound' };
    if (failure !== true) return { type: 'failed', error: failure };
    const claim = await clientIds.findOne({ _id });
    return claim?.m === messageId && claim.d === digest ? { type: 'bound' } : { type: 'conflict' };
  }

  async #find(id: string): Promise<MessageDocument | undefined> {
    const c = await this.#parts.claims.placeOf(id);
    if (c === undefined) return undefined;
    return (await this.#parts.collections.messages.findOne({ c, _id: id })) ?? undefined;
  }
}

/** Splits a batch where an operation of the other sort follows, so that each sees what came before it. */
function* waves(operations: readonly WriteOp[]): Iterable<readonly WriteOp[]> {
  let wave: WriteOp[] = [];
  for (const operation of operations) {
    const [first] = wave;
    if (first !== undefined && isWaveOp(first) !== isWaveOp(operation)) {
      yield wave;
      wave = [];
    }
    wave.push(operation);
  }
  if (wave.length > 0) yield wave;
}

function isWaveOp(operation: WriteOp): operation is WaveOp {
  return operation.type === 'append' || operation.type === 'advance';
}
