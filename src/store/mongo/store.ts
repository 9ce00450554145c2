/**
 * The store on MongoDB: messages, users and presence in one database, for any number of instances.
 *
 * Acknowledged means that a majority has it in its journal. No transactions: what must be unique is inserted under a
 * unique key, what must not fall is raised by `$max`, and what could be left half done is found again (journal.ts). Must
 * not import a door, another adapter or anything of core but its types and errors.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { MongoClient } from 'mongodb';
import type { MessageStore, PresenceStore, UserDirectory } from '../../core/ports.ts';
import { type Clock, systemClock } from '../../time/clock.ts';
import { Claims } from './claims.ts';
import { collectionsOf } from './collections.ts';
import { type ConnectionOptions, connect, explain } from './connection.ts';
import { Conversations } from './conversations.ts';
import { CursorWriter } from './cursor-writer.ts';
import { guarded, toChatError, unavailable } from './failure.ts';
import { Journal, type UnpublishedConversation } from './journal.ts';
import { LivingReader } from './living-reader.ts';
import { MessageReader } from './message-reader.ts';
import { MessageWriter } from './message-writer.ts';
import { prepareDatabase } from './migrations.ts';
import { PendingReader } from './pending-reader.ts';
import { presenceStore } from './presence-store.ts';
import { QuickMoves } from './quick-moves.ts';
import { Recent } from './recent.ts';
import { SCHEMA_COLLECTION } from './schema.ts';
import { serverTimeDifference } from './server-time.ts';
import { Statuses } from './statuses.ts';
import { UnreadReader } from './unread-reader.ts';
import { ensureLegacyUsersIndex, userDirectory } from './user-directory.ts';
import { WaveWriter } from './wave-writer.ts';

/** An answer that takes longer counts as none, in milliseconds. */
const REACHED_WITHIN_MS = 3000;

export interface MongoStoreOptions extends ConnectionOptions {
  /** Tells when leases are renewed and batches are written. Default: the system's clock. */
  readonly clock?: Pick<Clock, 'now' | 'monotonicMs'>;
  /**
   * Told how many milliseconds the server's clock is ahead of `clock`: before anything is written, and with each renewal of a
   * lease. Default: nothing happens.
   */
  readonly onTimeDifference?: (byMs: number) => void;
  /** Told what nobody waits for: upkeep that failed. Default: nothing happens. */
  readonly onError?: (error: unknown) => void;
  /** Told once each what the server does not have. Default: nothing happens. */
  readonly log?: (line: string) => void;
  /** The id under which this instance takes its lease. Default: one of its own, which has no lease. */
  readonly instanceId?: string;
  /**
   * Resolves when the events of all writes answered until now are where no crash of this instance reaches them; false if
   * some were given up. Default: at once, for a user who publishes nothing.
   */
  readonly published?: () => Promise<boolean>;
  /**
   * Told, with each sweep, of conversations with messages that are stored and whose instance cannot publish them any more.
   * Answered with false, they are told again. Default: nothing happens.
   */
  readonly onUnpublished?: (conversations: readonly UnpublishedConversation[]) => Promise<boolean>;
}

export interface MongoStore extends AsyncDisposable {
  readonly messages: MessageStore;
  readonly users: UserDirectory;
  readonly presence: PresenceStore;
  /** The driver's client, for whoever watches its events. */
  readonly client: MongoClient;
  /** Answers, within seconds, whether what is stored can be read. */
  isReachable(): Promise<boolean>;
  /** Finishes what was asked, then closes the connections. Idempotent; later calls reject. */
  close(): Promise<void>;
}

/**
 * Opens the store; makes the collections and indexes, or brings them to this version's schema.
 * @throws UnusableServerError, whose message says what to do and never holds the URI.
 */
export async function openMongoStore(options: MongoStoreOptions): Promise<MongoStore> {
  const clock = options.clock ?? systemClock;
  // As an error of the store: those of the driver may quote what a user wrote.
  const onError = (error: unknown): void => options.onError?.(toChatError(error));
  const log = options.log ?? (() => undefined);
  const { client, database } = await connect(options);
  /** Answers by how much that has put the clock right. */
  const compareClocks = async (): Promise<number> => {
    const byMs = options.onTimeDifference && (await serverTimeDifference(database, clock));
    if (byMs === undefined) return 0;
    const before = clock.now();
    options.onTimeDifference?.(byMs);
    return clock.now() - before;
  };
  let hasLegacyUsers: boolean;
  try {
    await compareClocks();
    await prepareDatabase(database, () => clock.now(), log);
    hasLegacyUsers = await ensureLegacyUsersIndex(database);
  } catch (error) {
    await client.close();
    throw explain(error, options);
  }
  const collections = collectionsOf(database);
  const recent = new Recent();
  const conversations = new Conversations(collections, recent);
  const claims = new Claims(collections);
  const journal = new Journal({
    collections,
    conversations,
    instanceId: options.instanceId ?? randomUUID(),
    published: options.published ?? (async () => true),
    onUnpublished: options.onUnpublished ?? (async () => true),
    onError,
  });
  const upkeep = new Upkeep(onError);
  const later = (work: () => Promise<unknown>): void => upkeep.start(work);
  const living = new LivingReader(collections, recent);
  const waves = new WaveWriter({
    collections,
    conversations,
    claims,
    journal,
    living,
    cursors: new CursorWriter(collections, recent),
    quick: new QuickMoves({ collections, conversations, living, recent }),
    recent,
    later,
  });
  const writer = new MessageWriter({
    collections,
    claims,
    journal,
    waves,
    recent,
    now: () => clock.now(),
    later,
  });
  const statuses = new Statuses(collections);
  const unread = new UnreadReader(collections);
  const reader = new MessageReader({ collections, conversations, claims, statuses, unread, recent });
  const pending = new PendingReader(collections, journal);
  let closing: Promise<void> | undefined;
  const ask = <T>(request: () => Promise<T>): Promise<T> =>
    closing === undefined ? guarded(request) : Promise.reject(unavailable(new Error('The store is closed')));
  const close = (): Promise<void> => {
    closing ??= (async () => {
      await writer.settled();
      await upkeep.settled();
      await journal.settled();
      await client.close();
    })();
    return closing;
  };
  return {
    messages: {
      write: (operations) => ask(() => writer.write(operations)),
      findMessage: (id) => ask(() => reader.findMessage(id)),
      listMessages: (userId, otherId, range) => ask(() => reader.listMessages(userId, otherId, range)),
      findConversation: (userId, otherId) => ask(() => reader.findConversation(userId, otherId)),
      listConversations: (userId, page) => ask(() => reader.listConversations(userId, page)),
      unreadCounts: (userId) => ask(() => reader.unreadCounts(userId)),
      listPending: (userId, page) => ask(() => pending.listPending(userId, page)),
      listPartners: (userId, limit) => ask(() => reader.listPartners(userId, limit)),
      findSendWithoutId: (query) => ask(() => pending.findSendWithoutId(query)),
      noteEvent: (event) => reader.noteEvent(event),
    },
    users: userDirectory(collections, database, hasLegacyUsers),
    presence: presenceStore({
      collections,
      compareClocks,
      now: () => clock.now(),
      recover: (nowMs, dead) => journal.recover(nowMs, dead),
    }),
    client,
    isReachable: () => {
      // A router answers a ping also where it reaches no shard; the driver knows no limit of its own for one request.
      const answer = database.collection(SCHEMA_COLLECTION).findOne({}, { projection: { _id: 1 } });
      return Promise.race([
        answer.then(
          () => true,
          () => false,
        ),
        delay(REACHED_WITHIN_MS, false, { ref: false }),
      ]);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Upkeep that may run at once; what is left out is made up for by the readers. */
const MAX_UPKEEP = 256;

/** Work that goes on after the answer, and that closing waits for. */
class Upkeep {
  readonly #onError: (error: unknown) => void;
  readonly #running = new Set<Promise<void>>();

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  start(work: () => Promise<unknown>): void {
    if (this.#running.size >= MAX_UPKEEP) return;
    const running = work()
      .then(() => undefined, this.#onError)
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }
}
