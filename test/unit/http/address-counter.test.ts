import { describe, expect, test } from 'vitest';
import { AddressCounter, networkOf } from '../../../src/http/address-counter.ts';

describe('Counting by address', () => {
  test('stops at the limit and forgets who left', () => {
    const counter = new AddressCounter(2);
    expect([counter.take('a'), counter.take('a'), counter.take('a'), counter.take('b')]).toEqual([
      true,
      true,
      false,
      true,
    ]);
    counter.give('a');
    expect(counter.take('a')).toBe(true);
  });

  test('0 is no limit', () => {
    const counter = new AddressCounter(0);
    for (let count = 0; count < 1000; count += 1) expect(counter.take('a')).toBe(true);
  });

  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1:2::9', '2001:db8:1:2'],
    ['2001:db8::9', '2001:db8:0:0'],
    ['::1', '0:0:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
  ])('%s counts as %s', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});
