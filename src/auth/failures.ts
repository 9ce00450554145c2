/** The reasons for refusing a token, in words that are safe to show: no part of any token is in them. */
import type { TokenFailure, TokenFailureCode } from '../core/identity.ts';

type PlainCode = Exclude<TokenFailureCode, 'expired' | 'notYetValid'>;

const DESCRIPTIONS: Readonly<Record<PlainCode, string>> = {
  missing: 'A token is required',
  malformed: 'The token is not a valid JSON Web Token',
  badSignature: 'The signature of the token is not valid',
  wrongIssuer: 'The issuer of the token is not accepted here',
  wrongAudience: 'The token is meant for another audience',
  noExpiry: 'The token has no expiration',
  unsupportedAlgorithm: 'The signature algorithm of the token is not accepted here',
  keysUnavailable: 'The keys that check tokens cannot be had at the moment',
};

/** The failure for a code that needs no further facts. */
export function failure(code: PlainCode): TokenFailure {
  return { code, description: DESCRIPTIONS[code] };
}

/** The token expired. `expiredAtMs` is the time in its `exp`, milliseconds since the Unix epoch. */
export function expired(expiredAtMs: number): TokenFailure {
  return { code: 'expired', description: `The token expired at '${dateText(expiredAtMs)}'`, expiredAtMs };
}

/** The token is not valid before the time in its `nbf`, milliseconds since the Unix epoch. */
export function notYetValid(fromMs: number): TokenFailure {
  return { code: 'notYetValid', description: `The token is not valid before '${dateText(fromMs)}'` };
}

/**
 * The value of `WWW-Authenticate` for a refused request (RFC 6750, section 3): without a token, or when the server
 * itself is at fault, only the scheme, so that a client does not throw away a token that may be good.
 */
export function challengeOf(refused: TokenFailure): string {
  switch (refused.code) {
    case 'missing':
    case 'keysUnavailable':
      return 'Bearer';
    case 'malformed':
      return 'Bearer error="invalid_token"';
    case 'badSignature':
    case 'expired':
    case 'notYetValid':
    case 'wrongIssuer':
    case 'wrongAudience':
    case 'noExpiry':
    case 'unsupportedAlgorithm':
      return `Bearer error="invalid_token", error_description="${refused.description}"`;
  }
}

/** UTC as clients of the hub know it from elsewhere: 11/22/2026 16:10:27. */
function dateText(ms: number): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return 'an impossible time';
  const [year = '', month = '', day = ''] = date.toISOString().slice(0, 10).split('-');
  return `${month}/${day}/${year} ${date.toISOString().slice(11, 19)}`;
}
