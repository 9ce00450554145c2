/**
 * Values of hub methods in MessagePack: read as the kinds of parameters, and written.
 *
 * Numbers, text and booleans, which nearly all values are, are read straight from the record; the rest is left to the codec's decoder,
 * which only ever sees values that have been walked over (messagepack-reader.ts).
 */
import { DecodeError, Decoder, Encoder } from '@msgpack/msgpack';
import { exactNumber } from './json-source.ts';
import type { Rename } from './member-names.ts';
import { type MessagePackReader, narrowed } from './messagepack-reader.ts';
import { isOfKind, type ParameterKind } from './parameters.ts';
import type { ValueForms } from './value-forms.ts';

const MAXIMUM_INT32 = 2 ** 32;
const MINIMUM_INT32 = -(2 ** 31);
const WHOLE = /^-?[0-9]+$/;
/** What the encoder's buffer may keep of the largest record, in bytes. */
const KEPT_BYTES = 65_536;

const decoder = new Decoder({ useBigInt64: true });

/** A value that fits its kind. */
export interface ReadValue {
  readonly value: unknown;
}

/** The value that the reader has just walked over, from `start` on; undefined: it does not fit. */
export function valueOfKind(reader: MessagePackReader, start: number, kind: ParameterKind): ReadValue | undefined {
  if (reader.isUnfit) return undefined;
  if (kind === 'int' && !reader.isIntegerAt(start)) return undefined;
  const scalar = reader.scalarFrom(start);
  if (scalar === undefined) return kind === 'any' || kind === 'json' ? compound(reader, start, kind) : undefined;
  const value = typeof scalar === 'bigint' ? wide(scalar, kind) : scalar;
  return isOfKind(kind, value) ? { value } : undefined;
}

function compound(reader: MessagePackReader, start: number, kind: ParameterKind): ReadValue | undefined {
  const { hasWideInteger } = reader;
  let value: unknown;
  try {
    value = decoder.decode(reader.bytesFrom(start));
  } catch (error) {
    // Keys of maps that no object can have.
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
  return { value: hasWideInteger ? withoutBigInts(value, kind) : value };
}

/** A number for a bigint that no number equals: one that loses digits, or an exact one to hand on. */
function wide(value: bigint, kind: ParameterKind): unknown {
  return kind === 'json' ? exactNumber(String(value)) : Number(value);
}

/** Changes arrays and objects in place: they have just been made. */
function withoutBigInts(value: unknown, kind: ParameterKind): unknown {
  if (typeof value === 'bigint') {
    const number = narrowed(value);
    return typeof number === 'bigint' ? wide(number, kind) : number;
  }
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) value[index] = withoutBigInts(value[index], kind);
  } else if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
    const members = value as Record<string, unknown>;
    for (const name of Object.keys(members)) members[name] = withoutBigInts(members[name], kind);
  }
  return value;
}

/** The forms that the encoder takes: whole numbers over 32 bits as bigints, text that is well-formed. */
export function messagePackForms(rename: Rename | undefined): ValueForms {
  return {
    rename,
    date: (value) => value,
    bytes: (value) => value,
    raw: (source) => (WHOLE.test(source) ? wholeForm(BigInt(source)) : JSON.parse(source)),
    scalar: scalarForm,
  };
}

function scalarForm(value: unknown): unknown {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() ? value : value.toWellFormed();
    case 'number':
      return Number.isSafeInteger(value) && (value >= MAXIMUM_INT32 || value < MINIMUM_INT32) ? BigInt(value) : value;
    case 'bigint':
      if (value !== BigInt.asIntN(64, value) && value !== BigInt.asUintN(64, value)) {
        throw new TypeError('A whole number of more than 64 bits cannot be serialised');
      }
      return value;
    case 'function':
    case 'symbol':
      throw new TypeError(`A ${typeof value} cannot be serialised`);
    default:
      return value;
  }
}

/** A whole number that MessagePack has a form for, else the nearest there is. */
function wholeForm(value: bigint): unknown {
  const fits = value === BigInt.asIntN(64, value) || value === BigInt.asUintN(64, value);
  return fits ? scalarForm(narrowed(value)) : Number(value);
}

const newEncoder = (): Encoder => new Encoder({ useBigInt64: true, ignoreUndefined: true });
let encoder = newEncoder();

/** A record: its length, then `message`, whose values are in their forms. */
export function recordOf(message: readonly unknown[]): Buffer {
  const payload = encoder.encodeSharedRef(message);
  const { length } = payload;
  const prefixLength = length < 2 ** 7 ? 1 : length < 2 ** 14 ? 2 : length < 2 ** 21 ? 3 : length < 2 ** 28 ? 4 : 5;
  const record = Buffer.allocUnsafe(prefixLength + length);
  let rest = length;
  for (let index = 0; index < prefixLength - 1; index += 1) {
    record[index] = (rest & 0x7f) | 0x80;
    rest = Math.floor(rest / 128);
  }
  record[prefixLength - 1] = rest;
  record.set(payload, prefixLength);
  // The buffer of the largest record would stay for ever.
  if (length > KEPT_BYTES) encoder = newEncoder();
  return record;
}
