/**
 * From an upgrade request to a connection: the checks in their order, and the refusals.
 *
 * Until the WebSocket is open the socket belongs to this file: it listens for errors, and a deadline ends it when the answer of
 * `authenticate` does not come. A client that leaves meanwhile, or speaks early, is no special case: early bytes stay in the socket.
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  type Authentication,
  admission,
  authenticate,
  ID_IN_USE,
  ID_OF_ANOTHER,
  NO_CONNECTION_ID_GET,
  originRefusal,
  type Refusal,
  remoteAddressOf,
  SHUTTING_DOWN,
  TRANSPORT_NOT_OFFERED,
  UNKNOWN_CONNECTION,
  unauthenticated,
} from './access.ts';
import { ConnectionRequest } from './connection-request.ts';
import type { ActiveConnection, ConnectionTable, Entry } from './connection-table.ts';
import type { EndpointSettings } from './endpoint.ts';
import { newConnectionId } from './negotiate.ts';
import type { Target } from './request.ts';
import { WebSocketAcceptor } from './websocket-transport.ts';

const WEBSOCKET_KEY = /^[+/0-9a-z]{22}==$/i;

type Settings<User> = Omit<EndpointSettings<User>, 'path'>;

/** The upgrades of one endpoint. */
export class Upgrades<User> {
  readonly #settings: Settings<User>;
  readonly #table: ConnectionTable<User>;
  readonly #isShuttingDown: () => boolean;
  readonly #acceptor: WebSocketAcceptor;

  constructor(settings: Settings<User>, table: ConnectionTable<User>, isShuttingDown: () => boolean) {
    const { closeTimeoutMs, maximumFrameBytes } = settings.options;
    this.#settings = settings;
    this.#table = table;
    this.#isShuttingDown = isShuttingDown;
    this.#acceptor = new WebSocketAcceptor(maximumFrameBytes, closeTimeoutMs);
  }

  /** Handles an upgrade request for the endpoint's path to its end. */
  handle(request: IncomingMessage, socket: Duplex, head: Buffer, target: Target): void {
    const { clock, hooks, onError, options } = this.#settings;
    socket.on('error', ignore);
    const refusal = originRefusal(hooks, request.headers, onError);
    if (refusal !== undefined) {
      refuse(socket, refusal);
      return;
    }
    const deadline = clock.schedule(options.handshakeTimeoutMs, () => socket.destroy());
    const failed = (error: unknown): void => onError(error, 'authenticate');
    authenticate(hooks, request, target, failed, (result) => {
      deadline.cancel();
      if (socket.destroyed) return;
      if (!result.ok) refuse(socket, unauthenticated(result));
      else this.#admit(request, socket, head, target, result);
    });
  }

  #admit(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    target: Target,
    who: Authentication<User> & { readonly ok: true },
  ): void {
    const { hooks, onBusy, onError, owner } = this.#settings;
    const { user, userId, expiresAtMs } = who;
    const entry = this.#entryFor(request, target, userId);
    if (entry !== undefined && 'status' in entry) {
      refuse(socket, entry);
      return;
    }
    if (entry?.active !== undefined) {
      this.#reattach(request, socket, head, entry.active, who);
      return;
    }
    const remoteAddress = remoteAddressOf(hooks, request);
    const admitted = admission(hooks, { user, userId, remoteAddress }, onError);
    if ('status' in admitted) {
      refuse(socket, admitted);
      return;
    }
    const id = entry?.connectionId ?? newConnectionId();
    const isStateful = entry?.isStateful ?? false;
    const { release } = admitted;
    // Until the connection is open the socket stands for it; whatever happens to it, what was taken is given back.
    let isOpen = false;
    const giveBack = (): void => {
      if (isOpen) return;
      this.#table.forget(id);
      release?.();
    };
    socket.once('close', giveBack);
    socket.removeListener('error', ignore);
    this.#acceptor.accept(request, socket, head, this.#keptRequest(request), (transport) => {
      isOpen = true;
      socket.removeListener('close', giveBack);
      const connection = owner.open({ id, user, userId, remoteAddress, isStateful, expiresAtMs }, transport);
      if (release !== undefined) this.#table.onForgotten(id, release);
      if (entry !== undefined) this.#table.use(entry, { transport, connection });
      transport.start(connection);
      onBusy();
    });
  }

  /** The client of a stateful connection comes back. */
  #reattach(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    active: ActiveConnection<User>,
    { user, expiresAtMs }: Authentication<User> & { readonly ok: true },
  ): void {
    const { clock, options } = this.#settings;
    const { connection, transport: old } = active;
    if (connection.canReattach !== true) {
      refuse(socket, UNKNOWN_CONNECTION);
      return;
    }
    socket.removeListener('error', ignore);
    this.#acceptor.accept(request, socket, head, this.#keptRequest(request), (transport) => {
      if (connection.reattach?.(transport) !== true) {
        transport.destroy();
        return;
      }
      active.transport = transport;
      connection.onAuthenticated?.(user, expiresAtMs);
      transport.start(connection);
      old.abandon();
      clock.schedule(options.closeTimeoutMs, () => old.destroy());
    });
  }

  #keptRequest(request: IncomingMessage): ConnectionRequest | undefined {
    return this.#settings.options.keepRequest ? new ConnectionRequest(request) : undefined;
  }

  /** The negotiated connection that the request is for, undefined if it skips negotiation, or why it must be refused. */
  #entryFor(request: IncomingMessage, target: Target, userId: string | undefined): Entry<User> | Refusal | undefined {
    if (this.#isShuttingDown()) return SHUTTING_DOWN;
    // A request with a bad WebSocket version or key counts as a plain GET (transcript 58).
    if (!isWebSocketRequest(request)) return NO_CONNECTION_ID_GET;
    if (!this.#settings.options.transports.includes('WebSockets')) return TRANSPORT_NOT_OFFERED;
    const token = target.query('id') ?? '';
    if (token === '') return undefined;
    const entry = this.#table.find(token);
    if (entry === undefined) return this.#settings.options.acceptForeignIds ? undefined : UNKNOWN_CONNECTION;
    if (entry.userId !== userId) return ID_OF_ANOTHER;
    if (entry.active !== undefined && !entry.isStateful) return ID_IN_USE;
    return entry;
  }
}

function isWebSocketRequest({ method, headers }: IncomingMessage): boolean {
  return (
    method === 'GET' &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    headers['sec-websocket-version'] === '13' &&
    WEBSOCKET_KEY.test(headers['sec-websocket-key'] ?? '')
  );
}

function refuse(socket: Duplex, { status, headers, body }: Refusal): void {
  const all = { ...headers, Connection: 'close', 'Content-Length': String(Buffer.byteLength(body)) };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  // `end` and then `destroy`: a peer that does not close its side must not keep the socket.
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n${body}`);
}

function ignore(): void {}
