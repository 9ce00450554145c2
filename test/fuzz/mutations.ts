/** Ways to break bytes: cut, flip, repeat, cross, blow up. Each is as likely as the others. */
import { framed } from './corpus.ts';
import type { Dice } from './dice.ts';

type Mutation = (bytes: Buffer, dice: Dice, corpus: readonly Buffer[]) => Buffer;

/** Bytes and texts that parsers stumble over. */
const ODDITIES = [
  '\u001e',
  '\u0000',
  '{}',
  '[',
  '"',
  '\\',
  '\\u0000',
  '\\ud800',
  ',"type":1',
  '-0',
  '1e999',
  '9007199254740993',
  'null',
  '__proto__',
  '\ufeff',
  '\u2028',
].map((text) => Buffer.from(text));
/** Of MessagePack: lengths that promise much, extensions, reserved. */
const LENGTHS = [0xdd, 0xdf, 0xdb, 0xc6, 0xc9, 0xc1, 0xd6, 0xd7, 0xff, 0x80].map((first) =>
  Buffer.from([first, 0xff, 0xff, 0xff, 0xff]),
);

const MUTATIONS: readonly Mutation[] = [
  (bytes, dice) => bytes.subarray(0, dice.number(bytes.length + 1)),
  (bytes, dice) => bytes.subarray(dice.number(bytes.length + 1)),
  (bytes, dice) => {
    const copy = Buffer.from(bytes);
    for (let count = 1 + dice.number(4); count > 0; count -= 1) copy[dice.number(copy.length)] = dice.number(256);
    return copy;
  },
  (bytes, dice) => spliced(bytes, dice.number(bytes.length + 1), 0, dice.of(ODDITIES)),
  (bytes, dice) => spliced(bytes, dice.number(bytes.length + 1), 0, dice.of(LENGTHS)),
  (bytes, dice) => spliced(bytes, dice.number(bytes.length + 1), 1 + dice.number(8), Buffer.alloc(0)),
  (bytes, dice) => {
    const from = dice.number(bytes.length);
    return spliced(bytes, from, 0, bytes.subarray(from, from + 1 + dice.number(16)));
  },
  // The head of one, the tail of another.
  (bytes, dice, corpus) => {
    const other = dice.of(corpus);
    return Buffer.concat([bytes.subarray(0, dice.number(bytes.length)), other.subarray(dice.number(other.length))]);
  },
  (bytes, dice, corpus) => Buffer.concat([bytes, dice.of(corpus)]),
  // The record stays whole for its length, what is in it does not.
  (bytes, dice) => {
    const payload = Buffer.from(bytes.subarray(1));
    if (payload.length > 0) payload[dice.number(payload.length)] = dice.number(256);
    return framed(payload);
  },
  (_bytes, dice) => {
    const noise = Buffer.alloc(dice.number(64));
    for (let index = 0; index < noise.length; index += 1) noise[index] = dice.number(256);
    return noise;
  },
];

/** One record, whole or broken. */
export function mutated(dice: Dice, corpus: readonly Buffer[]): Buffer {
  const bytes = dice.of(corpus);
  // Most broken records end their connection: whole ones between them lead to states worth breaking.
  if (dice.once(2)) return bytes;
  if (dice.once(2_000)) return oversized(dice);
  return dice.of(MUTATIONS)(bytes, dice, corpus);
}

/** Over the limit of a record, or nested deep. */
function oversized(dice: Dice): Buffer {
  const depth = 200 + dice.number(20_000);
  return dice.once(2)
    ? Buffer.from(`{"type":1,"target":"Echo","arguments":[${'['.repeat(depth)}${']'.repeat(depth)}]}\u001e`)
    : framed(Buffer.alloc(depth, 0x91));
}

function spliced(bytes: Buffer, at: number, remove: number, insert: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]);
}
