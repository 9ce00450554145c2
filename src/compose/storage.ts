/** Chooses and opens the store and the broker: MongoDB and Redis where they are configured, else the embedded pair. */
import { MemoryBroker } from '../broker/memory.ts';
import { openRedisBroker } from '../broker/redis/broker.ts';
import type { Config } from '../config.ts';
import type { Broker, MessageStore, PresenceStore, UserDirectory } from '../core/ports.ts';
import type { Logger } from '../ops/logger.ts';
import type { UnpublishedConversation } from '../store/mongo/journal.ts';
import { openMongoStore } from '../store/mongo/store.ts';
import { openSqliteStore } from '../store/sqlite/store.ts';
import type { SharedClock } from '../time/shared-clock.ts';

export interface StorageDependencies {
  readonly config: Config;
  readonly clock: SharedClock;
  readonly log: Logger;
  /** The id of this instance's lease. */
  readonly instanceId: string;
  /** See `MongoStoreOptions`. */
  readonly published: () => Promise<boolean>;
  readonly onUnpublished: (conversations: readonly UnpublishedConversation[]) => Promise<boolean>;
}

export interface Store extends AsyncDisposable {
  readonly messages: MessageStore;
  readonly presence: PresenceStore;
  readonly users: UserDirectory;
  /** Answers whether it can be reached; absent where it cannot go away. */
  isReachable?(): Promise<boolean>;
}

/** @throws Error in words for the operator. */
export async function openStore(dependencies: StorageDependencies): Promise<Store> {
  const { clock, config, instanceId, log, onUnpublished, published } = dependencies;
  const onError = (error: unknown): void => log.error('background.failed', {}, error);
  const { mongodbDatabase: database, mongodbUri } = config.storage;
  if (mongodbUri === undefined) return openSqliteStore({ dataDir: config.server.dataDir, clock, onError });
  return openMongoStore({
    uri: mongodbUri.reveal(),
    database,
    clock,
    instanceId,
    published,
    onUnpublished,
    onError,
    onTimeDifference: (byMs) => clock.differs(byMs),
    log: (line) => log.warn('store.lacks', { what: line }),
  });
}

/** @throws Error in words for the operator. */
export async function openBroker({
  clock,
  config,
  log,
}: Pick<StorageDependencies, 'clock' | 'config' | 'log'>): Promise<Broker & AsyncDisposable> {
  const { eventLogMaxAgeMs: maxAgeMs, eventLogMaxEvents: maxEvents } = config.streams;
  const { redisPrefix: prefix, redisUrl } = config.storage;
  if (redisUrl === undefined) return new MemoryBroker({ clock, maxEvents, maxAgeMs });
  return openRedisBroker({
    url: redisUrl.reveal(),
    prefix,
    clock,
    maxEvents,
    maxAgeMs,
    onError: (error) => log.error('broker.failed', {}, error),
  });
}
