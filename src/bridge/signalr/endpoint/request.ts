/**
 * What the server reads of an HTTP request: path, query, token, address. Paths and the names of query parameters match without
 * regard to letter case, as in the reference. Nothing of it is ever put into an error text: the query holds tokens.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

/** The address of a request, cut apart. */
export interface Target {
  /** Lower case, without a trailing slash. */
  readonly path: string;
  /** Value of the first query parameter of that name. `name` in lower case. */
  query(name: string): string | undefined;
}

/** Reads the request's URL; a URL that is none has the path ''. */
export function targetOf(request: Pick<IncomingMessage, 'url'>): Target {
  const url = request.url ?? '';
  const mark = url.indexOf('?');
  const path = normalPath(mark === -1 ? url : url.slice(0, mark));
  let parameters: URLSearchParams | undefined;
  return {
    path,
    query(name) {
      parameters ??= new URLSearchParams(mark === -1 ? '' : url.slice(mark + 1));
      for (const [key, value] of parameters) if (key.toLowerCase() === name) return value;
      return undefined;
    },
  };
}

/** Lower case, without a trailing slash. */
export function normalPath(path: string): string {
  const lower = path.toLowerCase();
  return lower.length > 1 && lower.endsWith('/') ? lower.slice(0, -1) : lower;
}

/** The bearer token. The query's `access_token` wins over the header (browsers cannot set headers on a WebSocket). */
export function tokenOf(target: Target, headers: IncomingHttpHeaders): string | undefined {
  const fromQuery = target.query('access_token');
  if (fromQuery !== undefined && fromQuery !== '') return fromQuery;
  const match = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '');
  return match?.[1];
}
