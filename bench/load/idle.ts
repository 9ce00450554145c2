/** Load of idleness: connections that are open and say nothing. */
import type { HubAddress } from './hub-connection.ts';
import { openReceivers, type Receiver, type ReceiverKind } from './receivers.ts';
import { serveLoad } from './remote.ts';

let connections: Receiver[] = [];

async function connect(options: {
  readonly address: HubAddress;
  readonly kind: ReceiverKind;
  readonly tokens: readonly string[];
}): Promise<void> {
  connections = await openReceivers(options.kind, options.address, options.tokens, () => () => undefined);
}

/** Connections that the server has not ended. */
function countOpen(_: Record<string, never>): number {
  return connections.filter((connection) => !connection.ended).length;
}

const handlers = { connect, countOpen };
export type IdleLoad = typeof handlers;
serveLoad(handlers);
