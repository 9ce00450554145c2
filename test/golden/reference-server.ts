/**
 * A server that the transcripts are replayed against: the product's SignalR server with the reference's hub on it.
 *
 * The chat part is a stand-in in memory that behaves as the reference does, so that the replay tests the SignalR server alone.
 */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { HubException } from '../../src/bridge/signalr/errors.ts';
import { type Hub, type HubConnection, type HubMethod, hub, method } from '../../src/bridge/signalr/hub.ts';
import { param } from '../../src/bridge/signalr/parameters.ts';
import { createSignalRServer } from '../../src/bridge/signalr/server.ts';
import { sharedInvocation } from '../../src/bridge/signalr/shared-invocation.ts';
import type { Clock } from '../../src/time/clock.ts';
import { referenceHelpers } from './reference-helpers.ts';
import { checkToken, mintToken, type ReferenceUser } from './reference-tokens.ts';

export interface ReferenceServerOptions {
  readonly clock: Clock;
  /** What the transcript's server was started with. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface ReferenceServer extends AsyncDisposable {
  readonly port: number;
  /** Mints the token that transcripts call `name`. */
  token(name: string): Promise<string>;
}

interface Message {
  readonly id: string;
  readonly senderId: string;
  readonly receiverId: string;
  readonly text: string;
  status: 'sent' | 'delivered' | 'read';
  readonly timestamp: string;
}

/** Starts a server on a free port. */
export async function startReferenceServer(options: ReferenceServerOptions): Promise<ReferenceServer> {
  const { clock } = options;
  const signalr = createSignalRServer<ReferenceUser>({
    hub: referenceHub(options),
    path: '/chathub',
    clock,
    authenticate: async ({ token }) => {
      const checked = await checkToken(token, clock.now());
      if (!checked.ok) return { ok: false, status: 401, challenge: checked.challenge };
      return { ok: true, user: { expiresAtMs: checked.expiresAtMs }, userId: checked.userId };
    },
  });
  const server = createServer({ shouldUpgradeCallback: ({ headers }) => headers.upgrade === 'websocket' });
  server.on('request', (request, response) => {
    if (!signalr.handleRequest(request, response)) response.writeHead(404, { 'Content-Length': '0' }).end();
  });
  server.on('upgrade', (request, socket, head) => {
    if (!signalr.handleUpgrade(request, socket, head)) socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    token: (name) => mintToken(name, clock.now()),
    async [Symbol.asyncDispose]() {
      signalr.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function referenceHub({ clock, environment }: ReferenceServerOptions): Hub<ReferenceUser> {
  const online = new Map<string, Set<HubConnection<ReferenceUser>>>();
  const messages: Message[] = [];
  const everyone = (): HubConnection<ReferenceUser>[] =>
    [...online.values()].flatMap((connections) => [...connections]);
  const sendTo = (userId: string, target: string, args: readonly unknown[]): void => {
    const invocation = sharedInvocation(target, args);
    for (const connection of online.get(userId) ?? []) connection.sendShared(invocation);
  };
  const announce = (userId: string, status: string): void => {
    if (environment.STATUS_BROADCAST !== '1') return;
    const invocation = sharedInvocation('UserStatusChanged', [userId, status]);
    for (const connection of everyone()) connection.sendShared(invocation);
  };
  const advance = (messageId: string | null, status: 'delivered' | 'read'): void => {
    const message = messages.find(({ id }) => id === messageId);
    if (message === undefined) return;
    message.status = status;
    sendTo(message.senderId, 'MessageStatusChanged', [message.id, status]);
  };
  const methods: Record<string, HubMethod<ReferenceUser>> = {
    ...referenceHelpers<ReferenceUser>(),
    SendMessage: method([param.string, param.string, param.string], (_context, senderId, receiverId, text) => {
      if (!senderId || !receiverId || !text) throw new HubException('Invalid message parameters');
      const timestamp = new Date(clock.now()).toISOString();
      const message: Message = { id: randomUUID(), senderId, receiverId, text, status: 'sent', timestamp };
      messages.push(message);
      sendTo(receiverId, 'ReceiveMessage', [senderId, text, message.id, 'sent']);
      return message.id;
    }),
    GetMessageHistory: method(
      [param.string, param.string, param.optional(param.int, 0), param.optional(param.int, 50)],
      (_context, first, second, skip, take) => {
        const pair = messages.filter(({ senderId, receiverId }) =>
          senderId === first ? receiverId === second : senderId === second && receiverId === first,
        );
        return pair.slice(Math.max(0, pair.length - skip - take), pair.length - skip);
      },
    ),
    GetOnlineStatus: method([param.string], (_context, userId) => {
      if (userId === null) throw new TypeError('userId is null');
      return online.has(userId);
    }),
    GetOnlineUsers: method([], () => [...online.keys()]),
    MessageReceived: method([param.string], (_context, messageId) => advance(messageId, 'delivered')),
    MessageRead: method([param.string], (_context, messageId) => advance(messageId, 'read')),
  };
  return hub<ReferenceUser>({
    methods,
    options: { enableDetailedErrors: environment.DETAILED_ERRORS === '1' },
    onConnected(connection) {
      const { userId } = connection;
      if (userId === undefined) throw new HubException('Authentication required');
      online.set(userId, (online.get(userId) ?? new Set()).add(connection));
      announce(userId, 'Online');
      if (environment.CLOSE_ON_AUTH_EXPIRATION !== '1') return;
      clock.schedule(connection.user.expiresAtMs - clock.now(), () => connection.close({ allowReconnect: true }));
    },
    onDisconnected(connection) {
      const { userId } = connection;
      if (userId === undefined) return;
      const connections = online.get(userId);
      connections?.delete(connection);
      if (connections?.size === 0) online.delete(userId);
      announce(userId, 'Offline');
    },
  });
}
