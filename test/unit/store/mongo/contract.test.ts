import { afterAll, beforeAll, describe } from 'vitest';
import { describeMessageStore } from '../../../contract/message-store.contract.ts';
import { describePresenceStore } from '../../../contract/presence-store.contract.ts';
import { describeUserDirectory } from '../../../contract/user-directory.contract.ts';
import { chooseMongoServers, type RunningMongo } from '../../../servers/mongo-servers.ts';
import { skipWhatCannotHold } from './capabilities.ts';
import { freshMessageStore } from './fresh-store.ts';
import { temporaryMongoStore } from './opened.ts';

for (const choice of await chooseMongoServers()) {
  describe.skipIf(choice.missing !== undefined)(`${choice.kind}${choice.missing ? ` (${choice.missing})` : ''}`, () => {
    let server: RunningMongo;
    beforeAll(async () => {
      server = await choice.start();
    });
    afterAll(() => server[Symbol.asyncDispose]());
    skipWhatCannotHold(choice.kind);

    describe('with a database for each case', () => {
      const store = freshMessageStore(() => server.uri);
      describeMessageStore(choice.kind, async () => ({ store, close: async () => undefined }));
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
