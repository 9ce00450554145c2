import { afterAll, beforeAll, describe, test } from 'vitest';
import { describeMessageStore } from '../../../contract/message-store.contract.ts';
import { describePresenceStore } from '../../../contract/presence-store.contract.ts';
import { describeUserDirectory } from '../../../contract/user-directory.contract.ts';
import { chooseMongoServers, type RunningMongo } from '../../../servers/mongo-servers.ts';
import { temporaryMongoStore } from './opened.ts';

for (const choice of await chooseMongoServers()) {
  describe(choice.kind, () => {
    if (choice.missing !== undefined) {
      test.skip(`${choice.kind} is not available: ${choice.missing}`, () => undefined);
      return;
    }
    let server: RunningMongo;
    beforeAll(async () => {
      server = await choice.start();
    });
    afterAll(() => server[Symbol.asyncDispose]());

    describeMessageStore(choice.kind, async () => {
      const { close, store } = await temporaryMongoStore(server.uri);
      return { store: store.messages, close };
    });
    describePresenceStore(choice.kind, async ({ clock }) => {
      const { close, store } = await temporaryMongoStore(server.uri, { clock });
      return { presence: store.presence, close };
    });
    describeUserDirectory(choice.kind, async () => {
      const { close, store } = await temporaryMongoStore(server.uri);
      return { users: store.users, close };
    });
  });
}
