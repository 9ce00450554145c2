/**
 * What the server sends in binary frames, as records that can be compared: MessagePack as JSON text. Dates and bytes keep apart from
 * text by standing in an object of their own.
 */
import { decode } from '@msgpack/msgpack';

const SEPARATOR = 0x1e;
const BRACE = 0x7b;
/** A record of 123 bytes begins like the answer to a handshake, but then comes an array. */
const FIRST_ARRAY = 0x90;

/** The records in `data`, and the bytes of one that is not whole. */
export function binaryRecords(data: Buffer): { readonly texts: readonly string[]; readonly rest: Buffer } {
  const texts: string[] = [];
  let start = 0;
  while (start < data.length) {
    if (data[start] === BRACE && (data[start + 1] ?? 0) < FIRST_ARRAY) {
      const end = data.indexOf(SEPARATOR, start);
      if (end === -1) break;
      texts.push(data.toString('utf8', start, end));
      start = end + 1;
      continue;
    }
    let payload = start;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = data[payload];
      if (byte === undefined) return { texts, rest: data.subarray(start) };
      payload += 1;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    if (payload + length > data.length) break;
    texts.push(textOf(decode(data.subarray(payload, payload + length))));
    start = payload + length;
  }
  return { texts, rest: data.subarray(start) };
}

/** A MessagePack value as JSON text. */
export function textOf(value: unknown): string {
  return JSON.stringify(shown(value));
}

function shown(value: unknown): unknown {
  if (value instanceof Date) return { $date: value.toISOString() };
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') };
  if (Array.isArray(value)) return value.map(shown);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, shown(member)]));
}
