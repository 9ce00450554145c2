import { describe, expect, test } from 'vitest';
import { ConnectionLimits } from '../../../src/core/connection-limits.ts';

describe('Connection limits', () => {
  test('a user has so many places, and they come back once', () => {
    const limits = new ConnectionLimits({ perUser: 2, perAddress: 0 });
    const release = limits.acquire('alice', '192.0.2.1');
    limits.acquire('alice', '192.0.2.2');
    expect(() => limits.acquire('alice', '192.0.2.3')).toThrow('Too many connections of this user');
    limits.acquire('bob', '192.0.2.1');
    release();
    release();
    limits.acquire('alice', '192.0.2.1');
    expect(() => limits.acquire('alice', '192.0.2.1')).toThrow(
      expect.objectContaining({ reason: 'TOO_MANY_CONNECTIONS' }),
    );
  });

  test('an address has so many places, whoever uses them', () => {
    const limits = new ConnectionLimits({ perUser: 10, perAddress: 2 });
    limits.acquire('alice', '192.0.2.1');
    limits.acquire('bob', '192.0.2.1');
    expect(() => limits.acquire('carol', '192.0.2.1')).toThrow('Too many connections from this address');
    limits.acquire('carol', '192.0.2.2');
  });
});
