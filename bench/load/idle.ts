/** Load of idleness: connections that are open and say nothing. */
import { type HubAddress, type HubConnection, openAll } from './hub-connection.ts';
import { serveLoad } from './remote.ts';

let connections: HubConnection[] = [];

async function connect(options: { readonly address: HubAddress; readonly tokens: readonly string[] }): Promise<void> {
  connections = await openAll(options.address, options.tokens);
}

/** Connections that the server has not ended. */
function countOpen(_: Record<string, never>): number {
  return connections.filter((connection) => !connection.ended).length;
}

const handlers = { connect, countOpen };
export type IdleLoad = typeof handlers;
serveLoad(handlers);
