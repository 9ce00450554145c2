/** The hub protocols there are, by name. Codecs keep no state, so all hubs of a kind share them. */
import { jsonProtocolOf } from './json-protocol.ts';
import type { MemberNaming } from './member-names.ts';
import { messagePackProtocolOf } from './messagepack-protocol.ts';
import type { HubProtocol } from './protocol.ts';

/** As in the handshake. */
export type ProtocolName = 'json' | 'messagepack';

/** Every name, in the order in which a hub offers them. */
export const protocolNames: readonly ProtocolName[] = ['json', 'messagepack'];

/** The codecs for a hub: the same ones for the same naming. */
export function protocolsOf(names: readonly ProtocolName[], naming: MemberNaming): readonly HubProtocol[] {
  return names.map((name) => (name === 'json' ? jsonProtocolOf(naming) : messagePackProtocolOf(naming)));
}
