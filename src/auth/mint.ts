/** Makes tokens as the verifier accepts them: for development, tests and internal tools that hold the shared secret. */
import { SignJWT } from 'jose';

export interface MintOptions {
  /** Shared secret for HS256, at least 32 bytes. */
  readonly secret: Uint8Array;
  readonly userId: string;
  /** Role claim, as it shall stand in the token. Default: none. */
  readonly role?: string;
  /** Lifetime in milliseconds, counted in whole seconds. Default 30 min. */
  readonly ttlMs?: number;
  readonly issuer: string;
  readonly audience: string;
  readonly name?: string;
  readonly email?: string;
  /** URL of a picture. */
  readonly picture?: string;
  /** Time of issue in milliseconds since the Unix epoch. Default: now. */
  readonly nowMs?: number;
}

/** Signs a token with HS256. The user id stands in `id` and `sub`, as old and new readers expect. */
export async function mintToken(options: MintOptions): Promise<string> {
  if (options.secret.byteLength < 32) throw new TypeError('The HS256 secret must have at least 32 bytes');
  const issuedAt = Math.floor((options.nowMs ?? Date.now()) / 1000);
  const { userId: id, role, name, email, picture } = options;
  const claims = Object.entries({ id, role, name, email, picture }).filter(([, value]) => value !== undefined);
  return new SignJWT(Object.fromEntries(claims))
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(id)
    .setIssuer(options.issuer)
    .setAudience(options.audience)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + Math.max(1, Math.floor((options.ttlMs ?? 1_800_000) / 1000)))
    .sign(options.secret);
}
