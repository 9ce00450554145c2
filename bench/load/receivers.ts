/** Connections that only listen, over any transport and protocol, and the counting of what they are told. */
import { dropSpareSockets, HttpReceiver } from './http-receiver.ts';
import { type HubAddress, openAll, type ProtocolName } from './hub-connection.ts';
import { openEach } from './open-each.ts';

export type ReceiverKind =
  | { readonly transport: 'WebSockets'; readonly protocol: ProtocolName }
  | { readonly transport: 'ServerSentEvents' | 'LongPolling' };

export const JSON_WEB_SOCKETS: ReceiverKind = { transport: 'WebSockets', protocol: 'json' };

/** An open connection that tells of every text that comes, cut anywhere. */
export interface Receiver {
  /** Whether it is over. */
  readonly ended: boolean;
  close(): void;
}

const CONCURRENCY = 50;

/** Opens a connection for each token. `onText` makes the handler of each. */
export async function openReceivers(
  kind: ReceiverKind,
  address: HubAddress,
  tokens: readonly string[],
  onText: () => (text: string) => void,
): Promise<Receiver[]> {
  if (kind.transport === 'WebSockets') {
    const connections = await openAll(address, tokens, CONCURRENCY, { protocol: kind.protocol });
    for (const connection of connections) connection.onFrame = onText();
    return connections;
  }
  const receivers = await openEach(tokens, CONCURRENCY, (token) => HttpReceiver.open(address, token, kind.transport));
  for (const receiver of receivers) receiver.onText = onText();
  dropSpareSockets();
  return receivers;
}

/**
 * Counts how often `word` occurs in a text that comes in pieces, which may be cut inside the word. Reports to `onCounted` only
 * what is above zero.
 */
export function wordCounter(word: string, onCounted: (count: number) => void): (text: string) => void {
  let rest = '';
  return (text) => {
    const joined = rest + text;
    let count = 0;
    let end = 0;
    for (let at = joined.indexOf(word); at >= 0; at = joined.indexOf(word, end)) {
      count++;
      end = at + word.length;
    }
    // What may be the beginning of a word, and was not counted.
    rest = joined.slice(Math.max(end, joined.length - word.length + 1));
    if (count > 0) onCounted(count);
  };
}
