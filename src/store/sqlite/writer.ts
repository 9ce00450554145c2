/**
 * Executes requests that change something: all that wait together are one transaction, durable before any is answered.
 *
 * The good path has no savepoints. If one item throws, the transaction is rolled back and run again item by item, each
 * in its own savepoint, so that it fails alone. If the file, the disk or a lock is in trouble, everything fails, nothing
 * is kept, and the connection is opened anew for the next request.
 */
import type { UserProfile } from '../../core/message.ts';
import type { PresenceWrite, WriteOp, WriteOutcome } from '../../core/ports.ts';
import { ConversationTable } from './conversation-table.ts';
import { Database, isBusy, isItemError } from './database.ts';
import { describeFailure } from './failure.ts';
import { MessageWriter } from './message-writer.ts';
import { PresenceWriter } from './presence-table.ts';
import { ProfileTable } from './profile-table.ts';
import { decodeOperations, encodeOutcomes, type Reply, type Request, type WorkerSettings } from './protocol.ts';
import { prepareFile } from './schema.ts';

const CACHE_KIB = 8192;
/** A longer log is copied into the file; hot pages are copied once for all their versions. 16 MiB. */
const CHECKPOINT_PAGES = 4096;
const LOG_KEPT_BYTES = 32 * 1024 * 1024;

/** One connection and what works on it. */
interface Session {
  readonly database: Database;
  readonly conversations: ConversationTable;
  readonly messages: MessageWriter;
  readonly presence: PresenceWriter;
  readonly profiles: ProfileTable;
}

/** A request as a sequence of items that succeed or fail one by one. */
interface Job {
  readonly number: number;
  readonly items: readonly ((session: Session) => unknown)[];
  /** Results so far, by item. */
  readonly results: unknown[];
  /** Result of the request. Throws if the request as a whole failed. */
  finish(): unknown;
}

/** Stands for the result of an item that failed. */
class ItemFailure {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

export class Writer {
  readonly #settings: WorkerSettings;
  #session: Session | undefined;

  constructor(settings: WorkerSettings) {
    this.#settings = settings;
  }

  /** Answers every request; never throws. */
  handle(requests: readonly Request[]): Reply[] {
    const jobs: Job[] = [];
    const replies: Reply[] = [];
    for (const request of requests) {
      try {
        jobs.push(toJob(request));
      } catch (error) {
        replies.push([request[0], describeFailure(error), undefined]);
      }
    }
    if (requests.some(([, kind]) => kind === 'reopen')) this.close();
    try {
      this.#execute(jobs);
    } catch (error) {
      const failure = describeFailure(error);
      return [...replies, ...jobs.map((job): Reply => [job.number, failure, undefined])];
    }
    return [...replies, ...jobs.map(finish)];
  }

  /** Closes the connection; the next request opens one. */
  close(): void {
    this.#session?.database.close();
    this.#session = undefined;
  }

  #execute(jobs: readonly Job[]): void {
    const session = this.#open();
    const { database, conversations } = session;
    try {
      try {
        database.beginWrite();
        for (const job of jobs) for (const item of job.items) job.results.push(item(session));
        conversations.flush();
        database.commit();
      } catch (error) {
        database.rollback();
        conversations.reset();
        if (!isItemError(error)) throw error;
        this.#executeOneByOne(session, jobs);
      }
      conversations.trim();
    } catch (error) {
      database.rollback();
      conversations.reset();
      if (!isBusy(error)) this.close();
      throw error;
    }
  }

  #executeOneByOne(session: Session, jobs: readonly Job[]): void {
    session.database.beginWrite();
    for (const job of jobs) {
      job.results.length = 0;
      for (const item of job.items) job.results.push(this.#attempt(session, item));
    }
    session.database.commit();
  }

  #attempt(session: Session, item: (session: Session) => unknown): unknown {
    const { database, conversations } = session;
    database.exec('SAVEPOINT item');
    try {
      const result = item(session);
      conversations.flush();
      database.exec('RELEASE item');
      return result;
    } catch (error) {
      if (!isItemError(error)) throw error;
      database.exec('ROLLBACK TO item; RELEASE item');
      conversations.reset();
      return new ItemFailure(error);
    }
  }

  #open(): Session {
    if (this.#session !== undefined) return this.#session;
    const database = Database.open(this.#settings.path, {
      cacheKib: CACHE_KIB,
      busyTimeoutMs: this.#settings.busyTimeoutMs,
    });
    try {
      prepareFile(database);
      database.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}; PRAGMA journal_size_limit = ${LOG_KEPT_BYTES}`);
      const conversations = new ConversationTable(database);
      this.#session = {
        database,
        conversations,
        messages: new MessageWriter(database, conversations),
        presence: new PresenceWriter(database),
        profiles: new ProfileTable(database),
      };
      return this.#session;
    } catch (error) {
      database.close();
      throw error;
    }
  }
}

function finish(job: Job): Reply {
  try {
    return [job.number, undefined, job.finish()];
  } catch (error) {
    return [job.number, describeFailure(error), undefined];
  }
}

function toJob([number, kind, body]: Request): Job {
  switch (kind) {
    case 'write':
      return writeJob(number, decodeOperations(body as unknown[]));
    case 'renewLease': {
      const [instanceId, untilMs, nowMs] = body as [string, number, number];
      return singleJob(number, ({ presence }) => presence.renewLease(instanceId, untilMs, nowMs));
    }
    case 'applyPresence': {
      const [instanceId, writes, nowMs] = body as [string, PresenceWrite[], number];
      return singleJob(number, ({ presence }) => presence.apply(instanceId, writes, nowMs));
    }
    case 'sweepPresence':
      return singleJob(number, ({ presence }) => presence.sweep(body as number));
    case 'upsertProfile':
      return singleJob(number, ({ profiles }) => profiles.upsert(body as UserProfile));
    case 'open':
    case 'reopen':
      return singleJob(number, () => undefined);
    default:
      throw new TypeError('The writer was asked for something it does not do');
  }
}

function writeJob(number: number, operations: readonly WriteOp[]): Job {
  const results: unknown[] = [];
  return {
    number,
    items: operations.map((operation) => (session) => session.messages.execute(operation)),
    results,
    finish: () =>
      encodeOutcomes(
        results.map((result): WriteOutcome => {
          if (!(result instanceof ItemFailure)) return result as WriteOutcome;
          const { error } = result;
          return { type: 'failed', error: error instanceof Error ? error : new Error(String(error)) };
        }),
      ),
  };
}

function singleJob(number: number, item: (session: Session) => unknown): Job {
  const results: unknown[] = [];
  return {
    number,
    items: [item],
    results,
    finish: () => {
      if (results[0] instanceof ItemFailure) throw results[0].error;
      return results[0];
    },
  };
}
