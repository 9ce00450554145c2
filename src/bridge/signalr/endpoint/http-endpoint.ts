/**
 * The endpoint's plain HTTP requests: negotiation, and what each method on the hub's own path is answered while the only transport
 * is the WebSocket. Texts, status codes and caching headers are the reference's (transcripts 11, 12, 55, 56).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  METHOD_NOT_ALLOWED,
  NO_CONNECTION_ID,
  NO_CONNECTION_ID_GET,
  type Refusal,
  textRefusal,
  UNKNOWN_CONNECTION,
} from './access.ts';
import type { ConnectionTable } from './connection-table.ts';
import { negotiateAnswer, negotiateVersion } from './negotiate.ts';
import type { EndpointOptions } from './options.ts';
import type { Target } from './request.ts';

const TRANSPORT_NOT_OFFERED = textRefusal(404, '');
const IN_USE_GET = textRefusal(400, 'Cannot change transports mid-connection', false);
const IN_USE_POST = textRefusal(405, 'POST requests are not allowed for WebSocket connections.');
const IN_USE_DELETE = textRefusal(400, 'Cannot terminate this connection using the DELETE endpoint.');
const TOO_MANY_NEGOTIATIONS = textRefusal(503, 'Too many connections are waiting to be opened');

/** Answer to POST {path}/negotiate by somebody authenticated. */
export function negotiate<User>(
  target: Target,
  userId: string | undefined,
  table: ConnectionTable<User>,
  { allowStatefulReconnect, transports }: EndpointOptions,
  nowMs: number,
): Refusal {
  const version = negotiateVersion(target.query('negotiateversion'));
  const headers = { 'Content-Type': 'application/json' };
  if (typeof version === 'object') return { status: 200, headers, body: JSON.stringify(version) };
  if (table.isFull) return TOO_MANY_NEGOTIATIONS;
  const isStateful = allowStatefulReconnect && target.query('usestatefulreconnect')?.toLowerCase() === 'true';
  const entry = table.add(version, userId, isStateful, nowMs);
  return { status: 200, headers, body: negotiateAnswer(version, entry, transports) };
}

/** Answer to a request on the hub's own path by somebody authenticated. */
export function onHubPath<User>(method: string, target: Target, table: ConnectionTable<User>): Refusal {
  if (method !== 'GET' && method !== 'POST' && method !== 'DELETE') return METHOD_NOT_ALLOWED;
  const token = target.query('id') ?? '';
  if (token === '') return method === 'GET' ? NO_CONNECTION_ID_GET : NO_CONNECTION_ID;
  const entry = table.find(token);
  if (entry === undefined) return UNKNOWN_CONNECTION;
  if (entry.active === undefined) return TRANSPORT_NOT_OFFERED;
  return method === 'GET' ? IN_USE_GET : method === 'POST' ? IN_USE_POST : IN_USE_DELETE;
}

/** Writes an answer. The request's body is of no interest; it is read and dropped, so that the socket can be used again. */
export function writeAnswer(request: IncomingMessage, response: ServerResponse, answer: Refusal): void {
  request.resume();
  if (response.destroyed || response.headersSent) return;
  // HEAD has no body, but is never answered with one here either.
  const body = Buffer.from(answer.body);
  response.writeHead(answer.status, { ...answer.headers, 'Content-Length': String(body.length) });
  response.end(body);
}
