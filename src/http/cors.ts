/**
 * Cross-origin requests with credentials (Fetch standard, section 3.2). An origin that is not allowed gets no header at
 * all, so the browser refuses; a refused preflight is 204 as well, as the incumbent answers.
 */
import type { HttpRequest, HttpResponse } from './listener.ts';

/** Request headers that the page, the SignalR client, Connect, gRPC-Web and this API use. */
const ALLOWED_HEADERS = [
  'authorization',
  'content-type',
  'x-requested-with',
  'x-signalr-user-agent',
  'connect-protocol-version',
  'connect-timeout-ms',
  'grpc-timeout',
  'x-grpc-web',
  'x-user-agent',
  'x-request-id',
].join(', ');

const ALLOWED_METHODS = 'GET, POST, DELETE, OPTIONS';
const EXPOSED_HEADERS = 'grpc-status, grpc-message, grpc-status-details-bin, x-request-id, retry-after';
/** How long a browser may keep the answer to a preflight, in seconds. */
const PREFLIGHT_SECONDS = '600';

/**
 * Sets the CORS headers of an answer, and answers preflights.
 * @param isOriginAllowed decides about an `Origin` header.
 * @returns true if the request was a preflight and is answered.
 */
export function applyCors(
  request: HttpRequest,
  response: HttpResponse,
  isOriginAllowed: (origin: string) => boolean,
): boolean {
  const { origin } = request.headers;
  response.setHeader('vary', 'Origin');
  const allowed = origin !== undefined && isOriginAllowed(origin);
  if (allowed) {
    response.setHeader('access-control-allow-origin', origin);
    response.setHeader('access-control-allow-credentials', 'true');
    response.setHeader('access-control-expose-headers', EXPOSED_HEADERS);
  }
  const preflight =
    request.method === 'OPTIONS' && origin !== undefined && 'access-control-request-method' in request.headers;
  if (!preflight) return false;
  if (allowed) {
    response.setHeader('access-control-allow-methods', ALLOWED_METHODS);
    response.setHeader('access-control-allow-headers', ALLOWED_HEADERS);
    response.setHeader('access-control-max-age', PREFLIGHT_SECONDS);
  }
  response.statusCode = 204;
  response.end();
  return true;
}

/** Decides about origins: those of a list, or any origin of this computer. */
export function originRule(allowed: readonly string[] | 'loopback'): (origin: string) => boolean {
  if (allowed !== 'loopback') return (origin) => allowed.includes(origin);
  return (origin) => /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(origin);
}
