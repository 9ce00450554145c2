/** Many sends at once through both kinds of doors, and the server killed among them. */

import { openPage } from './pages.ts';
import { typedClient } from './rpc-clients.ts';
import { tokenFor } from './server.ts';

export interface Sender extends AsyncDisposable {
  readonly userId: string;
  /** @returns the message id, once acknowledged. */
  send(receiverId: string, text: string, clientMessageId: string | undefined): Promise<string>;
}

/** One send and what became of it. */
export interface Sent {
  readonly sender: Sender;
  readonly receiverId: string;
  /** Unlike that of every other send. */
  readonly text: string;
  readonly clientMessageId: string | undefined;
  /** The message id; undefined if it was not acknowledged. */
  readonly acknowledged: string | undefined;
}

export async function hubSender(server: { url: string }, userId: string): Promise<Sender> {
  const page = await openPage(server, userId);
  return {
    userId,
    send: (receiverId, text, clientMessageId) =>
      clientMessageId === undefined
        ? page.send(userId, receiverId, text)
        : page.send(userId, receiverId, text, clientMessageId),
    [Symbol.asyncDispose]: () => page.hub.stop(),
  };
}

export async function typedSender(
  server: { url: string },
  userId: string,
  transport: 'connect-node gRPC' | 'connect-node Connect over HTTP/2',
): Promise<Sender> {
  const client = typedClient(server.url, await tokenFor(userId), transport);
  return {
    userId,
    async send(receiverId, text, clientMessageId = '') {
      const { message } = await client.chat.sendMessage({ receiverId, text, clientMessageId });
      if (message === undefined) throw new Error('The answer has no message');
      return message.id;
    },
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
    },
  };
}

export interface Storm {
  readonly sent: readonly Sent[];
  /** Sends without an answer at the moment of the kill. */
  readonly outstandingAtKill: number;
}

/**
 * Begins `count` sends at once, every other one with a client id, and calls `kill` when `killAfter` of them are
 * acknowledged. Resolves when each has its answer or has failed.
 */
export async function storm(options: {
  readonly senders: readonly Sender[];
  readonly receivers: readonly string[];
  readonly count: number;
  readonly label: string;
  readonly killAfter: number;
  readonly kill: () => Promise<unknown>;
}): Promise<Storm> {
  const { count, kill, killAfter, label, receivers, senders } = options;
  let acknowledgedCount = 0;
  let outstandingAtKill = 0;
  let killed: Promise<unknown> | undefined;
  const sent = Array.from({ length: count }, async (_, n): Promise<Sent> => {
    const sender = pick(senders, n);
    const receiverId = pick(receivers, Math.floor(n / senders.length));
    const text = `${label}, send ${n}`;
    const clientMessageId = Math.floor(n / senders.length) % 2 === 0 ? `${label}-${n}` : undefined;
    const acknowledged = await sender.send(receiverId, text, clientMessageId).catch(() => undefined);
    if (acknowledged !== undefined) acknowledgedCount += 1;
    if (acknowledgedCount === killAfter && killed === undefined) {
      outstandingAtKill = count - acknowledgedCount;
      killed = kill();
    }
    return { sender, receiverId, text, clientMessageId, acknowledged };
  });
  const all = await Promise.all(sent);
  await killed;
  return { sent: all, outstandingAtKill };
}

export function pick<T>(items: readonly T[], n: number): T {
  const item = items[n % items.length];
  if (item === undefined) throw new Error('There is nothing to pick from');
  return item;
}
