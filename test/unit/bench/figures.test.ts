import { describe, expect, it } from 'vitest';
import { describeTarget, type Figure, formatNumber, verdict } from '../../../bench/figures.ts';

const figure = (values: Partial<Figure>): Figure => ({ id: 'a.b', label: 'b', unit: 'us', ...values });

describe('verdict', () => {
  it('is met at the limit itself, unless the target says below', () => {
    expect(verdict(figure({ ours: 12 }), { kind: 'atMost', limit: 12 })).toBe('met');
    expect(verdict(figure({ ours: 5 }), { kind: 'below', limit: 5 })).toBe('missed by 0 us (0 %)');
    expect(verdict(figure({ ours: 4.9 }), { kind: 'below', limit: 5 })).toBe('met');
  });

  it('says by how much a target is missed', () => {
    expect(verdict(figure({ ours: 50 }), { kind: 'atMost', limit: 40 })).toBe('missed by 10.0 us (25.0 %)');
  });

  it('compares with the incumbent of the same run', () => {
    const target = { kind: 'noMoreThanIncumbent' } as const;
    expect(verdict(figure({ ours: 30, incumbent: 31 }), target)).toBe('met');
    expect(verdict(figure({ ours: 33, incumbent: 30 }), target)).toBe('missed by 3.00 us (10.0 %)');
    expect(verdict(figure({ ours: 33 }), target)).toBe('nothing to compare with');
  });

  it('does not call met what was not measured', () => {
    expect(verdict(figure({}), { kind: 'atMost', limit: 1 })).toBe('not measured');
    expect(verdict(figure({ ours: Number.NaN }), { kind: 'atMost', limit: 1 })).not.toBe('met');
  });
});

it('a target is described in the unit of its figure', () => {
  expect(describeTarget({ kind: 'atMost', limit: 40 }, 'us')).toBe('<= 40.0 us');
  expect(describeTarget({ kind: 'below', limit: 5 }, 'ms')).toBe('< 5.00 ms');
  expect(describeTarget({ kind: 'noMoreThanIncumbent' }, 'us')).toBe('<= incumbent');
});

it.each([
  [0, '0'],
  [0.01234, '0.012'],
  [0.5, '0.500'],
  [1.2345, '1.23'],
  [12.345, '12.3'],
  [99.96, '100.0'],
  [123.4, '123'],
  [45678.9, '45,679'],
  [Number.NaN, '–'],
])('the number %d is written %s', (value, written) => {
  expect(formatNumber(value)).toBe(written);
});
