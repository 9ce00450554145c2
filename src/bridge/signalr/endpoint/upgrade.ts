/**
 * From an upgrade request to a connection: the checks in their order, and the refusals.
 *
 * Until the WebSocket is open the socket belongs to this file: it listens for errors, and a deadline ends it when the answer of
 * `authenticate` does not come. A client that leaves meanwhile, or speaks early, is no special case: early bytes stay in the socket.
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../../time/clock.ts';
import {
  type AccessHooks,
  type Admission,
  type Authentication,
  authenticate,
  NO_CONNECTION_ID_GET,
  type Refusal,
  remoteAddressOf,
  SHUTTING_DOWN,
  textRefusal,
  UNKNOWN_CONNECTION,
  unauthenticated,
} from './access.ts';
import type { ConnectionIdentity } from '../hub/connection-host.ts';
import { type Negotiation, type Negotiations, newConnectionId } from './negotiate.ts';
import type { Target } from './request.ts';
import type { WebSocketAcceptor, WebSocketTransport } from './websocket-transport.ts';

const ORIGIN_REFUSED = textRefusal(403, 'Origin not allowed');
const ID_IN_USE = textRefusal(409, '');
/** The reference lets another user in under a negotiated id; an id is no proof of who one is. */
const ID_OF_ANOTHER = textRefusal(403, '');
const WEBSOCKET_KEY = /^[+/0-9a-z]{22}==$/i;

export interface UpgradeOptions<User> {
  readonly hooks: AccessHooks<User>;
  readonly acceptor: WebSocketAcceptor;
  readonly negotiations: Negotiations;
  readonly clock: Clock;
  /** For the time until the request is authenticated. */
  readonly deadlineMs: number;
  readonly isShuttingDown: () => boolean;
  readonly onError: (error: unknown, method: string) => void;
  readonly onAccepted: (identity: ConnectionIdentity<User>, transport: WebSocketTransport) => void;
}

/** Handles an upgrade request for the hub's path to its end. */
export function upgrade<User>(
  options: UpgradeOptions<User>,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  target: Target,
): void {
  const { hooks } = options;
  socket.on('error', ignore);
  const origin = request.headers.origin;
  if (origin !== undefined && hooks.isOriginAllowed?.(origin) === false) {
    refuse(socket, ORIGIN_REFUSED);
    return;
  }
  const deadline = options.clock.schedule(options.deadlineMs, () => socket.destroy());
  const onError = (error: unknown): void => options.onError(error, 'authenticate');
  authenticate(hooks, request, target, onError, (result) => {
    deadline.cancel();
    if (socket.destroyed) return;
    if (!result.ok) refuse(socket, unauthenticated(result));
    else admit(options, request, socket, head, target, result);
  });
}

function admit<User>(
  options: UpgradeOptions<User>,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  target: Target,
  { user, userId }: Authentication<User> & { readonly ok: true },
): void {
  const { hooks, negotiations } = options;
  if (options.isShuttingDown()) {
    refuse(socket, SHUTTING_DOWN);
    return;
  }
  // A request with a bad WebSocket version or key counts as a plain GET (transcript 58).
  if (!isWebSocketRequest(request)) {
    refuse(socket, NO_CONNECTION_ID_GET);
    return;
  }
  const negotiation = findNegotiation(target, userId, negotiations);
  if (negotiation !== undefined && 'status' in negotiation) {
    refuse(socket, negotiation);
    return;
  }
  const remoteAddress = remoteAddressOf(hooks, request);
  let admission: Admission;
  try {
    admission = hooks.admit?.({ user, userId, remoteAddress }) ?? { ok: true };
  } catch (error) {
    options.onError(error, 'admit');
    refuse(socket, textRefusal(500, ''));
    return;
  }
  if (!admission.ok) {
    refuse(socket, textRefusal(admission.status, admission.text));
    return;
  }
  // Whatever happens to the socket from here on, what was taken for it is given back.
  if (admission.release !== undefined) socket.once('close', admission.release);
  if (negotiation !== undefined) {
    negotiations.use(negotiation);
    socket.once('close', () => negotiations.remove(negotiation.connectionToken));
  }
  socket.removeListener('error', ignore);
  const id = negotiation?.connectionId ?? newConnectionId();
  options.acceptor.accept(request, socket, head, (transport) => {
    options.onAccepted({ id, user, userId, remoteAddress }, transport);
  });
}

function findNegotiation(
  target: Target,
  userId: string | undefined,
  negotiations: Negotiations,
): Negotiation | Refusal | undefined {
  const token = target.query('id') ?? '';
  if (token === '') return undefined;
  const entry = negotiations.find(token);
  if (entry === undefined) return UNKNOWN_CONNECTION;
  if (entry.isUsed) return ID_IN_USE;
  return entry.userId === userId ? entry : ID_OF_ANOTHER;
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
