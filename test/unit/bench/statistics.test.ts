import { describe, expect, it } from 'vitest';
import { median, percentile, range } from '../../../bench/statistics.ts';

describe('percentile', () => {
  it('is always a value that was measured (nearest rank)', () => {
    const samples = [15, 20, 35, 40, 50];
    expect([0, 5, 20, 30, 40, 50, 99, 100].map((percent) => percentile(samples, percent))).toEqual([
      15, 15, 15, 20, 20, 35, 50, 50,
    ]);
  });

  it('does not depend on the order of the samples and leaves them as they are', () => {
    const samples = [3, 1, 2];
    expect(percentile(samples, 50)).toBe(2);
    expect(samples).toEqual([3, 1, 2]);
  });

  it('sorts by number, not by text', () => {
    expect(percentile([100, 9, 20], 50)).toBe(20);
  });

  it('is not a number when there are no samples', () => {
    expect(percentile([], 50)).toBeNaN();
  });

  it('refuses a percentage that is none', () => {
    expect(() => percentile([1], 101)).toThrow(RangeError);
    expect(() => percentile([1], Number.NaN)).toThrow(RangeError);
  });
});

describe('median', () => {
  it('is the middle of an odd number of values', () => {
    expect(median([9, 1, 5])).toBe(5);
  });

  it('is the mean of the middle two of an even number', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5);
  });

  it('is the value itself if there is one, and not a number if there is none', () => {
    expect(median([7])).toBe(7);
    expect(median([])).toBeNaN();
  });
});

it('range gives the smallest and the largest', () => {
  expect(range([3, -1, 2])).toEqual({ min: -1, max: 3 });
});
