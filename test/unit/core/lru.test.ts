import { expect, test } from 'vitest';
import { Lru } from '../../../src/core/lru.ts';

test('keeps at least what was used last, and at most twice as many', () => {
  const lru = new Lru<number, number>(100);
  for (let key = 0; key < 10_000; key += 1) {
    lru.set(key, key);
    expect(lru.size).toBeLessThanOrEqual(200);
  }
  for (let key = 9_900; key < 10_000; key += 1) expect(lru.get(key)).toBe(key);
  expect(lru.get(0)).toBeUndefined();
});

test('a look counts as use', () => {
  const lru = new Lru<string, number>(10);
  lru.set('kept', 1);
  for (let key = 0; key < 1000; key += 1) {
    expect(lru.get('kept')).toBe(1);
    lru.set(`other ${key}`, key);
  }
  expect(lru.get('other 0')).toBeUndefined();
});

test('setting again replaces, also what had grown old', () => {
  const lru = new Lru<string, number>(2);
  lru.set('a', 1);
  lru.set('b', 2);
  lru.set('a', 10);
  expect([lru.get('a'), lru.get('b')]).toEqual([10, 2]);
});

test('what was deleted is gone from both generations', () => {
  const lru = new Lru<string, number>(2);
  lru.set('a', 1);
  lru.set('b', 2);
  lru.get('a');
  lru.delete('a');
  lru.delete('unknown');
  expect([lru.get('a'), lru.get('b')]).toEqual([undefined, 2]);
});
