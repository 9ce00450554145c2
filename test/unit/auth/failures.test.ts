import { describe, expect, it } from 'vitest';
import { challengeOf, expired, failure, notYetValid } from '../../../src/auth/failures.ts';

describe('challengeOf', () => {
  it('says when a token expired, in UTC', () => {
    expect(challengeOf(expired(Date.UTC(2026, 10, 22, 16, 10, 27)))).toBe(
      `Bearer error="invalid_token", error_description="The token expired at '11/22/2026 16:10:27'"`,
    );
    expect(challengeOf(notYetValid(Date.UTC(2026, 0, 2, 3, 4, 5)))).toBe(
      `Bearer error="invalid_token", error_description="The token is not valid before '01/02/2026 03:04:05'"`,
    );
  });

  it('is the bare scheme where no token came or the server has no keys', () => {
    expect(challengeOf(failure('missing'))).toBe('Bearer');
    expect(challengeOf(failure('keysUnavailable'))).toBe('Bearer');
  });

  it('explains nothing about what is no token', () => {
    expect(challengeOf(failure('malformed'))).toBe('Bearer error="invalid_token"');
  });

  it('survives times that are no dates', () => {
    expect(challengeOf(expired(1e300))).toContain('an impossible time');
  });
});
