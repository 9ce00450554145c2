/** Finds the handler of a request by its path, without regard to letter case. Knows nothing of what the handlers do. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { applyCors } from './cors.ts';
import type { HttpRequest, HttpResponse } from './listener.ts';

export interface Route {
  /** Whether this route serves a path. @param path without the query, as sent. @param lower the same in lower case. */
  readonly matches: (path: string, lower: string) => boolean;
  readonly handle: (request: HttpRequest, response: HttpResponse) => void | Promise<void>;
}

export interface UpgradeRoute {
  readonly matches: (path: string, lower: string) => boolean;
  /** False: it is nobody's after all, and the socket was not touched. */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => boolean;
}

export interface RouterOptions {
  readonly routes: readonly Route[];
  readonly upgrades: readonly UpgradeRoute[];
  readonly isOriginAllowed: (origin: string) => boolean;
  /** Told of what a handler threw; the client gets a plain 500. */
  readonly onError: (error: unknown, path: string) => void;
}

export class Router {
  readonly #options: RouterOptions;

  constructor(options: RouterOptions) {
    this.#options = options;
  }

  /** Answers a request. Never throws. */
  handle(request: HttpRequest, response: HttpResponse): void {
    // A peer that goes away while it is answered is no error of the server.
    response.on('error', () => undefined);
    if (applyCors(request, response, this.#options.isOriginAllowed)) return;
    const path = pathOf(request.url);
    const lower = path.toLowerCase();
    const route = this.#options.routes.find((candidate) => candidate.matches(path, lower));
    if (route === undefined) {
      sendNotFound(response);
      return;
    }
    const failed = (error: unknown): void => {
      this.#options.onError(error, path);
      if (response.headersSent) response.destroy();
      else sendJson(response, 500, { error: 'Internal server error', message: 'Internal server error' });
    };
    try {
      const done = route.handle(request, response);
      if (done instanceof Promise) done.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /** Hands an upgrade on, or answers 404. Never throws. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const path = pathOf(request.url);
    const lower = path.toLowerCase();
    const route = this.#options.upgrades.find((candidate) => candidate.matches(path, lower));
    if (route?.upgrade(request, socket, head) === true) return;
    socket.on('error', () => undefined);
    // No time limit of the HTTP server counts for it any more: a peer that keeps its side open must not keep the socket.
    socket.once('finish', () => socket.destroy());
    socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  }
}

/** The path of a request target, without query and fragment. */
export function pathOf(target: string | undefined): string {
  return (target ?? '/').split(/[?#]/, 1)[0] ?? '/';
}

/** Answers 404 with an empty body, as the incumbent does for paths that nobody serves. */
export function sendNotFound(response: HttpResponse): void {
  response.statusCode = 404;
  response.setHeader('content-length', '0');
  response.end();
}

/** Answers with a JSON body. */
export function sendJson(response: HttpResponse, status: number, body: unknown): void {
  response.statusCode = status;
  response.setHeader('content-type', 'application/json; charset=utf-8');
  response.setHeader('cache-control', 'no-store');
  response.end(JSON.stringify(body));
}
