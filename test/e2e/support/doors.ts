/** Every client that people use, by name. */
import { connectDoor } from './connect-door.ts';
import type { Door } from './door-client.ts';
import { grpcJsDoor } from './grpc-js-door.ts';
import { pageDoor } from './page-door.ts';
import { TRANSPORTS, type TransportName } from './rpc-clients.ts';

/** @param authority certificate to trust, for the clients that do not ask Node. */
export function everyDoor(authority?: Buffer): Door[] {
  return [
    pageDoor('SignalR without negotiation', true),
    pageDoor('SignalR with negotiation', false),
    grpcJsDoor('grpc-js', authority),
    ...Object.keys(TRANSPORTS).map((name) => connectDoor(name as TransportName)),
  ];
}
