/** Who a caller is, as a verified token says; and the port that verifies. */

/** What an identity may do (policy.ts). Everybody who is known is a `user`; the others come from token claims. */
export type Role = 'user' | 'Admin' | 'SuperAdmin' | 'Service';

/** The claims of a verified token. */
export interface Identity {
  /** Opaque, 1 to 128 characters; undefined if the token carries none (it then may do nothing). */
  readonly userId: string | undefined;
  readonly roles: ReadonlySet<Role>;
  /** The first role claim as the token wrote it (Client, Caregiver…), for the profile. */
  readonly roleClaim?: string;
  readonly name?: string;
  readonly email?: string;
  /** URL of a picture. */
  readonly picture?: string;
  /** When the token expires, milliseconds since the Unix epoch (without the clock tolerance). */
  readonly expiresAtMs: number;
  /** The token's own id (`jti`), for audit and revocation. */
  readonly tokenId?: string;
}

/** Why a token was refused. */
export type TokenFailureCode =
  | 'missing'
  | 'malformed'
  | 'badSignature'
  | 'expired'
  | 'notYetValid'
  | 'wrongIssuer'
  | 'wrongAudience'
  | 'noExpiry'
  | 'unsupportedAlgorithm'
  | 'keysUnavailable';

export interface TokenFailure {
  readonly code: TokenFailureCode;
  /** Safe to show to the client; never holds the token or parts of it. */
  readonly description: string;
  /** With `expired`: when it expired, milliseconds since the Unix epoch. */
  readonly expiredAtMs?: number;
}

export type Verification =
  | { readonly ok: true; readonly identity: Identity }
  | { readonly ok: false; readonly failure: TokenFailure };

/** Verifies tokens. Never throws and never logs a token. */
export interface TokenVerifier {
  verify(token: string | undefined): Promise<Verification>;
  /** The identity of a token that was verified before and has not expired; undefined = ask `verify`. */
  verifyCached(token: string): Identity | undefined;
}
