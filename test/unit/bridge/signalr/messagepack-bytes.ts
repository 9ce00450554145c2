/** Records of MessagePack in bytes, and a hub's methods to read them for. */
import { expect } from 'vitest';
import { type HubMethod, method } from '../../../../src/bridge/signalr/hub/hub.ts';
import { messagePackProtocol } from '../../../../src/bridge/signalr/protocol/messagepack-protocol.ts';
import type { InboundMessage } from '../../../../src/bridge/signalr/protocol/messages.ts';
import { MethodTable } from '../../../../src/bridge/signalr/protocol/method-table.ts';
import { param } from '../../../../src/bridge/signalr/protocol/parameters.ts';
import type { Binder } from '../../../../src/bridge/signalr/protocol/protocol.ts';

const nothing = (): null => null;
const methods: Record<string, HubMethod<unknown>> = {
  Text: method([param.string], nothing),
  Int: method([param.int], nothing),
  Number: method([param.number], nothing),
  Bool: method([param.bool], nothing),
  Any: method([param.any], nothing),
  Json: method([param.json], nothing),
  None: method([], nothing),
  History: method([param.string, param.optional(param.int, 0), param.optional(param.int, 50)], nothing),
};
export const table = new MethodTable(methods);
/** Waits for a stream `ints` and an answer `texts`. */
export const binder: Binder = {
  method: (target) => table.find(target),
  itemKind: (id) => (id === 'ints' ? 'int' : undefined),
  resultKind: (id) => (id === 'texts' ? 'string' : undefined),
};

export const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

/** A record with this payload. Its length is written by hand: the codec under test must not check itself. */
export function record(payload: Uint8Array): Buffer {
  const prefix: number[] = [];
  let rest = payload.length;
  for (; rest > 127; rest >>>= 7) prefix.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([...prefix, rest]), payload]);
}

/** Parses the record, which must be one to its end. */
export function parse(data: Buffer): InboundMessage {
  expect(messagePackProtocol.recordEnd(data, 0)).toBe(data.length);
  return messagePackProtocol.parse(data, 0, data.length, binder);
}
