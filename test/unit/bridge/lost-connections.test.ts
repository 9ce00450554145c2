import { describe, expect, test } from 'vitest';
import type { Gap } from '../../../src/bridge/gap.ts';
import {
  LostConnections,
  MAX_LOSS_AGE_MS,
  MAX_LOSS_USERS,
  MAX_LOSSES_PER_USER,
  RETURN_WINDOW_MS,
} from '../../../src/bridge/lost-connections.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';

const gap = (sinceMs: number, ...except: string[]): Gap => ({ sinceMs, except: new Set(except) });

function setUp(): { clock: FakeClock; lost: LostConnections } {
  const clock = new FakeClock();
  return { clock, lost: new LostConnections(clock) };
}

describe('the memory of lost connections', () => {
  test('gives every connection of the user within two minutes what the lost one may lack', async () => {
    const { clock, lost } = setUp();
    lost.remember('bob', gap(1000, 'm1'));
    expect(lost.comeBack('ann')).toBeUndefined();
    expect(lost.comeBack('bob')).toStrictEqual(gap(1000, 'm1'));
    await clock.advance(RETURN_WINDOW_MS);
    expect(lost.comeBack('bob')).toStrictEqual(gap(1000, 'm1'));
    await clock.advance(1);
    expect(lost.comeBack('bob')).toBeUndefined();
    expect(lost.size).toBe(0);
  });

  test('gives it to the first that comes later if none came, up to ten minutes', async () => {
    const { clock, lost } = setUp();
    lost.remember('bob', gap(1000));
    lost.remember('cid', gap(2000));
    await clock.advance(MAX_LOSS_AGE_MS);
    expect(lost.comeBack('bob')).toStrictEqual(gap(1000));
    expect(lost.comeBack('bob')).toBeUndefined();
    await clock.advance(1);
    expect(lost.comeBack('cid')).toBeUndefined();
  });

  test('gives it to as many late ones as were lost', async () => {
    const { clock, lost } = setUp();
    lost.remember('bob', gap(1000));
    await clock.advance(1000);
    lost.remember('bob', gap(2000));
    await clock.advance(RETURN_WINDOW_MS * 2);
    expect(lost.comeBack('bob')).toStrictEqual(gap(1000));
    expect(lost.comeBack('bob')).toStrictEqual(gap(2000));
    expect(lost.comeBack('bob')).toBeUndefined();
  });

  test('covers all losses: the earliest time, and only what all are proven to have', () => {
    const { lost } = setUp();
    lost.remember('bob', gap(2000, 'm1', 'm2'));
    lost.remember('bob', gap(1000, 'm2', 'm3'));
    expect(lost.comeBack('bob')).toStrictEqual(gap(1000, 'm2'));
  });

  test('asks for less again when an early loss is over, however often connections are lost', async () => {
    const { clock, lost } = setUp();
    for (let n = 0; n < 100; n += 1) {
      lost.remember('bob', gap(n));
      lost.comeBack('bob');
      await clock.advance(RETURN_WINDOW_MS / 4);
    }
    expect(lost.comeBack('bob')?.sinceMs).toBeGreaterThan(90);
  });

  test('keeps a bounded number of losses of a user, the earliest time among them', () => {
    const { lost } = setUp();
    const count = MAX_LOSSES_PER_USER + 5;
    for (let n = count; n > 0; n -= 1) lost.remember('bob', gap(n));
    expect(lost.comeBack('bob')).toStrictEqual(gap(1));
    for (let n = 1; n < count; n += 1) expect(lost.comeBack('bob')?.sinceMs).toBe(1);
  });

  test('keeps a bounded number of users, the latest', () => {
    const { lost } = setUp();
    for (let n = 0; n <= MAX_LOSS_USERS; n += 1) lost.remember(`user-${n}`, gap(n));
    expect(lost.size).toBeLessThanOrEqual(MAX_LOSS_USERS);
    expect(lost.comeBack('user-0')).toBeUndefined();
    expect(lost.comeBack(`user-${MAX_LOSS_USERS}`)).toStrictEqual(gap(MAX_LOSS_USERS));
  });

  test('forgets users whose losses are too old when others are lost', async () => {
    const { clock, lost } = setUp();
    lost.remember('ann', gap(1));
    lost.remember('bob', gap(1));
    await clock.advance(MAX_LOSS_AGE_MS + 1);
    lost.remember('cid', gap(2));
    expect(lost.size).toBe(1);
  });
});
