import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Replayed } from '../../../src/core/replayed.ts';

const of = (seq: number, senderId = 'alice') => ({ senderId, seq });

test('what was replayed is known, whatever order and repeats it came in, and nothing else is', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), (seqs) => {
      const replayed = new Replayed();
      for (const seq of seqs) replayed.add(of(seq));
      // Upwards, as a stream comes.
      for (let seq = 1; seq <= 62; seq += 1) expect(replayed.has(of(seq))).toBe(seqs.includes(seq));
    }),
  );
});

test('a sender is forgotten when the stream has gone past the replay', () => {
  const replayed = new Replayed();
  for (const seq of [3, 4]) replayed.add(of(seq));
  replayed.add(of(1, 'carol'));
  expect(replayed.has(of(4))).toBe(true);
  expect(replayed.has(of(5))).toBe(false);
  expect(replayed.senders).toBe(1);
  expect(replayed.has(of(4))).toBe(false);
  expect(replayed.has(of(1, 'carol'))).toBe(true);
});

test('senders and runs are bounded, and the oldest are forgotten first', () => {
  const replayed = new Replayed();
  for (let number = 0; number < 1001; number += 1) replayed.add(of(1, `sender ${number}`));
  expect(replayed.senders).toBe(1000);
  expect(replayed.has(of(1, 'sender 0'))).toBe(false);
  expect(replayed.has(of(1, 'sender 1'))).toBe(true);
  for (let seq = 1; seq <= 201 * 2; seq += 2) replayed.add(of(seq));
  expect(replayed.has(of(1))).toBe(false);
  expect(replayed.has(of(401))).toBe(true);
});
