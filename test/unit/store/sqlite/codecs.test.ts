import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { newId } from '../../../../src/core/ids.ts';
import type { WriteOp, WriteOutcome } from '../../../../src/core/ports.ts';
import { GenerationCache } from '../../../../src/store/sqlite/generation-cache.ts';
import { decodeId, encodeId } from '../../../../src/store/sqlite/id-codec.ts';
import { decodeMoves, encodeMove, type Track } from '../../../../src/store/sqlite/move-log.ts';
import {
  decodeOperations,
  decodeOutcomes,
  encodeOperations,
  encodeOutcomes,
} from '../../../../src/store/sqlite/protocol.ts';
import { message } from './temporary-store.ts';

describe('ids', () => {
  test('come back as they were', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.uuid(),
          fc.uuid().map((id) => id.toUpperCase()),
        ),
        (id) => {
          expect(decodeId(encodeId(id))).toBe(id);
        },
      ),
    );
  });

  test('are 16 bytes if they are canonical UUIDs, and text if they only look alike', () => {
    const id = newId(Date.now());
    expect(encodeId(id)).toHaveLength(16);
    expect(encodeId(id)).toBeInstanceOf(Uint8Array);
    for (const other of [id.toUpperCase(), id.replaceAll('-', ''), `{${id}}`, `${id} `, id.replace('-', '_')]) {
      expect(encodeId(other)).toBe(other);
    }
  });
});

test('moves come back as they were', () => {
  const move = fc.record({ track: fc.nat(3) as fc.Arbitrary<Track>, toSeq: fc.nat(), atMs: fc.maxSafeInteger() });
  fc.assert(
    fc.property(fc.array(move), (moves) => {
      expect(decodeMoves(moves.map((m) => encodeMove(m.track, m.toSeq, m.atMs)).join(''))).toEqual(moves);
    }),
  );
});

test('operations and outcomes cross between the threads unchanged', () => {
  const cursors = { received: 3, delivered: 2, read: 1 };
  const stored = { id: 'm', seq: 1, senderId: 'a', receiverId: 'b', text: '', sentAtMs: 5, deletedAtMs: 6 };
  const fresh = message('hello');
  const pairs: [WriteOp, WriteOutcome][] = [
    [
      fresh,
      {
        type: 'appended',
        message: { id: fresh.id, seq: 7, senderId: 'ann', receiverId: 'bob', text: 'hello', sentAtMs: 9 },
        duplicate: false,
      },
    ],
    [
      message('hi', { clientMessageId: 'c', digest: 'd', withoutId: true }),
      { type: 'appended', message: stored, duplicate: true },
    ],
    [message('hi', { clientMessageId: 'c', digest: 'e' }), { type: 'conflict' }],
    [
      { type: 'advance', personId: 'b', otherId: 'a', kind: 'read', toSeq: 4, withoutHoleBelow: 2, atMs: 8 },
      {
        type: 'advanced',
        previous: cursors,
        current: cursors,
        passed: [
          { id: 'm', seq: 1 },
          { id: 'n', seq: 2 },
        ],
        more: true,
      },
    ],
    [{ type: 'advance', personId: 'b', otherId: 'a', kind: 'received', toSeq: 4, atMs: 8 }, { type: 'missing' }],
    [
      { type: 'delete', messageId: 'm', atMs: 6 },
      { type: 'deleted', message: stored, alreadyDeleted: true },
    ],
    [{ type: 'bind', senderId: 'a', clientMessageId: 'c', digest: 'd', messageId: 'm' }, { type: 'bound' }],
  ];
  const operations = pairs.map(([operation]) => operation);
  const outcomes = pairs.map(([, outcome]) => outcome);
  expect(structuredClone(decodeOperations(encodeOperations(operations)))).toEqual(operations);
  expect(decodeOutcomes(structuredClone(encodeOutcomes(outcomes)), operations)).toEqual(outcomes);
});

test('a cache keeps what is used and stays within its bound', () => {
  const cache = new GenerationCache<number, string>(10);
  for (let key = 0; key < 1000; key += 1) {
    cache.set(key, `${key}`);
    expect(cache.get(0)).toBe('0');
    expect(cache.get(key)).toBe(`${key}`);
    cache.trim();
  }
  const kept = Array.from({ length: 1000 }, (_, key) => key).filter((key) => cache.get(key) !== undefined);
  expect(kept.length).toBeLessThanOrEqual(13);
  cache.clear();
  expect(cache.get(0)).toBeUndefined();
});
