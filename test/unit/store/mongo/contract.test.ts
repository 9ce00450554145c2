import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeMessageStore } from '../../../contract/message-store.contract.ts';
import { describePresenceStore } from '../../../contract/presence-store.contract.ts';
import { describeUserDirectory } from '../../../contract/user-directory.contract.ts';
import { chooseMongoServers, type RunningMongo } from '../../../servers/mongo-servers.ts';
import { skipWhatCannotHold } from './capabilities.ts';
import { CommandWatch } from './command-check.ts';
import { freshMessageStore } from './fresh-store.ts';
import { temporaryMongoStore } from './opened.ts';

for (const choice of await chooseMongoServers()) {
  describe.skipIf(choice.missing !== undefined)(`${choice.kind}${choice.missing ? ` (${choice.missing})` : ''}`, () => {
    let server: RunningMongo;
    const commands = new CommandWatch();
    beforeAll(async () => {
      server = await choice.start();
    });
    afterAll(() => server[Symbol.asyncDispose]());
    skipWhatCannotHold(choice.kind);

    describe('with a database for each case', () => {
      const store = freshMessageStore(() => server.uri, commands);
      describeMessageStore(choice.kind, async () => ({ store, close: async () => undefined }));
    });
    describePresenceStore(choice.kind, async ({ clock }) => {
      const { close, store } = await temporaryMongoStore(server.uri, { clock }, commands);
      return { presence: store.presence, close };
    });
    describeUserDirectory(choice.kind, async () => {
      const { close, store } = await temporaryMongoStore(server.uri, {}, commands);
      return { users: store.users, close };
    });

    test('every command of the suites is served by an index and carries the shard key', async () => {
      expect([...commands.objections]).toEqual([]);
      expect(commands.checked).toBeGreaterThan(1000);
      if (choice.kind !== 'MongoDB') return;
      const { close, database, store } = await temporaryMongoStore(server.uri);
      expect(await commands.explain(store.client, database)).toEqual([]);
      await close();
    });
  });
}
