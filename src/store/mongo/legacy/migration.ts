/**
 * Takes over the messages and users of the system that ran before. Messages come in order of their time, a batch at a
 * time, through the store's own writes, so all of its promises hold. After each batch a checkpoint is kept; a run that
 * was killed goes on there, and what it had written of the next batch is recognised and not written again.
 *
 * The statuses of single messages become cursors: a cursor stands on the last message that was delivered, or read, and
 * what lies below counts as such too. All messages count as received, so nothing old is pushed to devices.
 */
import type { Db, Document, Filter, ObjectId } from 'mongodb';
import { ChatError } from '../../../core/errors.ts';
import type { Message } from '../../../core/message.ts';
import type { AdvanceOp, WriteOp } from '../../../core/ports.ts';
import { type ConnectionOptions, connect, databaseOf } from '../connection.ts';
import { pairKey } from '../keys.ts';
import { type MongoStore, openMongoStore } from '../store.ts';
import { LEGACY_USERS, toProfile } from '../user-directory.ts';
import { type LegacyMessage, readLegacyMessage, type SkipReason } from './legacy-message.ts';

export const LEGACY_MESSAGES = 'ChatMessages';
const CHECKPOINTS = 'migrations';
const BATCH = 1000;
const EXAMPLES_KEPT = 5;

export interface LegacyMigrationOptions extends ConnectionOptions {
  /** Database of the former system. Default: that of the store. */
  readonly sourceDatabase?: string;
  /** Reads and reports only; writes nothing. */
  readonly dryRun: boolean;
  /** Told after each batch. */
  readonly onProgress: (progress: { readonly done: number; readonly total: number }) => void;
}

export interface LegacyReport {
  /** Documents looked at, over all runs. */
  readonly read: number;
  /** Messages that are in the store now, or would be. */
  readonly taken: number;
  /** Of these: older than what their conversation had already; they stand at its end, with its time. */
  readonly late: number;
  readonly skipped: ReadonlyMap<SkipReason, { readonly count: number; readonly examples: readonly string[] }>;
  /** Users whose profile was taken over by this run. */
  readonly users: number;
}

/** How far the runs so far came. */
interface Checkpoint {
  readonly _id: 'legacy';
  readonly after?: { readonly time: unknown; readonly id: ObjectId };
  readonly read: number;
  readonly taken: number;
  readonly late: number;
  readonly skipped: readonly {
    readonly reason: SkipReason;
    readonly count: number;
    readonly examples: readonly string[];
  }[];
}

const NOTHING: Checkpoint = { _id: 'legacy', read: 0, taken: 0, late: 0, skipped: [] };

/** @throws UnusableServerError if a database cannot be used; ChatError `unavailable` if one fails meanwhile: run it again. */
export async function migrateLegacy(options: LegacyMigrationOptions): Promise<LegacyReport> {
  // Without an index of the times the server sorts all messages before it answers with the first.
  const { client } = await connect({ ...options, socketTimeoutMs: 0 });
  try {
    const source = databaseOf(client, options.sourceDatabase ?? options.database);
    const target = databaseOf(client, options.database);
    if (options.dryRun) return await new LegacyMigration(source, target, options).run();
    await using store = await openMongoStore(options);
    return await new LegacyMigration(source, target, options, store).run();
  } finally {
    await client.close();
  }
}

class LegacyMigration {
  readonly #source: Db;
  readonly #target: Db;
  readonly #options: LegacyMigrationOptions;
  /** Absent in a dry run. */
  readonly #store: MongoStore | undefined;

  constructor(source: Db, target: Db, options: LegacyMigrationOptions, store?: MongoStore) {
    this.#source = source;
    this.#target = target;
    this.#options = options;
    this.#store = store;
  }

  async run(): Promise<LegacyReport> {
    let state = (await this.#checkpoints().findOne({ _id: 'legacy' })) ?? NOTHING;
    const total = await this.#source.collection(LEGACY_MESSAGES).estimatedDocumentCount();
    let batch: Document[] = [];
    const finish = async (): Promise<void> => {
      state = await this.#takeBatch(batch, state);
      batch = [];
      this.#options.onProgress({ done: state.read, total: Math.max(total, state.read) });
    };
    for await (const document of this.#documents(state)) {
      batch.push(document);
      if (batch.length === BATCH) await finish();
    }
    if (batch.length > 0) await finish();
    const skipped = new Map(state.skipped.map(({ reason, ...what }) => [reason, what]));
    return { read: state.read, taken: state.taken, late: state.late, skipped, users: await this.#takeUsers() };
  }

  #checkpoints() {
    return this.#target.collection<Checkpoint>(CHECKPOINTS);
  }

  /** In order of time; what is no time comes first. The server sorts on disk where it has no index. */
  #documents({ after }: Checkpoint) {
    const filter: Filter<Document> =
      after === undefined
        ? {}
        : { $or: [{ Timestamp: { $gt: after.time } }, { Timestamp: after.time, _id: { $gt: after.id } }] };
    return this.#source
      .collection(LEGACY_MESSAGES)
      .find(filter, { allowDiskUse: true, batchSize: BATCH, noCursorTimeout: false })
      .sort({ Timestamp: 1, _id: 1 });
  }

  async #takeBatch(documents: readonly Document[], before: Checkpoint): Promise<Checkpoint> {
    const skipped = new Map(before.skipped.map((item) => [item.reason, { ...item, examples: [...item.examples] }]));
    const skip = (reason: SkipReason, id: string): void => {
      const item = skipped.get(reason) ?? { reason, count: 0, examples: [] };
      item.count += 1;
      if (item.examples.length < EXAMPLES_KEPT) item.examples.push(id);
      skipped.set(reason, item);
    };
    const messages: LegacyMessage[] = [];
    for (const document of documents) {
      const read = readLegacyMessage(document);
      if (typeof read === 'string') skip(read, String(document._id));
      else messages.push(read);
    }
    const { late, taken } = await this.#write(messages, skip);
    const last = documents.at(-1);
    const next: Checkpoint = {
      _id: 'legacy',
      // Times that are none sort before all others: a run that goes on starts with the first time.
      after: { time: last?.Timestamp instanceof Date ? last.Timestamp : new Date(-8.64e15), id: last?._id },
      read: before.read + documents.length,
      taken: before.taken + taken,
      late: before.late + late,
      skipped: [...skipped.values()],
    };
    if (this.#store === undefined) return next;
    await this.#checkpoints().replaceOne({ _id: 'legacy' }, next, { upsert: true });
    const claims = messages.map(({ id, senderId }) => pairKey(senderId, clientIdOf(id)));
    await this.#target.collection<{ _id: string }>('client_ids').deleteMany({ _id: { $in: claims } });
    return next;
  }

  async #write(
    messages: readonly LegacyMessage[],
    skip: (reason: SkipReason, id: string) => void,
  ): Promise<{ taken: number; late: number }> {
    if (this.#store === undefined || messages.length === 0) return { taken: messages.length, late: 0 };
    const store = this.#store.messages;
    const outcomes = await store.write(messages.map(toAppend));
    const stored: { legacy: LegacyMessage; message: Message }[] = [];
    for (const [index, legacy] of messages.entries()) {
      const outcome = outcomes[index];
      if (outcome?.type === 'failed' && outcome.error instanceof ChatError) throw outcome.error;
      const message = outcome?.type === 'appended' ? outcome.message : await store.findMessage(legacy.id);
      const isIt = message?.senderId === legacy.senderId && message.receiverId === legacy.receiverId;
      if (isIt) stored.push({ legacy, message });
      else skip('its id is used by another message', legacy.id);
    }
    const late = stored.filter(({ legacy, message }) => message.sentAtMs > legacy.sentAtMs).length;
    const received = new Map(
      stored.map(({ legacy, message }) => [pairKey(legacy.receiverId, legacy.senderId), message]),
    );
    await this.#expectAll([
      ...stored.flatMap(({ legacy, message }) => movesOf(legacy, message.seq)),
      ...[...received.values()].map(toReceived),
    ]);
    await this.#expectAll(
      stored.flatMap(({ legacy }): WriteOp[] =>
        legacy.deletedAtMs === undefined ? [] : [{ type: 'delete', messageId: legacy.id, atMs: legacy.deletedAtMs }],
      ),
    );
    return { taken: stored.length, late };
  }

  /** @throws the first failure; the checkpoint then stays before this batch. */
  async #expectAll(operations: readonly WriteOp[]): Promise<void> {
    for (let left = operations; left.length > 0; ) {
      const current = left;
      const outcomes = (await this.#store?.messages.write(current)) ?? [];
      for (const outcome of outcomes) if (outcome.type === 'failed') throw outcome.error;
      // A move over very many messages stops on its way.
      left = current.filter((_, index) => {
        const outcome = outcomes[index];
        return outcome?.type === 'advanced' && outcome.more;
      });
    }
  }

  /** Profiles of users that the store does not know yet. */
  async #takeUsers(): Promise<number> {
    let taken = 0;
    for await (const user of this.#source.collection(LEGACY_USERS).find()) {
      if (user.AppUserId === undefined || user.AppUserId === null || user.IsDeleted === true) continue;
      const profile = toProfile(user);
      const profiles = this.#target.collection<{ _id: string }>('profiles');
      if ((await profiles.findOne({ _id: profile.userId })) !== null) continue;
      await this.#store?.users.upsert(profile);
      taken += 1;
    }
    return taken;
  }
}

/** Under a client id while the batch is not done, so that a run that goes on finds what is stored. */
function clientIdOf(id: string): string {
  return `legacy:${id}`;
}

function toAppend({ id, receiverId, senderId, sentAtMs, text }: LegacyMessage): WriteOp {
  const clientMessageId = clientIdOf(id);
  return { type: 'append', id, senderId, receiverId, text, atMs: sentAtMs, clientMessageId, digest: receiverId };
}

function movesOf({ deliveredAtMs, readAtMs, receiverId, senderId }: LegacyMessage, toSeq: number): AdvanceOp[] {
  const move = { type: 'advance', personId: receiverId, otherId: senderId, toSeq } as const;
  return [
    ...(deliveredAtMs === undefined ? [] : [{ ...move, kind: 'delivered', atMs: deliveredAtMs } as const]),
    ...(readAtMs === undefined ? [] : [{ ...move, kind: 'read', atMs: readAtMs } as const]),
  ];
}

function toReceived({ receiverId, senderId, sentAtMs, seq }: Message): AdvanceOp {
  return { type: 'advance', personId: receiverId, otherId: senderId, kind: 'received', toSeq: seq, atMs: sentAtMs };
}
