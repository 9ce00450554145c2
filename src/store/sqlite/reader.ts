/**
 * Answers reads on a connection of its own, beside the writer: the write-ahead log shows each read one state of the
 * file, which holds every transaction that was committed before. Never writes.
 */
import { existsSync } from 'node:fs';
import { Database, isBusy, isItemError } from './database.ts';
import { describeFailure } from './failure.ts';
import { MessageReader } from './message-reader.ts';
import { PendingReader } from './pending-reader.ts';
import { PresenceReader } from './presence-table.ts';
import { ProfileTable } from './profile-table.ts';
import type { Reply, Request, WorkerSettings } from './protocol.ts';
import { checkFile, UnusableFileError } from './schema.ts';

const CACHE_KIB = 4096;

interface Session {
  readonly database: Database;
  readonly messages: MessageReader;
  readonly pending: PendingReader;
  readonly presence: PresenceReader;
  readonly profiles: ProfileTable;
}

export class Reader {
  readonly #settings: WorkerSettings;
  #session: Session | undefined;

  constructor(settings: WorkerSettings) {
    this.#settings = settings;
  }

  /** Answers one request; never throws. */
  handle([number, kind, body]: Request): Reply {
    try {
      if (kind === 'reopen') {
        this.close();
        return [number, undefined, undefined];
      }
      return [number, undefined, this.#read(kind, body as readonly unknown[])];
    } catch (error) {
      return [number, describeFailure(error), undefined];
    }
  }

  /** Closes the connection; the next request opens one. */
  close(): void {
    this.#session?.database.close();
    this.#session = undefined;
  }

  #read(kind: string, args: readonly unknown[]): unknown {
    const session = this.#open();
    try {
      session.database.begin();
      const result = answer(session, kind, args);
      session.database.commit();
      return result;
    } catch (error) {
      session.database.rollback();
      if (!isItemError(error) && !isBusy(error)) this.close();
      throw error;
    }
  }

  #open(): Session {
    if (this.#session !== undefined) return this.#session;
    if (!existsSync(this.#settings.path)) throw new UnusableFileError('chat.sqlite is missing from DATA_DIR');
    const database = Database.open(this.#settings.path, {
      cacheKib: CACHE_KIB,
      busyTimeoutMs: this.#settings.busyTimeoutMs,
      queryOnly: true,
    });
    try {
      checkFile(database);
      this.#session = {
        database,
        messages: new MessageReader(database),
        pending: new PendingReader(database),
        presence: new PresenceReader(database),
        profiles: new ProfileTable(database),
      };
      return this.#session;
    } catch (error) {
      database.close();
      throw error;
    }
  }
}

/** The reads by name, with their arguments as the ports have them. */
function answer(session: Session, kind: string, args: readonly unknown[]): unknown {
  const { messages, pending, presence, profiles } = session;
  switch (kind) {
    case 'findMessage':
      return messages.findMessage(...(args as Parameters<MessageReader['findMessage']>));
    case 'listMessages':
      return messages.listMessages(...(args as Parameters<MessageReader['listMessages']>));
    case 'findConversation':
      return messages.findConversation(...(args as Parameters<MessageReader['findConversation']>));
    case 'listConversations':
      return messages.listConversations(...(args as Parameters<MessageReader['listConversations']>));
    case 'unreadCounts':
      return messages.unreadCounts(...(args as Parameters<MessageReader['unreadCounts']>));
    case 'listPartners':
      return messages.listPartners(...(args as Parameters<MessageReader['listPartners']>));
    case 'listPending':
      return pending.listPending(...(args as Parameters<PendingReader['listPending']>));
    case 'findSendWithoutId':
      return pending.findSendWithoutId(...(args as Parameters<PendingReader['findSendWithoutId']>));
    case 'findProfiles':
      return profiles.find(...(args as Parameters<ProfileTable['find']>));
    case 'findPresence':
      return presence.find(...(args as Parameters<PresenceReader['find']>));
    case 'listOnline':
      return presence.listOnline(...(args as Parameters<PresenceReader['listOnline']>));
    case 'previousSignOfLife':
      return presence.previousSignOfLife(...(args as Parameters<PresenceReader['previousSignOfLife']>));
    default:
      throw new TypeError('The reader was asked for something it does not do');
  }
}
