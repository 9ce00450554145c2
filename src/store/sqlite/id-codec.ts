/**
 * How ids are kept: a canonical lower-case UUID as its 16 bytes, every other string as it is. Blob and text never
 * compare equal in SQLite, so the mapping is exact in both directions for any string.
 */
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The id as a value for an `ANY` column. */
export function encodeId(id: string): string | Uint8Array {
  if (id.length !== 36 || !UUID.test(id)) return id;
  return Buffer.from(id.slice(0, 8) + id.slice(9, 13) + id.slice(14, 18) + id.slice(19, 23) + id.slice(24), 'hex');
}

/** The id that `encodeId` kept. */
export function decodeId(value: string | Uint8Array): string {
  if (typeof value === 'string') return value;
  const hex = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
