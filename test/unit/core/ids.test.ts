import { describe, expect, test } from 'vitest';
import { checkId, MAX_ID_LENGTH, newId, pairOf } from '../../../src/core/ids.ts';

/** Far ahead of the ids that other tests of this process may have made. */
let nextMs = Date.UTC(2100, 0, 1);
function freshMs(): number {
  nextMs += 1_000_000;
  return nextMs;
}

const timeOf = (id: string): number => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);

describe('a new id', () => {
  test('is a UUID of version 7 and the RFC variant that carries the time', () => {
    const nowMs = freshMs();
    const id = newId(nowMs);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(timeOf(id)).toBe(nowMs);
  });

  test('pads a time with leading zeros', () => {
    expect(newId(freshMs())).toHaveLength(36);
  });

  test('sorts after every one before, within a millisecond and beyond its 4,096 places', () => {
    const nowMs = freshMs();
    const ids = Array.from({ length: 10_000 }, () => newId(nowMs));
    expect(ids.toSorted()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
    expect(timeOf(ids.at(-1) ?? '')).toBe(nowMs + 2);
  });

  test('sorts after every one before when the clock goes back, and follows the clock when it catches up', () => {
    const nowMs = freshMs();
    const ids = [newId(nowMs), newId(nowMs - 60_000), newId(nowMs - 1), newId(nowMs), newId(nowMs + 5)];
    expect(ids.toSorted()).toEqual(ids);
    expect(ids.map(timeOf)).toEqual([nowMs, nowMs, nowMs, nowMs, nowMs + 5]);
  });

  test('differs in all its random bits', () => {
    let ones = 0n;
    let zeros = 0n;
    for (let index = 0; index < 2000; index += 1) {
      const bits = BigInt(`0x${newId(freshMs()).replaceAll('-', '').slice(16)}`);
      ones |= bits;
      zeros |= ~bits & ((1n << 64n) - 1n);
    }
    const variant = 3n << 62n;
    expect(ones & ~variant).toBe((1n << 62n) - 1n);
    expect(zeros & ~variant).toBe((1n << 62n) - 1n);
    expect(ones & variant).toBe(1n << 63n);
  });
});

describe('a foreign id', () => {
  test.each(['a', 'x'.repeat(MAX_ID_LENGTH), '507f1f77bcf86cd799439011', 'jürgen@example.org', '日本', '👩‍⚕️', 'a b'])(
    'may be %j',
    (id) => {
      expect(checkId(id, 'user_id')).toBe(id);
    },
  );

  test.each<[string, unknown]>([
    ['empty', ''],
    ['absent', undefined],
    ['null', null],
    ['a number', 7],
    ['an object', { length: 3 }],
    ['too long', 'x'.repeat(MAX_ID_LENGTH + 1)],
    ['with a NUL', 'a\0b'],
    ['with a line break', 'a\nb'],
    ['with a C1 control', 'a\u0085b'],
    ['with a lone surrogate', 'a\ud800'],
  ])('must not be %s, and the error names the field but not the value', (_name, id) => {
    let error: unknown;
    try {
      checkId(id, 'user_id');
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({
      code: 'invalidArgument',
      reason: 'INVALID_FIELD',
      violations: [{ field: 'user_id' }],
    });
    if (typeof id === 'string' && id !== '') expect(JSON.stringify(error)).not.toContain(JSON.stringify(id));
  });
});

test('a pair is the same from both sides', () => {
  expect(pairOf('b', 'a')).toEqual(['a', 'b']);
  expect(pairOf('a', 'b')).toEqual(['a', 'b']);
  expect(pairOf('B', 'a')).toEqual(['B', 'a']);
  expect(pairOf('ab', 'a')).toEqual(['a', 'ab']);
});
