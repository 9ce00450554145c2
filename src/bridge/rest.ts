/**
 * The REST door: the calls with which the existing page lists conversations and reads history, and repeats what its hub
 * connection failed to do. It decodes, asks the core, and answers JSON; every failure is `{"error", "message"}` with the
 * same text twice, because callers read either.
 *
 * Sits on the requests of Node's HTTP/1.1 and HTTP/2 servers; the server before it has dealt with CORS, preflights and
 * header limits. Never logs a URL: tokens travel in them.
 */
import type { OutgoingHttpHeaders } from 'node:http';
import type { Identity, TokenVerifier } from '../core/identity.ts';
import type { Metrics } from '../core/metrics.ts';
import type { Profiles } from '../core/profiles.ts';
import type { Clock } from '../time/clock.ts';
import { AUTHENTICATION_REQUIRED } from './error-texts.ts';
import { ClientGone, type RestRequest, readJsonObject } from './rest-body.ts';
import { RestError, restError, tokenError } from './rest-errors.ts';
import { RestFields } from './rest-fields.ts';
import { type RestRoute, type RestRouteDependencies, restRoutes } from './rest-routes.ts';

/** What the door needs of a response; those of Node's HTTP/1.1 and HTTP/2 servers have it. */
export interface RestResponse {
  writeHead(statusCode: number, headers: OutgoingHttpHeaders): unknown;
  end(body: string): unknown;
  /** Of HTTP/2 only. */
  readonly stream?: { close(): unknown };
}

export interface RestDoorDependencies extends RestRouteDependencies {
  readonly profiles: Pick<Profiles, 'observe' | 'read'>;
  readonly verifier: TokenVerifier;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Told of failures inside the server. `route` is a route's path, never the URL. */
  readonly onError: (error: unknown, where: { readonly route: string }) => void;
}

export interface RestDoor {
  /** Whether the door answers this path, given in lower case without the query: all of /api but /api/health. */
  handles(pathLowerCase: string): boolean;
  /** Answers the request. Never rejects. */
  handle(request: RestRequest, response: RestResponse): Promise<void>;
}

interface Match {
  readonly route: RestRoute;
  readonly id: string;
}

/** An answer. */
interface Outcome {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Of a failure inside the server, for the log. */
  readonly cause?: unknown;
}

/** Nobody is there to be answered; the number stands only in metrics. */
const CLIENT_GONE = 499;

export function createRestDoor(dependencies: RestDoorDependencies): RestDoor {
  const routes = restRoutes(dependencies);
  return {
    handles: (path) => (path === '/api' || path.startsWith('/api/')) && path.replace(/\/$/, '') !== '/api/health',
    handle: (request, response) => handle(dependencies, routes, request, response),
  };
}

async function handle(
  dependencies: RestDoorDependencies,
  routes: readonly RestRoute[],
  request: RestRequest,
  response: RestResponse,
): Promise<void> {
  const { clock, metrics, onError } = dependencies;
  const beganMs = clock.monotonicMs();
  const call: { match?: Match } = {};
  const outcome = await run(dependencies, routes, request, call);
  const route = call.match?.route.path ?? 'unknown';
  try {
    if (outcome.cause !== undefined) onError(outcome.cause, { route });
    // A body that nobody reads would hold up the next request of the connection; a stream of HTTP/2 ends by itself if nobody has read from it.
    if (request.httpVersionMajor === 1) request.resume();
    if (outcome.status !== CLIENT_GONE) answer(request, response, outcome);
  } catch (error) {
    onError(error, { route });
  }
  metrics.count('chat_rest_requests_total', { route, status: String(outcome.status) });
  metrics.observe('chat_rest_request_seconds', (clock.monotonicMs() - beganMs) / 1000, { route });
}

/** What to answer, whatever happens. `call.match` is set as soon as the route is known. */
async function run(
  dependencies: RestDoorDependencies,
  routes: readonly RestRoute[],
  request: RestRequest,
  call: { match?: Match },
): Promise<Outcome> {
  try {
    const { path, query } = targetOf(request.url ?? '');
    const match = find(routes, path, request.method ?? '');
    call.match = match;
    const identity = await authenticate(dependencies, request, query);
    const body = match.route.hasBody ? await readJsonObject(request, dependencies.clock) : undefined;
    const value = await match.route.handle({ identity, id: match.id, fields: new RestFields(query, body) });
    return { status: 200, body: JSON.stringify(value), headers: {} };
  } catch (error) {
    if (error instanceof ClientGone) return { status: CLIENT_GONE, body: '', headers: {} };
    const { cause, headers, message, status } = restError(error, call.match?.route.isSend === true);
    return { status, body: JSON.stringify({ error: message, message }), headers, ...(status >= 500 && { cause }) };
  }
}

function targetOf(url: string): { readonly path: string; readonly query: URLSearchParams } {
  const mark = url.indexOf('?');
  if (mark === -1) return { path: url, query: new URLSearchParams() };
  return { path: url.slice(0, mark), query: new URLSearchParams(url.slice(mark + 1)) };
}

/** @throws RestError 400, 404, 405. */
function find(routes: readonly RestRoute[], path: string, method: string): Match {
  const folded = path.toLowerCase().replace(/\/$/, '');
  const fitting = routes.filter((route) => {
    if (!route.path.endsWith('/')) return folded === route.path;
    const rest = folded.slice(route.path.length);
    return folded.startsWith(route.path) && rest !== '' && !rest.includes('/');
  });
  if (fitting.length === 0) throw new RestError(404, 'There is no such path');
  const asked = method === 'HEAD' ? 'GET' : method;
  const route = fitting.find((candidate) => candidate.method === asked);
  if (route === undefined) {
    const allowed = fitting.map((candidate) => candidate.method).join(', ');
    throw new RestError(405, `The method must be ${allowed}`, { Allow: allowed });
  }
  return { route, id: route.path.endsWith('/') ? decode(path.slice(route.path.length).replace(/\/$/, '')) : '' };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new RestError(400, 'The id in the path is not percent-encoded UTF-8');
  }
}

/** @throws RestError 401, 503. */
async function authenticate(
  { profiles, verifier }: RestDoorDependencies,
  request: RestRequest,
  query: URLSearchParams,
): Promise<Identity> {
  const bearer = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '');
  const token = bearer?.[1] ?? query.get('access_token') ?? undefined;
  let identity = token === undefined ? undefined : verifier.verifyCached(token);
  if (identity === undefined) {
    const verification = await verifier.verify(token);
    if (!verification.ok) throw tokenError(verification.failure);
    identity = verification.identity;
  }
  if (identity.userId === undefined) {
    throw new RestError(401, AUTHENTICATION_REQUIRED, { 'WWW-Authenticate': 'Bearer' });
  }
  profiles.observe(identity);
  return identity;
}

function answer(request: RestRequest, response: RestResponse, { body, headers, status }: Outcome): void {
  // What is left of a body that was refused may be long, or never come.
  const isCutShort = status === 408 || status === 413;
  response.writeHead(status, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    ...(isCutShort && request.httpVersionMajor === 1 && { Connection: 'close' }),
    ...headers,
  });
  response.end(request.method === 'HEAD' ? '' : body);
  // After the answer (RFC 9113, section 8.1): nothing else would ever end the stream.
  if (isCutShort) response.stream?.close();
}
