/**
 * The plain HTTP requests of one endpoint: negotiation, token renewal, and GET, POST and DELETE on its own path, which carry
 * ServerSentEvents and LongPolling. Texts, status codes and caching headers are the reference's (transcripts 11, 12, 50 to 56).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type Authentication,
  admission,
  ID_IN_USE,
  ID_OF_ANOTHER,
  METHOD_NOT_ALLOWED,
  NO_CONNECTION_ID,
  NO_CONNECTION_ID_GET,
  type Redirection,
  type Refusal,
  remoteAddressOf,
  SHUTTING_DOWN,
  TRANSPORT_NOT_OFFERED,
  textRefusal,
  UNKNOWN_CONNECTION,
  UNKNOWN_CONNECTION_GET,
} from './access.ts';
import { ConnectionRequest } from './connection-request.ts';
import type { ConnectionTable, Entry } from './connection-table.ts';
import type { EndpointSettings } from './endpoint.ts';
import { isGone, writeAnswer } from './http-answer.ts';
import { isPromise } from './is-promise.ts';
import { LongPollingTransport } from './long-polling-transport.ts';
import { negotiateAnswer, negotiateVersion } from './negotiate.ts';
import { SharedPosts } from './posted-data.ts';
import type { Target } from './request.ts';
import { ServerSentEventsTransport } from './sse-transport.ts';

const OTHER_TRANSPORT_GET = textRefusal(400, 'Cannot change transports mid-connection', false);
const OTHER_TRANSPORT = textRefusal(400, 'Cannot change transports mid-connection');
const NO_POST = textRefusal(405, 'POST requests are not allowed for WebSocket connections.');
const NO_DELETE = textRefusal(400, 'Cannot terminate this connection using the DELETE endpoint.');
const LEFT = textRefusal(202, '');
const TOO_MANY_NEGOTIATIONS = textRefusal(503, 'Too many connections are waiting to be opened');
const TOO_MANY_OF_ADDRESS = textRefusal(429, 'Too many connections of this address are waiting to be opened');
const JSON_HEADERS = { 'Content-Type': 'application/json' };

type Settings<User> = Omit<EndpointSettings<User>, 'path'>;
type Authenticated<User> = Authentication<User> & { readonly ok: true };

/** A request by somebody authenticated, and where its answer goes. */
export interface Exchange<User> {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly target: Target;
  readonly who: Authenticated<User>;
}

export class HttpConnections<User> {
  readonly #settings: Settings<User>;
  readonly #table: ConnectionTable<User>;
  readonly #isShuttingDown: () => boolean;
  readonly #posts: SharedPosts;

  constructor(settings: Settings<User>, table: ConnectionTable<User>, isShuttingDown: () => boolean) {
    const { maximumFrameBytes, maximumPostedBytes, postTimeoutMs } = settings.options;
    this.#settings = settings;
    this.#table = table;
    this.#isShuttingDown = isShuttingDown;
    this.#posts = new SharedPosts({
      maximumBytes: maximumFrameBytes,
      maximumTotalBytes: maximumPostedBytes,
      timeoutMs: postTimeoutMs,
      nowMs: () => this.#nowMs(),
    });
  }

  /** Looks at the deadlines of what is posted. `nowMs`: whole milliseconds of the monotonic clock. */
  sweep(nowMs: number): void {
    this.#posts.sweep(nowMs);
  }

  /** POST {path}/negotiate. */
  negotiate(exchange: Exchange<User>): void {
    const { request, response, target, who } = exchange;
    const answer = (refusal: Refusal): void => writeAnswer(request, response, refusal);
    if (request.method !== 'POST') {
      answer(METHOD_NOT_ALLOWED);
      return;
    }
    const { hooks, onError } = this.#settings;
    const failed = (error: unknown): void => {
      onError(error, 'redirect');
      answer(textRefusal(500, ''));
    };
    const done = (elsewhere: Redirection | undefined): void => {
      if (elsewhere === undefined) answer(this.#negotiated(exchange));
      else answer(jsonAnswer(200, { url: elsewhere.url, accessToken: elsewhere.accessToken }));
    };
    const { headers } = request;
    const { user, userId } = who;
    let elsewhere: Redirection | undefined | Promise<Redirection | undefined>;
    try {
      const remoteAddress = remoteAddressOf(hooks, request);
      elsewhere = hooks.redirect?.({
        user,
        userId,
        remoteAddress,
        headers,
        query: (name) => target.query(name.toLowerCase()),
      });
    } catch (error) {
      failed(error);
      return;
    }
    if (isPromise(elsewhere)) elsewhere.then(done, failed);
    else done(elsewhere);
  }

  /** The ids of a new connection, or why there are none. */
  #negotiated({ request, target, who }: Exchange<User>): Refusal {
    const { hooks, onBusy, options } = this.#settings;
    if (this.#isShuttingDown()) return SHUTTING_DOWN;
    const version = negotiateVersion(target.query('negotiateversion'), options.minimumNegotiateVersion);
    if (typeof version === 'object') return jsonAnswer(200, version);
    const address = remoteAddressOf(hooks, request);
    if (this.#table.isFull) return TOO_MANY_NEGOTIATIONS;
    if (this.#table.unusedOf(address) >= options.maximumNegotiationsPerAddress) return TOO_MANY_OF_ADDRESS;
    const isStateful = options.allowStatefulReconnect && isTrue(target.query('usestatefulreconnect'));
    const entry = this.#table.add(version, { userId: who.userId, isStateful, address, sinceMs: this.#nowMs() });
    onBusy();
    const lifetime = version === 0 ? undefined : this.#lifetimeOf(who);
    const body = negotiateAnswer(version, entry, options.transports, lifetime);
    return { status: 200, headers: JSON_HEADERS, body };
  }

  /** POST {path}/refresh: the client of a running connection shows a new token (dotnet/aspnetcore#67111). */
  refresh({ request, response, target, who }: Exchange<User>): void {
    const answer = (refusal: Refusal): void => writeAnswer(request, response, refusal);
    const rejected = (status: number, error: string): void => answer(jsonAnswer(status, { error }));
    const token = target.query('id') ?? '';
    const entry = this.#table.find(token);
    if (request.method !== 'POST') answer(METHOD_NOT_ALLOWED);
    else if (token === '') rejected(400, 'Connection ID required');
    else if (entry?.active === undefined) rejected(404, 'No Connection with that ID');
    else if (entry.userId !== who.userId) rejected(403, 'The token is of another user');
    else {
      entry.active.connection.onAuthenticated?.(who.user, who.expiresAtMs, true);
      answer(jsonAnswer(200, { tokenLifetimeSeconds: this.#lifetimeOf(who) }));
    }
  }

  /** A request on the endpoint's own path. */
  handle(exchange: Exchange<User>): void {
    const { request, response } = exchange;
    // Nothing more would be heard of it.
    if (isGone(response)) return;
    switch (request.method) {
      case 'GET':
        if (/\btext\/event-stream\b/i.test(request.headers.accept ?? '')) this.#listen(exchange);
        else this.#poll(exchange);
        return;
      case 'POST':
        this.#post(exchange);
        return;
      case 'DELETE':
        this.#delete(exchange);
        return;
      default:
        writeAnswer(request, response, METHOD_NOT_ALLOWED);
    }
  }

  #listen(exchange: Exchange<User>): void {
    const { request, response } = exchange;
    const entry = this.#entryOf(exchange, NO_CONNECTION_ID, UNKNOWN_CONNECTION);
    if (entry === undefined) return;
    const { options } = this.#settings;
    const { active } = entry;
    if (!options.transports.includes('ServerSentEvents')) writeAnswer(request, response, TRANSPORT_NOT_OFFERED);
    else if (active?.transport.name === 'ServerSentEvents') writeAnswer(request, response, ID_IN_USE);
    else if (active !== undefined) writeAnswer(request, response, OTHER_TRANSPORT);
    else {
      const kept = this.#kept(request);
      this.#begin(exchange, entry, () => new ServerSentEventsTransport(response, this.#posts, kept));
    }
  }

  #poll(exchange: Exchange<User>): void {
    const { request, response, who } = exchange;
    const entry = this.#entryOf(exchange, NO_CONNECTION_ID_GET, UNKNOWN_CONNECTION_GET);
    if (entry === undefined) return;
    const { options } = this.#settings;
    const { active } = entry;
    if (!options.transports.includes('LongPolling')) writeAnswer(request, response, TRANSPORT_NOT_OFFERED);
    else if (active?.transport instanceof LongPollingTransport) {
      active.connection.onAuthenticated?.(who.user, who.expiresAtMs);
      active.transport.poll(request, response, this.#kept(request));
    } else if (active !== undefined) writeAnswer(request, response, OTHER_TRANSPORT_GET);
    else {
      const { disconnectTimeoutMs, pollTimeoutMs } = options;
      const times = { disconnectTimeoutMs, pollTimeoutMs, nowMs: () => this.#nowMs() };
      const transport = new LongPollingTransport({ ...times, posts: this.#posts });
      if (this.#begin(exchange, entry, () => transport)) transport.poll(request, response, this.#kept(request));
    }
  }

  #post(exchange: Exchange<User>): void {
    const { request, response, who } = exchange;
    const entry = this.#entryOf(exchange, NO_CONNECTION_ID, UNKNOWN_CONNECTION);
    if (entry === undefined) return;
    // Before its transport has begun there is nobody who could take the data.
    if (entry.active === undefined) {
      writeAnswer(request, response, UNKNOWN_CONNECTION);
      return;
    }
    const { connection, transport } = entry.active;
    if (!(transport instanceof LongPollingTransport) && !(transport instanceof ServerSentEventsTransport)) {
      writeAnswer(request, response, NO_POST);
      return;
    }
    connection.onAuthenticated?.(who.user, who.expiresAtMs);
    transport.post(request, response);
  }

  #delete(exchange: Exchange<User>): void {
    const { request, response } = exchange;
    const entry = this.#entryOf(exchange, NO_CONNECTION_ID, UNKNOWN_CONNECTION);
    if (entry === undefined) return;
    const transport = entry.active?.transport;
    if (!(transport instanceof LongPollingTransport)) {
      writeAnswer(request, response, NO_DELETE);
      return;
    }
    writeAnswer(request, response, LEFT);
    transport.leave();
  }

  /** The connection that the request names; undefined: it was refused. */
  #entryOf(
    { request, response, target, who }: Exchange<User>,
    noId: Refusal,
    unknown: Refusal,
  ): Entry<User> | undefined {
    const token = target.query('id') ?? '';
    const entry = this.#table.find(token);
    if (token === '') writeAnswer(request, response, noId);
    else if (entry === undefined) writeAnswer(request, response, unknown);
    else if (entry.userId !== who.userId) writeAnswer(request, response, ID_OF_ANOTHER);
    else return entry;
    return undefined;
  }

  /** Opens the connection on a transport; false: it was refused. */
  #begin(
    { request, response, who }: Exchange<User>,
    entry: Entry<User>,
    transportOf: () => ServerSentEventsTransport | LongPollingTransport,
  ): boolean {
    const { hooks, onBusy, onError, owner } = this.#settings;
    const { user, userId, expiresAtMs } = who;
    if (this.#isShuttingDown()) {
      writeAnswer(request, response, SHUTTING_DOWN);
      return false;
    }
    const remoteAddress = remoteAddressOf(hooks, request);
    const admitted = admission(hooks, { user, userId, remoteAddress }, onError);
    if ('status' in admitted) {
      writeAnswer(request, response, admitted);
      return false;
    }
    const id = entry.connectionId;
    const transport = transportOf();
    const connection = owner.open({ id, user, userId, remoteAddress, isStateful: false, expiresAtMs }, transport);
    if (admitted.release !== undefined) this.#table.onForgotten(id, admitted.release);
    this.#table.use(entry, { transport, connection });
    transport.start(connection);
    onBusy();
    return true;
  }

  #kept(request: IncomingMessage): ConnectionRequest | undefined {
    return this.#settings.options.keepRequest ? new ConnectionRequest(request) : undefined;
  }

  /** Whole seconds that the token lives on; undefined unless renewal is allowed and the token runs out. */
  #lifetimeOf({ expiresAtMs }: Authenticated<User>): number | undefined {
    const { clock, options } = this.#settings;
    if (!options.allowTokenRenewal || expiresAtMs === undefined) return undefined;
    return Math.max(0, Math.floor((expiresAtMs - clock.now()) / 1000));
  }

  #nowMs(): number {
    return Math.floor(this.#settings.clock.monotonicMs());
  }
}

function jsonAnswer(status: number, content: object): Refusal {
  return { status, headers: JSON_HEADERS, body: JSON.stringify(content) };
}

function isTrue(value: string | undefined): boolean {
  return value?.toLowerCase() === 'true';
}
