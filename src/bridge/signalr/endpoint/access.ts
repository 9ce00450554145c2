/**
 * Who may connect: the hooks by which the owner of a server decides, and the refusals they lead to, as plain data that the HTTP
 * side and the upgrade side write each in its own way.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { isPromise } from './is-promise.ts';
import { type Target, tokenOf } from './request.ts';

/** What `authenticate` may look at. */
export interface AuthenticationRequest {
  /** From the query's `access_token`, else from the Authorization header. */
  readonly token: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly remoteAddress: string;
}

export type Authentication<User> =
  /**
   * `user` becomes the connection's own; `userId` undefined = a good token that names nobody. `expiresAtMs`: when the token runs out,
   * in wall milliseconds; left out = never, or it is of no interest.
   */
  | { readonly ok: true; readonly user: User; readonly userId: string | undefined; readonly expiresAtMs?: number }
  /** Answered with an empty body; `challenge` is the value of WWW-Authenticate. */
  | { readonly ok: false; readonly status: number; readonly challenge?: string };

export interface AdmissionRequest<User> {
  readonly user: User;
  readonly userId: string | undefined;
  readonly remoteAddress: string;
}

export type Admission =
  /** `release` is called once, when the connection is over. */
  | { readonly ok: true; readonly release?: () => void }
  | { readonly ok: false; readonly status: 429 | 503; readonly text: string };

/** A negotiation, for whoever may send it elsewhere. */
export interface NegotiationRequest<User> extends AdmissionRequest<User> {
  readonly headers: IncomingHttpHeaders;
  /** Value of the first query parameter of that name, in any letter case. */
  query(name: string): string | undefined;
}

/** Where a client shall go instead: it negotiates there, with `accessToken` if there is one, else with its own. */
export interface Redirection {
  /** Whole, with scheme and host. */
  readonly url: string;
  readonly accessToken?: string;
}

export interface AccessHooks<User> {
  /** Runs for every request of the endpoint. May answer at once or later; an error counts as 500. */
  readonly authenticate: (request: AuthenticationRequest) => Authentication<User> | Promise<Authentication<User>>;
  /**
   * Whether a WebSocket may come from this page. Not asked when there is no Origin header, nor of pages of this very host. Default: every
   * origin may. An error counts as 500.
   */
  readonly isOriginAllowed?: (origin: string) => boolean;
  /** Limits on connections, per user or address; asked after authentication, once for each connection. Default: all may. */
  readonly admit?: (request: AdmissionRequest<User>) => Admission;
  /**
   * Sends clients that negotiate to another server; asked after authentication. undefined: they stay here. Clients follow 100 times at
   * most. An error counts as 500.
   */
  readonly redirect?: (request: NegotiationRequest<User>) => Redirection | undefined | Promise<Redirection | undefined>;
  /** The client's address, for servers behind a proxy. Default: the socket's. */
  readonly remoteAddressOf?: (request: IncomingMessage) => string;
}

/** An HTTP answer that is not 101. */
export interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Headers of an answer that must not be kept. */
export const NOT_CACHEABLE = {
  'Cache-Control': 'no-cache, no-store',
  Expires: 'Thu, 01 Jan 1970 00:00:00 GMT',
  Pragma: 'no-cache',
};

/** A text answer as the reference words and labels it. */
export function textRefusal(status: number, body: string, isCacheable = true): Refusal {
  return { status, headers: { 'Content-Type': 'text/plain', ...(isCacheable ? {} : NOT_CACHEABLE) }, body };
}

export const NO_CONNECTION_ID = textRefusal(400, 'Connection ID required');
/** The same for GET, whose answers must not be kept. */
export const NO_CONNECTION_ID_GET = textRefusal(400, 'Connection ID required', false);
export const UNKNOWN_CONNECTION = textRefusal(404, 'No Connection with that ID');
export const UNKNOWN_CONNECTION_GET = textRefusal(404, 'No Connection with that ID', false);
/** The reference lets another user in under a negotiated id; an id is no proof of who one is. */
export const ID_OF_ANOTHER = textRefusal(403, '');
export const ID_IN_USE = textRefusal(409, '');
export const TRANSPORT_NOT_OFFERED = textRefusal(404, '');
export const METHOD_NOT_ALLOWED = textRefusal(405, '');
export const ORIGIN_REFUSED = textRefusal(403, 'Origin not allowed');
export const SHUTTING_DOWN = textRefusal(503, 'The server is shutting down');

export function remoteAddressOf<User>(hooks: AccessHooks<User>, request: IncomingMessage): string {
  return hooks.remoteAddressOf?.(request) ?? request.socket.remoteAddress ?? '';
}

/** Asks `authenticate` and gives the answer to `done`: in this turn when it answers at once. */
export function authenticate<User>(
  hooks: AccessHooks<User>,
  request: IncomingMessage,
  target: Target,
  onError: (error: unknown) => void,
  done: (result: Authentication<User>) => void,
): void {
  const failed = (error: unknown): void => {
    onError(error);
    done({ ok: false, status: 500 });
  };
  const { headers } = request;
  let result: Authentication<User> | Promise<Authentication<User>>;
  try {
    const remoteAddress = remoteAddressOf(hooks, request);
    result = hooks.authenticate({ token: tokenOf(target, headers), headers, remoteAddress });
  } catch (error) {
    failed(error);
    return;
  }
  if (isPromise(result)) result.then(done, failed);
  else done(result);
}

/** The answer to a request that is not authenticated. */
export function unauthenticated(result: { readonly status: number; readonly challenge?: string }): Refusal {
  const headers: Record<string, string> = {};
  // The challenge comes from outside and must not be able to begin a header of its own.
  if (result.challenge !== undefined) headers['WWW-Authenticate'] = result.challenge.replace(/[^\x20-\x7e]/g, ' ');
  return { status: result.status, headers, body: '' };
}

/** Why a WebSocket may not come from where it says (RFC 6455, section 10.2), if so. Only browsers say it. */
export function originRefusal<User>(
  hooks: AccessHooks<User>,
  { host, origin }: IncomingHttpHeaders,
  onError: (error: unknown, method: string) => void,
): Refusal | undefined {
  if (origin === undefined || isOfHost(origin, host)) return undefined;
  try {
    return hooks.isOriginAllowed?.(origin) === false ? ORIGIN_REFUSED : undefined;
  } catch (error) {
    onError(error, 'isOriginAllowed');
    return textRefusal(500, '');
  }
}

/** Whether the page is one of the host that is asked. The scheme may differ: whoever ends the TLS before this server hides it. */
function isOfHost(origin: string, host: string | undefined): boolean {
  return host !== undefined && URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}

/** Asks `admit`; an error of it counts as a refusal with 500. */
export function admission<User>(
  hooks: AccessHooks<User>,
  request: AdmissionRequest<User>,
  onError: (error: unknown, method: string) => void,
): { readonly release: (() => void) | undefined } | Refusal {
  try {
    const answer = hooks.admit?.(request) ?? { ok: true };
    if (!answer.ok) return textRefusal(answer.status, answer.text);
    const { release } = answer;
    return {
      release: release === undefined ? undefined : () => attempt(release, (error) => onError(error, 'release')),
    };
  } catch (error) {
    onError(error, 'admit');
    return textRefusal(500, '');
  }
}

function attempt(callback: () => void, onError: (error: unknown) => void): void {
  try {
    callback();
  } catch (error) {
    onError(error);
  }
}
