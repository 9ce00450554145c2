/**
 * Identifiers. Every id is an opaque string to every reader; this module only makes new ones and checks foreign ones.
 */
import { randomFillSync } from 'node:crypto';
import { invalidField } from './errors.ts';

/** Longest id that is accepted, in UTF-16 code units. */
export const MAX_ID_LENGTH = 128;

const pool = Buffer.alloc(4096);
let poolOffset = pool.length;
let lastMs = 0;
let sequence = 0;
let prefixMs = Number.NaN;
let prefix = '';

/**
 * A new UUIDv7 (RFC 9562, section 5.7) that sorts after every one this process made before: the 12 bits of `rand_a`
 * are a counter within the millisecond (section 6.2, method 1), the remaining 62 bits are random.
 */
export function newId(nowMs: number): string {
  if (nowMs > lastMs) {
    lastMs = nowMs;
    sequence = 0;
  } else {
    sequence += 1;
    if (sequence > 0xfff) {
      lastMs += 1;
      sequence = 0;
    }
  }
  if (poolOffset + 8 > pool.length) {
    randomFillSync(pool);
    poolOffset = 0;
  }
  if (prefixMs !== lastMs) {
    prefixMs = lastMs;
    const time = lastMs.toString(16).padStart(12, '0');
    prefix = `${time.slice(0, 8)}-${time.slice(8)}-7`;
  }
  const counter = sequence.toString(16).padStart(3, '0');
  const variant = (0x8000 | (pool.readUInt16BE(poolOffset) & 0x3fff)).toString(16);
  const random = pool.toString('hex', poolOffset + 2, poolOffset + 8);
  poolOffset += 8;
  return `${prefix}${counter}-${variant}-${random}`;
}

/** Matches what no id may hold: control characters and lone surrogates. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u;

/**
 * Checks an id that came from outside.
 * @throws ChatError `invalidArgument` naming `field` if it is not a string of 1 to 128 printable characters.
 */
export function checkId(value: unknown, field: string): string {
  if (typeof value !== 'string' || value.length === 0) throw invalidField(field, 'must not be empty');
  if (value.length > MAX_ID_LENGTH) throw invalidField(field, `must not be longer than ${MAX_ID_LENGTH} characters`);
  if (UNPRINTABLE.test(value)) throw invalidField(field, 'must not contain control characters');
  return value;
}

/** The two people of a conversation in the order that names it: by code unit, the smaller id first. */
export function pairOf(a: string, b: string): readonly [low: string, high: string] {
  return a < b ? [a, b] : [b, a];
}
