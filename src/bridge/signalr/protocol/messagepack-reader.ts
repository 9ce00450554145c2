/**
 * Reads the fields of a MessagePack record one by one, and walks over values before anybody makes something of them.
 *
 * The walk is what makes hostile bytes harmless: a value is only decoded after it has been seen to be whole, with every length it
 * tells within the record and no nesting over the bound. So nothing is allocated for what is not there. It also notes what only
 * the wire can tell of a value. Every method throws InvalidRecordError for bytes that are not what they must be.
 */
import { isUtf8 } from 'node:buffer';
import { InvalidRecordError } from './protocol.ts';

/** Depth of nesting a record may have; the same as in JSON. */
const MAXIMUM_DEPTH = 64;
/** Extension type of a timestamp, the only one known. */
const TIMESTAMP = -1;
const MAXIMUM_NANOSECONDS = 999_999_999;
/** Furthest second from 1970 that a Date can hold. */
const MAXIMUM_SECONDS = 8_640_000_000_000n;
/** Up to here a loop over the bytes is cheaper than asking whether they are UTF-8. */
const SHORT_TEXT = 64;

const format = {
  map: 0x80,
  array: 0x90,
  string: 0xa0,
  nil: 0xc0,
  false: 0xc2,
  true: 0xc3,
  bin8: 0xc4,
  bin32: 0xc6,
  ext8: 0xc7,
  ext32: 0xc9,
  float32: 0xca,
  float64: 0xcb,
  uint8: 0xcc,
  uint64: 0xcf,
  int8: 0xd0,
  int64: 0xd3,
  fixExt1: 0xd4,
  fixExt16: 0xd8,
  string8: 0xd9,
  string32: 0xdb,
  array16: 0xdc,
  array32: 0xdd,
  map16: 0xde,
  map32: 0xdf,
  negative: 0xe0,
} as const;

export class MessagePackReader {
  readonly #data: Buffer;
  readonly #end: number;
  #position: number;
  /** Of the value walked over last: it holds an integer of 64 bits. */
  hasWideInteger = false;
  /** Of the value walked over last: it holds bytes or an extension. */
  hasBytes = false;
  /** Of the value walked over last: text that is not UTF-8, an unknown extension or a date out of range. */
  isUnfit = false;

  /** Reads `data[start, end)`. */
  constructor(data: Buffer, start: number, end: number) {
    this.#data = data;
    this.#position = start;
    this.#end = end;
  }

  get position(): number {
    return this.#position;
  }

  /** Whether the next value is an array. */
  get isAtArray(): boolean {
    const head = this.#peek();
    return (head & 0xf0) === format.array || head === format.array16 || head === format.array32;
  }

  /** The number of elements of the array that begins here. */
  arrayLength(what: string): number {
    const head = this.#take();
    if ((head & 0xf0) === format.array) return this.#possible(head & 0x0f, 1);
    if (head === format.array16 || head === format.array32) {
      return this.#possible(this.#unsigned(head === format.array16 ? 2 : 4), 1);
    }
    throw wrongType(what, 'Array');
  }

  /** A whole number, however it is written. One of 64 bits may lose digits. */
  integer(what: string): number {
    const start = this.#position;
    if (!isInteger(this.#peek())) throw wrongType(what, 'Integer');
    this.skip();
    return Number(this.#scalar(start));
  }

  /** A string; nil is null. What is not UTF-8 in it becomes U+FFFD. */
  text(what: string): string | null {
    const start = this.#position;
    const head = this.#peek();
    if (head !== format.nil && !isString(head)) throw wrongType(what, 'String');
    this.skip();
    return this.#scalar(start) as string | null;
  }

  boolean(what: string): boolean {
    const head = this.#take();
    if (head !== format.true && head !== format.false) throw wrongType(what, 'Boolean');
    return head === format.true;
  }

  /** Walks over headers: strings by strings. Nothing reads them. */
  skipHeaders(): void {
    const head = this.#peek();
    if ((head & 0xf0) !== format.map && head !== format.map16 && head !== format.map32)
      throw wrongType('headers', 'Map');
    this.#position += 1;
    const length = head === format.map16 ? this.#unsigned(2) : head === format.map32 ? this.#unsigned(4) : head & 0x0f;
    this.#possible(length, 2);
    for (let index = 0; index < 2 * length; index += 1) {
      if (!isString(this.#peek())) throw wrongType('headers', 'String');
      this.skip();
    }
  }

  /** Walks over the value that begins here; `depth` is how many arrays of the record it stands in. */
  skip(depth = 1): void {
    this.hasWideInteger = false;
    this.hasBytes = false;
    this.isUnfit = false;
    this.#walk(MAXIMUM_DEPTH - depth);
  }

  /** Whether the value at `start`, which has been walked over, is a number written as an integer. */
  isIntegerAt(start: number): boolean {
    return isInteger(this.#data[start] ?? 0);
  }

  /** Whether the value at `start`, which has been walked over, is nil. */
  isNilAt(start: number): boolean {
    return this.#data[start] === format.nil;
  }

  /**
   * The value from `start` to here, which has been walked over, if it is no array, map, bytes or extension; else undefined. An integer
   * of 64 bits is a bigint unless a number holds it exactly.
   */
  scalarFrom(start: number): string | number | bigint | boolean | null | undefined {
    return this.#scalar(start);
  }

  /** The bytes from `start` to here: a view, or a copy if the value would hold on to them. */
  bytesFrom(start: number): Uint8Array {
    const bytes = this.#data.subarray(start, this.#position);
    return this.hasBytes ? Uint8Array.from(bytes) : bytes;
  }

  #walk(allowedDepth: number): void {
    const head = this.#take();
    if (head < format.map || head >= format.negative) return;
    if (head < format.array) this.#walkItems(2 * this.#possible(head & 0x0f, 2), allowedDepth);
    else if (head < format.string) this.#walkItems(this.#possible(head & 0x0f, 1), allowedDepth);
    else if (head < format.nil) this.#walkText(head & 0x1f);
    else this.#walkLong(head, allowedDepth);
  }

  #walkLong(head: number, allowedDepth: number): void {
    if (head === format.nil || head === format.false || head === format.true) return;
    if (head < format.nil + 2) throw new InvalidRecordError('Error reading MessagePack.');
    if (head <= format.bin32) {
      this.hasBytes = true;
      this.#advance(this.#unsigned(1 << (head - format.bin8)));
    } else if (head <= format.ext32) this.#walkExtension(this.#unsigned(1 << (head - format.ext8)));
    else if (head <= format.float64) this.#advance(head === format.float32 ? 4 : 8);
    else if (head <= format.int64) {
      if (head === format.uint64 || head === format.int64) this.hasWideInteger = true;
      this.#advance(1 << (head & 0x03));
    } else if (head <= format.fixExt16) this.#walkExtension(1 << (head - format.fixExt1));
    else if (head <= format.string32) this.#walkText(this.#unsigned(1 << (head - format.string8)));
    else if (head <= format.array32) {
      this.#walkItems(this.#possible(this.#unsigned(head === format.array16 ? 2 : 4), 1), allowedDepth);
    } else this.#walkItems(2 * this.#possible(this.#unsigned(head === format.map16 ? 2 : 4), 2), allowedDepth);
  }

  #walkItems(count: number, allowedDepth: number): void {
    if (allowedDepth <= 0) throw new InvalidRecordError(`The record is nested over ${MAXIMUM_DEPTH} deep.`);
    for (let index = 0; index < count; index += 1) this.#walk(allowedDepth - 1);
  }

  #walkText(length: number): void {
    const start = this.#position;
    this.#advance(length);
    const data = this.#data;
    if (length <= SHORT_TEXT) {
      let index = start;
      while (index < this.#position && (data[index] ?? 0) < 0x80) index += 1;
      if (index === this.#position) return;
    }
    if (!isUtf8(data.subarray(start, this.#position))) this.isUnfit = true;
  }

  #walkExtension(length: number): void {
    this.hasBytes = true;
    const start = this.#position + 1;
    this.#advance(length + 1);
    if (this.#data.readInt8(start - 1) !== TIMESTAMP || !this.#isTime(start, length)) this.isUnfit = true;
  }

  #isTime(start: number, length: number): boolean {
    const data = this.#data;
    if (length === 4) return true;
    if (length === 8) return data.readUInt32BE(start) >>> 2 <= MAXIMUM_NANOSECONDS;
    if (length !== 12) return false;
    const nanoseconds = data.readUInt32BE(start);
    const seconds = data.readBigInt64BE(start + 4);
    if (seconds === MAXIMUM_SECONDS) return nanoseconds === 0;
    return nanoseconds <= MAXIMUM_NANOSECONDS && seconds >= -MAXIMUM_SECONDS && seconds < MAXIMUM_SECONDS;
  }

  #scalar(start: number): string | number | bigint | boolean | null | undefined {
    const data = this.#data;
    const head = data[start] ?? 0;
    if (head < format.map) return head;
    if (head >= format.negative) return head - 0x100;
    if (head < format.string) return undefined;
    if (head < format.nil) return data.toString('utf8', start + 1, this.#position);
    switch (head) {
      case format.nil:
        return null;
      case format.false:
        return false;
      case format.true:
        return true;
      case format.float32:
        return data.readFloatBE(start + 1);
      case format.float64:
        return data.readDoubleBE(start + 1);
      case format.uint64:
        return narrowed(data.readBigUInt64BE(start + 1));
      case format.int64:
        return narrowed(data.readBigInt64BE(start + 1));
    }
    if (head >= format.uint8 && head < format.uint64) return data.readUIntBE(start + 1, 1 << (head - format.uint8));
    if (head >= format.int8 && head < format.int64) return data.readIntBE(start + 1, 1 << (head - format.int8));
    if (!isString(head)) return undefined;
    return data.toString('utf8', start + 1 + (1 << (head - format.string8)), this.#position);
  }

  #peek(): number {
    if (this.#position >= this.#end) throw tooShort();
    return this.#data[this.#position] ?? 0;
  }

  #take(): number {
    const head = this.#peek();
    this.#position += 1;
    return head;
  }

  #unsigned(size: number): number {
    const start = this.#position;
    this.#advance(size);
    return this.#data.readUIntBE(start, size);
  }

  #advance(length: number): void {
    if (length > this.#end - this.#position) throw tooShort();
    this.#position += length;
  }

  /** `count` if that many things of at least `size` bytes can follow. */
  #possible(count: number, size: number): number {
    if (count * size > this.#end - this.#position) throw tooShort();
    return count;
  }
}

/** A number if it is the same, else the bigint. */
export function narrowed(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function isInteger(head: number): boolean {
  return head < format.map || head >= format.negative || (head >= format.uint8 && head <= format.int64);
}

function isString(head: number): boolean {
  return (head >= format.string && head < format.nil) || (head >= format.string8 && head <= format.string32);
}

function tooShort(): InvalidRecordError {
  return new InvalidRecordError('The record ends too early.');
}

function wrongType(what: string, expected: string): InvalidRecordError {
  return new InvalidRecordError(`Expected '${what}' to be of type ${expected}.`);
}
