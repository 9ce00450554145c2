import type { Db } from 'mongodb';
import { expect, test } from 'vitest';
import { serverTimeDifference } from '../../../../src/store/mongo/server-time.ts';
import { FakeClock } from '../../../fixtures/fake-clock.ts';

/** A server whose clock is ahead, and whose answer is on its way for a while before and after it reads it. */
function asked(aheadMs: number, thereMs: number, backMs: number, meanwhile = (_clock: FakeClock): void => undefined) {
  const clock = new FakeClock();
  const command = async () => {
    await clock.advance(thereMs);
    const localTime = new Date(clock.now() + aheadMs);
    await clock.advance(backMs);
    meanwhile(clock);
    return { localTime };
  };
  return serverTimeDifference({ admin: () => ({ command }) } as unknown as Db, clock);
}

test('the difference is that in the middle of the round trip', async () => {
  expect(await asked(300_000, 20, 20)).toBe(300_000);
  expect(await asked(-300_000, 0, 0)).toBe(-300_000);
});

test('a slow answer tells a clock that is minutes off', async () => {
  expect(await asked(300_000, 4000, 0)).toBe(300_000);
  expect(await asked(-300_000, 0, 4000)).toBe(-300_000);
});

test('a slow answer tells nothing if the difference may be its own', async () => {
  expect(await asked(0, 4000, 0)).toBeUndefined();
  expect(await asked(0, 0, 60_000)).toBeUndefined();
  expect(await asked(1500, 0, 4000)).toBeUndefined();
});

test('a machine that was suspended while it asked is not taken for one with a wrong clock', async () => {
  expect(await asked(0, 5, 5, (clock) => clock.jumpWallClock(60_000))).toBeUndefined();
});
