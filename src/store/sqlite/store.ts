/**
 * The embedded store: messages, users and presence in one SQLite file. One thread writes, one reads, so that neither
 * the event loop nor a commit waits for a disk or a long read.
 *
 * Acknowledged means committed with a full sync of the write-ahead log. Trouble with the file rejects with
 * `unavailable` and leaves nothing half written; the next call after it is gone succeeds. Must not import a door,
 * another adapter or anything of core but its types and errors.
 */
import { join } from 'node:path';
import type { ConversationView, Message, MessageView, Presence, UserProfile } from '../../core/message.ts';
import type { MessageStore, PresenceStore, UserDirectory } from '../../core/ports.ts';
import { type Clock, systemClock } from '../../time/clock.ts';
import { DirectoryLock } from './directory-lock.ts';
import type { Failure } from './protocol.ts';
import { decodeOutcomes, encodeOperations } from './protocol.ts';
import { UnusableFileError } from './schema.ts';
import { WorkerLink } from './worker-link.ts';

export interface SqliteStoreOptions {
  /** Directory of the file `chat.sqlite` and its companions; made if it is not there. One process at a time. */
  readonly dataDir: string;
  /** Tells when leases are renewed. Default: the system's clock. */
  readonly clock?: Pick<Clock, 'now'>;
  /** Told what nobody waits for: a worker thread that died. Default: nothing happens. */
  readonly onError?: (error: unknown) => void;
  /** How long a statement waits for a lock of another program (a backup, a shell), in milliseconds. Default 500. */
  readonly busyTimeoutMs?: number;
}

export interface SqliteStore extends AsyncDisposable {
  readonly messages: MessageStore;
  readonly users: UserDirectory;
  readonly presence: PresenceStore;
  /** Finishes what was asked, then closes the file. Idempotent; later calls reject. */
  close(): Promise<void>;
}

const WRITER_HEAP_MIB = 96;
const READER_HEAP_MIB = 96;

/**
 * Opens the store; makes the file, or brings it to this version's schema.
 * @throws UnusableFileError, whose message says what to do; ChatError `unavailable` if the file is locked or the disk fails.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<SqliteStore> {
  const lock = await DirectoryLock.take(options.dataDir);
  const links = connect(options);
  try {
    await links.writer.ask('open', undefined);
    await links.reader.ask('listPartners', ['', 0]);
  } catch (error) {
    await links.close();
    lock[Symbol.dispose]();
    throw links.unusable() ?? error;
  }
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= links.close().finally(() => lock[Symbol.dispose]());
    return closing;
  };
  const clock = options.clock ?? systemClock;
  return {
    messages: messageStore(links),
    users: userDirectory(links),
    presence: presenceStore(links, clock),
    close,
    [Symbol.asyncDispose]: close,
  };
}

interface Links {
  readonly writer: WorkerLink;
  readonly reader: WorkerLink;
  /** The reason why only an operator can help, if that was the last failure. */
  unusable(): Error | undefined;
  close(): Promise<void>;
}

function connect(options: SqliteStoreOptions): Links {
  const settings = { path: join(options.dataDir, 'chat.sqlite'), busyTimeoutMs: options.busyTimeoutMs ?? 500 };
  const onCrash = options.onError ?? (() => undefined);
  let last: Failure | undefined;
  const noteFailure = (failure: Failure, other: WorkerLink): void => {
    last = failure;
    // What one connection found damaged, the other may still hold in its cache, and write back over a repaired file.
    if (failure.kind === 'damaged' || failure.kind === 'unusable')
      other.ask('reopen', undefined).catch(() => undefined);
  };
  const writer: WorkerLink = new WorkerLink({
    url: new URL('./writer.worker.ts', import.meta.url),
    name: 'store-writer',
    settings,
    maxHeapMib: WRITER_HEAP_MIB,
    onFailure: (failure) => noteFailure(failure, reader),
    onCrash,
  });
  const reader: WorkerLink = new WorkerLink({
    url: new URL('./reader.worker.ts', import.meta.url),
    name: 'store-reader',
    settings,
    maxHeapMib: READER_HEAP_MIB,
    onFailure: (failure) => noteFailure(failure, writer),
    onCrash,
  });
  return {
    writer,
    reader,
    unusable: () => (last?.kind === 'unusable' ? new UnusableFileError(last.message) : undefined),
    async close() {
      // The writer last: the connection that closes last empties the write-ahead log into the file.
      await reader.close();
      await writer.close();
    },
  };
}

function messageStore({ reader, writer }: Links): MessageStore {
  return {
    async write(operations) {
      if (operations.length === 0) return [];
      return decodeOutcomes(await writer.ask<unknown[]>('write', encodeOperations(operations)), operations);
    },
    findMessage: (id) => reader.ask<Message | undefined>('findMessage', [id]),
    listMessages: (userId, otherId, range) => reader.ask<MessageView[]>('listMessages', [userId, otherId, range]),
    findConversation: (userId, otherId) =>
      reader.ask<ConversationView | undefined>('findConversation', [userId, otherId]),
    listConversations: (userId, page) => reader.ask('listConversations', [userId, page]),
    unreadCounts: (userId) => reader.ask('unreadCounts', [userId]),
    listPending: (userId, page) => reader.ask<Message[]>('listPending', [userId, page]),
    listPartners: (userId, limit) => reader.ask<string[]>('listPartners', [userId, limit]),
    findSendWithoutId: (query) => reader.ask<Message | undefined>('findSendWithoutId', [query]),
  };
}

function userDirectory({ reader, writer }: Links): UserDirectory {
  return {
    async find(userIds) {
      const found = await reader.ask<UserProfile[]>('findProfiles', [userIds]);
      return new Map(found.map((profile) => [profile.userId, profile]));
    },
    upsert: (profile) => writer.ask<void>('upsertProfile', profile),
  };
}

function presenceStore({ reader, writer }: Links, clock: Pick<Clock, 'now'>): PresenceStore {
  return {
    renewLease: async (instanceId, untilMs) => {
      await writer.ask<void>('renewLease', [instanceId, untilMs, clock.now()]);
      return false;
    },
    apply: (instanceId, writes, nowMs) => writer.ask('applyPresence', [instanceId, writes, nowMs]),
    async find(userIds, nowMs) {
      const found = await reader.ask<Presence[]>('findPresence', [userIds, nowMs]);
      return new Map(found.map((presence) => [presence.userId, presence]));
    },
    listOnline: (page, nowMs) => reader.ask<string[]>('listOnline', [page, nowMs]),
    sweep: (nowMs) => writer.ask<Presence[]>('sweepPresence', nowMs),
    previousSignOfLife: (instanceId) => reader.ask<number | undefined>('previousSignOfLife', [instanceId]),
  };
}
