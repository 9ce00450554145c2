import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../../src/time/clock.ts';

const DAY_MS = 86_400_000;

describe('The clock of the operating system', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('a callback runs once after its delay', () => {
    let calls = 0;
    systemClock.schedule(100, () => {
      calls += 1;
    });
    vi.advanceTimersByTime(99);
    expect(calls).toBe(0);
    vi.advanceTimersByTime(1000);
    expect(calls).toBe(1);
  });

  test('a delay beyond what Node keeps does not fire at once', () => {
    let calls = 0;
    systemClock.schedule(60 * DAY_MS, () => {
      calls += 1;
    });
    vi.advanceTimersByTime(59 * DAY_MS);
    expect(calls).toBe(0);
    vi.advanceTimersByTime(DAY_MS);
    expect(calls).toBe(1);
  });

  test('a cancelled callback never runs, also on the second leg of a long delay', () => {
    let calls = 0;
    const timer = systemClock.schedule(60 * DAY_MS, () => {
      calls += 1;
    });
    vi.advanceTimersByTime(30 * DAY_MS);
    timer.cancel();
    vi.advanceTimersByTime(60 * DAY_MS);
    expect(calls).toBe(0);
  });
});
