import { expect, test } from 'vitest';
import { RateLimit } from '../../../src/core/rate-limit.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';

function takes(limit: RateLimit, key: string, count: number): number[] {
  return Array.from({ length: count }, () => limit.take(key));
}

test('lets a burst through, then says how long until the next', async () => {
  const clock = new FakeClock();
  const limit = new RateLimit(clock, { perSecond: 10, burst: 3 });
  expect(takes(limit, 'alice', 4)).toEqual([0, 0, 0, 100]);
  await clock.advance(40);
  expect(limit.take('alice')).toBe(60);
  await clock.advance(60);
  expect(takes(limit, 'alice', 2)).toEqual([0, 100]);
});

test('a refused take costs nothing', async () => {
  const clock = new FakeClock();
  const limit = new RateLimit(clock, { perSecond: 10, burst: 1 });
  takes(limit, 'alice', 50);
  await clock.advance(100);
  expect(limit.take('alice')).toBe(0);
});

test('does not save up more than the burst', async () => {
  const clock = new FakeClock();
  const limit = new RateLimit(clock, { perSecond: 10, burst: 3 });
  takes(limit, 'alice', 3);
  await clock.advance(3_600_000);
  expect(takes(limit, 'alice', 4)).toEqual([0, 0, 0, 100]);
});

test('counts every key on its own', () => {
  const limit = new RateLimit(new FakeClock(), { perSecond: 1, burst: 1 });
  expect([limit.take('alice'), limit.take('bob'), limit.take('alice')]).toEqual([0, 0, 1000]);
});

test('does not care about a correction of the wall clock', () => {
  const clock = new FakeClock();
  const limit = new RateLimit(clock, { perSecond: 1, burst: 1 });
  limit.take('alice');
  clock.jumpWallClock(3_600_000);
  expect(limit.take('alice')).toBe(1000);
});

test('forgets the keys that are full again before those that are not', async () => {
  const clock = new FakeClock();
  const limit = new RateLimit(clock, { perSecond: 1, burst: 2, maxKeys: 3 });
  takes(limit, 'rested', 2);
  await clock.advance(2000);
  takes(limit, 'busy', 2);
  limit.take('third');
  limit.take('fourth');
  expect(limit.take('busy')).toBe(1000);
});

test('is bounded even if no key is full again', () => {
  const limit = new RateLimit(new FakeClock(), { perSecond: 1, burst: 1, maxKeys: 2 });
  for (const key of ['a', 'b', 'c']) limit.take(key);
  expect(limit.take('c')).toBe(1000);
  expect(limit.take('a')).toBe(0); // forgotten to make room
});
