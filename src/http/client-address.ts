/** Where a request comes from, for the limits per address. */
import type { IncomingHttpHeaders } from 'node:http';
import { networkOf } from './address-counter.ts';

/**
 * The client's address: the peer's, or behind a trusted proxy the last entry of X-Forwarded-For, which that proxy wrote
 * (earlier entries are whatever the client claimed). Of an IPv6 address its network, for one customer has a whole /64.
 */
export function clientAddress(
  request: {
    readonly headers: IncomingHttpHeaders;
    readonly socket?: { readonly remoteAddress?: string | undefined } | undefined;
  },
  trustProxy: boolean,
): string {
  const peer = request.socket?.remoteAddress ?? '';
  if (!trustProxy) return networkOf(peer);
  const forwarded = request.headers['x-forwarded-for'];
  const list = Array.isArray(forwarded) ? forwarded.join(',') : (forwarded ?? '');
  return networkOf(list.split(',').at(-1)?.trim() || peer);
}
