/** Stores on databases of their own, which are gone after the test. */
import { randomUUID } from 'node:crypto';
import { type MongoStore, type MongoStoreOptions, openMongoStore } from '../../../../src/store/mongo/store.ts';

import type { CommandWatch } from './command-check.ts';

export interface TemporaryMongoStore {
  readonly store: MongoStore;
  readonly database: string;
  close(): Promise<void>;
}

export async function temporaryMongoStore(
  uri: string,
  options: Partial<MongoStoreOptions> = {},
  commands?: CommandWatch,
): Promise<TemporaryMongoStore> {
  const database = options.database ?? `chat-test-${randomUUID().slice(0, 8)}`;
  const store = await openMongoStore({ uri, database, monitorCommands: commands !== undefined, ...options });
  commands?.watch(store.client);
  return {
    store,
    database,
    async close() {
      await store.client.db(database).dropDatabase();
      await store.close();
    },
  };
}
