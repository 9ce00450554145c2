/** Somebody who receives through one of the doors, and what has arrived there. */
import { EventFeed, type FeedKind } from './event-feed.ts';
import { openPage } from './pages.ts';
import { typedClient } from './rpc-clients.ts';
import { tokenFor } from './server.ts';

export interface Arrived {
  readonly id: string;
  readonly senderId: string;
  readonly text: string;
}

export interface Receiver extends AsyncDisposable {
  readonly userId: string;
  /** Messages to this user in the order of their arrival. */
  arrived(): Arrived[];
  until(done: () => boolean): Promise<void>;
}

/** A page, which never acknowledges. */
export async function hubReceiver(server: { url: string }, userId: string): Promise<Receiver> {
  const page = await openPage(server, userId);
  return {
    userId,
    arrived: () =>
      page.all('ReceiveMessage').map(([senderId, text, id]) => ({
        id: String(id),
        senderId: String(senderId),
        text: String(text),
      })),
    until: (done) => page.until(done),
    [Symbol.asyncDispose]: () => page.hub.stop(),
  };
}

/** A typed stream without a position. */
export async function streamReceiver(server: { url: string }, userId: string, kind: FeedKind): Promise<Receiver> {
  const client = typedClient(server.url, await tokenFor(userId));
  const feed = await EventFeed.open(client.chat, kind);
  return {
    userId,
    arrived: () => feed.messages.filter((message) => message.receiverId === userId),
    until: (done) => feed.until(done),
    async [Symbol.asyncDispose]() {
      await feed[Symbol.asyncDispose]();
      client[Symbol.dispose]();
    },
  };
}
