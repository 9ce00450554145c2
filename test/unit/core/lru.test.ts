import { expect, test } from 'vitest';
import { Lru } from '../../../src/core/lru.ts';

test('forgets what was used longest ago, and a look counts as use', () => {
  const lru = new Lru<string, number>(2);
  lru.set('a', 1);
  lru.set('b', 2);
  expect(lru.get('a')).toBe(1);
  lru.set('c', 3);
  expect([lru.get('a'), lru.get('b'), lru.get('c')]).toEqual([1, undefined, 3]);
  expect(lru.size).toBe(2);
});

test('setting again replaces, counts as use and takes no further room', () => {
  const lru = new Lru<string, number>(2);
  lru.set('a', 1);
  lru.set('b', 2);
  lru.set('a', 10);
  lru.set('c', 3);
  expect([lru.get('a'), lru.get('b')]).toEqual([10, undefined]);
});

test('deleting makes room', () => {
  const lru = new Lru<string, number>(2);
  lru.set('a', 1);
  lru.set('b', 2);
  lru.delete('a');
  lru.delete('unknown');
  lru.set('c', 3);
  expect([lru.get('b'), lru.get('c')]).toEqual([2, 3]);
});
