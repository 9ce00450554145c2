/**
 * Verifies JSON Web Tokens (RFC 7519) with jose: HS256 under a shared secret, RS256, ES256 and EdDSA under the keys of a
 * JWKS URL.
 *
 * Invariants: the algorithm decides which kind of key may be asked, so a public key never serves as an HMAC secret and
 * `none` reaches no key at all (RFC 8725, section 3.1); issuer, audience and expiry are always checked; the expiry also
 * on every answer from the cache; no token or part of one leaves this module.
 */
import { decodeProtectedHeader, errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose';
import type { Identity, TokenFailure, TokenVerifier, Verification } from '../core/identity.ts';
import { Lru } from '../core/lru.ts';
import type { Clock } from '../time/clock.ts';
import { identityOf } from './claims.ts';
import { expired, failure, notYetValid } from './failures.ts';
import { type KeyFinder, KeysUnavailableError } from './key-sets.ts';

/** How far the clocks of issuer and server may be apart, in milliseconds; for `exp` and `nbf`. */
export const CLOCK_TOLERANCE_MS = 30_000;
/** Longest token that is looked at, in characters. */
const MAX_TOKEN_LENGTH = 8192;
/** Refusals are remembered for this long, so that a client in a loop costs no signature checks. */
const REFUSAL_TTL_MS = 1_000;
const MAX_REFUSALS = 1_000;

const PUBLIC_KEY_ALGORITHMS = ['RS256', 'ES256', 'EdDSA', 'Ed25519'];

export interface JwtVerifierOptions {
  readonly clock: Clock;
  /** `iss` that tokens must carry. */
  readonly issuer: string;
  /** `aud` that tokens must carry, alone or among others. */
  readonly audience: string;
  /** Shared secret for HS256, at least 32 bytes (RFC 7518, section 3.2). Absent: HS256 is refused. */
  readonly secret?: Uint8Array;
  /** Public keys (`RemoteKeySet.find`). Absent: RS256, ES256 and EdDSA are refused. */
  readonly publicKeys?: KeyFinder;
  /** Most verified tokens kept. Default 20,000. */
  readonly cacheMaxEntries?: number;
}

interface Accepted {
  readonly verification: Extract<Verification, { ok: true }>;
  readonly untilMs: number;
}

interface Refused {
  readonly verification: Verification;
  readonly untilMonotonicMs: number;
}

type KeyRing = { readonly key: KeyFinder; readonly algorithms: string[] };

export class JwtVerifier implements TokenVerifier {
  readonly #options: JwtVerifierOptions;
  readonly #accepted: Lru<string, Accepted>;
  readonly #refused = new Lru<string, Refused>(MAX_REFUSALS);
  readonly #pending = new Map<string, Promise<Verification>>();
  #secretKey: Promise<CryptoKey> | undefined;

  /** @throws TypeError if there is no key at all or the secret is too short. */
  constructor(options: JwtVerifierOptions) {
    if (options.secret === undefined && options.publicKeys === undefined) {
      throw new TypeError('A token verifier needs a secret or public keys');
    }
    if (options.secret !== undefined && options.secret.byteLength < 32) {
      throw new TypeError('The HS256 secret must have at least 32 bytes');
    }
    this.#options = options;
    this.#accepted = new Lru(options.cacheMaxEntries ?? 20_000);
  }

  verifyCached(token: string): Identity | undefined {
    const hit = this.#accepted.get(token);
    if (hit === undefined) return undefined;
    if (this.#options.clock.now() < hit.untilMs) return hit.verification.identity;
    this.#accepted.delete(token);
    return undefined;
  }

  async verify(token: string | undefined): Promise<Verification> {
    if (token === undefined || token === '') return refuse(failure('missing'));
    if (token.length > MAX_TOKEN_LENGTH) return refuse(failure('malformed'));
    if (this.verifyCached(token) !== undefined) {
      const hit = this.#accepted.get(token);
      if (hit !== undefined) return hit.verification;
    }
    const refused = this.#refused.get(token);
    if (refused !== undefined && this.#options.clock.monotonicMs() < refused.untilMonotonicMs) {
      return refused.verification;
    }
    const pending = this.#pending.get(token);
    if (pending !== undefined) return pending;
    const started = this.#check(token).finally(() => this.#pending.delete(token));
    this.#pending.set(token, started);
    return started;
  }

  async #check(token: string): Promise<Verification> {
    try {
      const { payload } = await this.#verifySignatureAndClaims(token);
      const expSeconds = payload.exp ?? 0;
      // A far-off `exp` must stay a number that timers and dates can be computed with.
      const expiresAtMs = Math.min(expSeconds * 1000, Number.MAX_SAFE_INTEGER - CLOCK_TOLERANCE_MS);
      const verification = { ok: true as const, identity: identityOf(payload, expiresAtMs) };
      this.#accepted.set(token, { verification, untilMs: expiresAtMs + CLOCK_TOLERANCE_MS });
      return verification;
    } catch (error) {
      const verification = refuse(failureOf(error));
      const untilMonotonicMs = this.#options.clock.monotonicMs() + REFUSAL_TTL_MS;
      this.#refused.set(token, { verification, untilMonotonicMs });
      return verification;
    }
  }

  async #verifySignatureAndClaims(token: string): Promise<{ payload: JWTPayload }> {
    const { alg } = headerOf(token);
    const ring = this.#ringFor(alg);
    if (ring === undefined) throw new errors.JOSEAlgNotAllowed('Algorithm not accepted');
    const options: JWTVerifyOptions = {
      algorithms: ring.algorithms,
      issuer: this.#options.issuer,
      audience: this.#options.audience,
      requiredClaims: ['exp'],
      clockTolerance: CLOCK_TOLERANCE_MS / 1000,
      currentDate: new Date(this.#options.clock.now()),
    };
    try {
      return await jwtVerify(token, ring.key, options);
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      return await verifyWithAny(error, token, options);
    }
  }

  #ringFor(alg: unknown): KeyRing | undefined {
    const { secret, publicKeys } = this.#options;
    if (alg === 'HS256' && secret !== undefined) {
      return { key: () => this.#importedSecret(secret), algorithms: ['HS256'] };
    }
    if (publicKeys !== undefined && typeof alg === 'string' && PUBLIC_KEY_ALGORITHMS.includes(alg)) {
      return { key: publicKeys, algorithms: [alg] };
    }
    return undefined;
  }

  /** Imported once: jose checks a token in two thirds of the time with a CryptoKey. */
  #importedSecret(secret: Uint8Array): Promise<CryptoKey> {
    this.#secretKey ??= crypto.subtle.importKey(
      'raw',
      Uint8Array.from(secret),
      { name: 'HMAC', hash: 'SHA-256' },
      false,
      ['verify'],
    );
    return this.#secretKey;
  }
}

/** A set may hold several keys that fit a token without `kid`: any of them may have signed it. */
async function verifyWithAny(
  candidates: InstanceType<typeof errors.JWKSMultipleMatchingKeys>,
  token: string,
  options: JWTVerifyOptions,
): Promise<{ payload: JWTPayload }> {
  for await (const key of candidates) {
    try {
      return await jwtVerify(token, key, options);
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    }
  }
  throw new errors.JWSSignatureVerificationFailed();
}

function headerOf(token: string): { readonly alg?: unknown } {
  try {
    return decodeProtectedHeader(token);
  } catch {
    throw new errors.JWTInvalid('Not a token');
  }
}

function refuse(refused: TokenFailure): Verification {
  return { ok: false, failure: refused };
}

function failureOf(error: unknown): TokenFailure {
  if (error instanceof KeysUnavailableError) return failure('keysUnavailable');
  if (error instanceof errors.JWTExpired) return expired(Number(error.payload.exp) * 1000);
  if (error instanceof errors.JWTClaimValidationFailed) return claimFailure(error);
  if (error instanceof errors.JOSEAlgNotAllowed || error instanceof errors.JOSENotSupported) {
    return failure('unsupportedAlgorithm');
  }
  // A key that is not in the set and a signature that does not fit are one to the caller.
  if (error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JWKSNoMatchingKey) {
    return failure('badSignature');
  }
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) return failure('malformed');
  // What is left is a key that cannot be used: a set that is no set, a modulus that is too short.
  return failure('keysUnavailable');
}

function claimFailure(error: InstanceType<typeof errors.JWTClaimValidationFailed>): TokenFailure {
  switch (error.claim) {
    case 'iss':
      return failure('wrongIssuer');
    case 'aud':
      return failure('wrongAudience');
    case 'exp':
      return failure(error.reason === 'missing' ? 'noExpiry' : 'malformed');
    case 'nbf':
      return error.reason === 'check_failed' ? notYetValid(Number(error.payload.nbf) * 1000) : failure('malformed');
    default:
      return failure('malformed');
  }
}
