import { expect, test } from 'vitest';
import { ExpirySweep } from '../../../src/bridge/expiry-sweep.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';

test('everything ends in its time, with one timer for all', async () => {
  const clock = new FakeClock();
  const ended: string[] = [];
  const sweep = new ExpirySweep<string>(clock, (item) => ended.push(item));
  sweep.add('late', clock.now() + 60_000);
  sweep.add('early', clock.now() + 10_000);
  sweep.add('gone', clock.now() + 10_000);
  expect(clock.pending).toBe(1);
  sweep.delete('gone');
  await clock.advance(9_999);
  expect(ended).toStrictEqual([]);
  await clock.advance(1);
  expect(ended).toStrictEqual(['early']);
  await clock.advance(50_000);
  expect(ended).toStrictEqual(['early', 'late']);
  expect(clock.pending).toBe(0);
});

test('what has expired already ends at once, but not within the call', async () => {
  const clock = new FakeClock();
  const ended: string[] = [];
  const sweep = new ExpirySweep<string>(clock, (item) => ended.push(item));
  sweep.add('expired', clock.now() - 5);
  expect(ended).toStrictEqual([]);
  await clock.advance(0);
  expect(ended).toStrictEqual(['expired']);
});

test('a wall clock that is put right is noticed within the hour', async () => {
  const clock = new FakeClock();
  const ended: string[] = [];
  const sweep = new ExpirySweep<string>(clock, (item) => ended.push(item));
  sweep.add('day', clock.now() + 86_400_000);
  clock.jumpWallClock(86_400_000);
  await clock.advance(3_600_000);
  expect(ended).toStrictEqual(['day']);
});

test('the timer goes with the last item', () => {
  const clock = new FakeClock();
  const sweep = new ExpirySweep<string>(clock, () => undefined);
  sweep.add('a', clock.now() + 1000);
  sweep.delete('a');
  sweep.delete('a');
  expect(clock.pending).toBe(0);
  expect(sweep.size).toBe(0);
});
