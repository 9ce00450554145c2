/** The ways to a hub: each transport with each protocol it can carry. Runs in Node and in pages. */

export type Transport = 'WebSockets' | 'ServerSentEvents' | 'LongPolling';
export type Protocol = 'json' | 'messagepack';

export interface Way {
  readonly transport: Transport;
  readonly protocol: Protocol;
  readonly runtime: 'node' | 'browser';
}

const PAIRS = [
  ['WebSockets', 'json'],
  ['WebSockets', 'messagepack'],
  ['ServerSentEvents', 'json'],
  ['LongPolling', 'json'],
  ['LongPolling', 'messagepack'],
] as const;

/** Server-sent events are text, so MessagePack has no way there: the stock client refuses it by itself. */
export const NO_WAY: Omit<Way, 'runtime'> = { transport: 'ServerSentEvents', protocol: 'messagepack' };

export function waysOf(runtime: Way['runtime']): Way[] {
  return PAIRS.map(([transport, protocol]) => ({ transport, protocol, runtime }));
}

/** For what depends on no way: it is tried on this one only. */
export function isFirst({ protocol, transport }: Way): boolean {
  return transport === 'WebSockets' && protocol === 'json';
}

/** Pages cannot set headers of the request of a WebSocket or an event stream. */
export function carriesHeaders({ runtime, transport }: Way): boolean {
  return runtime === 'node' || transport === 'LongPolling';
}
