/** The few things that every handler does, the same over HTTP/1.1 and HTTP/2. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';

/** A request of either version. */
export type HttpRequest = IncomingMessage | Http2ServerRequest;
/** A response of either version. */
export type HttpResponse = ServerResponse | Http2ServerResponse;
/** Answers a request. A rejection is answered with 500 by the router. */
export type HttpHandler = (req: HttpRequest, res: HttpResponse) => void | Promise<void>;

/** The path of a request without its query; also of a target in absolute form (RFC 9112, section 3.2.2). */
export function pathOf(req: HttpRequest): string {
  const target = req.url ?? '/';
  const path = target.startsWith('/') ? target : (URL.parse(target)?.pathname ?? '/');
  const query = path.indexOf('?');
  return query === -1 ? path : path.slice(0, query);
}

/** A header as one text; of a repeated one the first. */
export function headerOf(req: HttpRequest, name: string): string | undefined {
  const value = req.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** The authority the client asked for: `Host`, or `:authority` over HTTP/2. */
export function authorityOf(req: HttpRequest): string | undefined {
  return headerOf(req, ':authority') ?? headerOf(req, 'host');
}

/** Answers with JSON. Does nothing if an answer has begun. */
export function sendJson(res: HttpResponse, status: number, body: unknown): void {
  if (res.headersSent) return;
  const bytes = Buffer.from(JSON.stringify(body));
  res.statusCode = status;
  res.setHeader('content-type', 'application/json; charset=utf-8');
  res.setHeader('content-length', bytes.length);
  endWith(res, bytes);
}

/** Answers with an error in the form that callers of the REST door read: the same text under two names. */
export function sendError(res: HttpResponse, status: number, text: string): void {
  sendJson(res, status, { error: text, message: text });
}

/** Ends a response of either version; their `end` differ in type only. */
export function endWith(res: HttpResponse, body?: Buffer | string): void {
  if (body === undefined) res.end();
  else (res as { end(body: Buffer | string): unknown }).end(body);
}
