/** A message store that is another one for each case, so that a server that scans has little to scan. */
import { afterEach, beforeEach } from 'vitest';
import type { MessageStore } from '../../../../src/core/ports.ts';
import type { CommandWatch } from './command-check.ts';
import { type TemporaryMongoStore, temporaryMongoStore } from './opened.ts';

/** Registers hooks in the current block. The cases of a contract suite are independent of each other. */
export function freshMessageStore(uri: () => string, commands: CommandWatch): MessageStore {
  let current: TemporaryMongoStore | undefined;
  const store = (): MessageStore => {
    if (current === undefined) throw new Error('No case is running');
    return current.store.messages;
  };
  beforeEach(async () => {
    current = await temporaryMongoStore(uri(), {}, commands);
  });
  afterEach(async () => {
    await current?.close();
    current = undefined;
  });
  return {
    write: (operations) => store().write(operations),
    findMessage: (id) => store().findMessage(id),
    listMessages: (userId, otherId, range) => store().listMessages(userId, otherId, range),
    findConversation: (userId, otherId) => store().findConversation(userId, otherId),
    listConversations: (userId, page) => store().listConversations(userId, page),
    unreadCounts: (userId) => store().unreadCounts(userId),
    listPending: (userId, page) => store().listPending(userId, page),
    listPartners: (userId, limit) => store().listPartners(userId, limit),
    findSendWithoutId: (query) => store().findSendWithoutId(query),
  };
}
