import { describeMessageStore } from '../../../contract/message-store.contract.ts';
import { describePresenceStore } from '../../../contract/presence-store.contract.ts';
import { describeUserDirectory } from '../../../contract/user-directory.contract.ts';
import { temporaryStore } from './temporary-store.ts';

describeMessageStore('SQLite', async () => {
  const { close, store } = await temporaryStore();
  return { store: store.messages, close };
});

describePresenceStore('SQLite', async ({ clock }) => {
  const { close, store } = await temporaryStore({ clock });
  return { presence: store.presence, close };
});

describeUserDirectory('SQLite', async () => {
  const { close, store } = await temporaryStore();
  return { users: store.users, close };
});
