/** Records that clients may send, whole and right: what the fuzzer breaks. */
import { encode } from '@msgpack/msgpack';

/** Messages in the form of the JSON protocol. */
const MESSAGES: readonly Readonly<Record<string, unknown>>[] = [
  { type: 1, invocationId: '1', target: 'Echo', arguments: ['text'] },
  { type: 1, target: 'echo', arguments: [{ a: [1, 2.5, null, true], b: 'ü😀' }] },
  { type: 1, invocationId: '2', target: 'Add', arguments: [1, -2] },
  { type: 1, invocationId: '3', target: 'Fail', arguments: [] },
  { type: 1, invocationId: '4', target: 'Later', arguments: ['x'] },
  { type: 1, invocationId: '5', target: 'Ask', arguments: [] },
  { type: 1, invocationId: '6', target: 'Tell', arguments: ['group', 'x'] },
  { type: 1, invocationId: '7', target: 'Sum', arguments: [], streamIds: ['u'] },
  { type: 1, invocationId: '8', target: 'constructor', arguments: [] },
  { type: 2, invocationId: 'u', item: 7 },
  { type: 2, invocationId: 'nobody', item: 'x' },
  { type: 3, invocationId: 'u' },
  { type: 3, invocationId: 'u', error: 'gone' },
  { type: 3, invocationId: 's1', result: 42 },
  { type: 4, invocationId: 's', target: 'Count', arguments: [3] },
  { type: 4, invocationId: 't', target: 'Endless', arguments: [] },
  { type: 5, invocationId: 't' },
  { type: 6 },
  { type: 8, sequenceId: 1 },
  { type: 9, sequenceId: 1 },
  { type: 42, anything: [] },
];
/** Ends the connection, so it must be rare. */
const CLOSE = { type: 7, error: 'bye' };

export const HANDSHAKES = {
  json: Buffer.from('{"protocol":"json","version":1}\u001e'),
  messagepack: Buffer.from('{"protocol":"messagepack","version":1}\u001e'),
} as const;

export type ProtocolName = keyof typeof HANDSHAKES;

export const CORPUS: Readonly<Record<ProtocolName, readonly Buffer[]>> = {
  json: [...MESSAGES, CLOSE].map((message) => Buffer.from(`${JSON.stringify(message)}\u001e`)),
  messagepack: [...MESSAGES, CLOSE].map((message) => framed(Buffer.from(encode(asArray(message))))),
};

/** The payload behind its length (HubProtocol.md, "MsgPack encoding"). */
export function framed(payload: Buffer): Buffer {
  const head: number[] = [];
  let rest = payload.length;
  do {
    head.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return Buffer.concat([Buffer.from(head), payload]);
}

function asArray(message: Readonly<Record<string, unknown>>): unknown[] {
  const {
    type,
    invocationId = null,
    target,
    arguments: args,
    streamIds = [],
    item,
    result,
    error,
    sequenceId,
  } = message;
  switch (type) {
    case 1:
    case 4:
      return [type, {}, invocationId, target, args, streamIds];
    case 2:
      return [2, {}, invocationId, item];
    case 3:
      if (error !== undefined) return [3, {}, invocationId, 1, error];
      return result === undefined ? [3, {}, invocationId, 2] : [3, {}, invocationId, 3, result];
    case 5:
      return [5, {}, invocationId];
    case 7:
      return [7, error, false];
    case 8:
    case 9:
      return [type, sequenceId];
    default:
      return [type];
  }
}
