/** What a connection's HTTP request said, for hubs that want to know. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { targetOf } from './request.ts';

/**
 * The request that opened the connection; over long polling the latest poll. Only a hub with `keepRequest` has it, for it costs
 * about 2 kB of memory. It may hold a token: not for logs.
 */
export class ConnectionRequest {
  readonly headers: IncomingHttpHeaders;
  readonly httpVersion: string;
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly #url: string;

  constructor(request: IncomingMessage) {
    const { socket } = request;
    this.headers = request.headers;
    this.httpVersion = request.httpVersion;
    this.localAddress = socket.localAddress ?? '';
    this.localPort = socket.localPort ?? 0;
    this.remoteAddress = socket.remoteAddress ?? '';
    this.remotePort = socket.remotePort ?? 0;
    this.#url = request.url ?? '';
  }

  /** Value of the first query parameter of that name, in any letter case. */
  query(name: string): string | undefined {
    return targetOf({ url: this.#url }).query(name.toLowerCase());
  }

  /** Value of the cookie, decoded; undefined: there is none. */
  cookie(name: string): string | undefined {
    for (const pair of (this.headers.cookie ?? '').split(';')) {
      const mark = pair.indexOf('=');
      if (mark === -1 || pair.slice(0, mark).trim() !== name) continue;
      const value = pair.slice(mark + 1).trim();
      try {
        return decodeURIComponent(value);
      } catch {
        return value;
      }
    }
    return undefined;
  }
}
