/**
 * The tokens that transcripts name, and the check of them, for servers of the replay that have no identity of their own.
 */
import { errors, jwtVerify, SignJWT, UnsecuredJWT } from 'jose';

/** Who a token of the replay names. */
export interface ReferenceUser {
  readonly expiresAtMs: number;
}

const secret = new TextEncoder().encode('a-secret-for-the-replay-of-transcripts-only');
const otherSecret = new TextEncoder().encode('another-secret-that-the-server-does-not-know');
/** How long after its end a token is still taken, and before its beginning already. */
const TOLERANCE_S = 30;

/** Mints the token a transcript calls `name`, at the wall-clock time `nowMs`. */
export async function mintToken(name: string, nowMs: number): Promise<string> {
  const nowS = Math.floor(nowMs / 1000);
  const claims: Record<string, unknown> = {};
  const idClaim = { 'claims-userId': ['userId', 'u2'], 'claims-sub': ['sub', 's3'], 'claims-id': ['id', 'i4'] }[name];
  if (idClaim !== undefined) claims[idClaim[0] ?? ''] = idClaim[1];
  else if (name === 'alice-3s') claims.id = 'alice';
  else if (name !== 'no-user-claim') claims.id = name;
  const expiryS: Readonly<Record<string, number>> = {
    'expired-an-hour': -3600,
    'expired-a-minute': -60,
    'alice-3s': 3,
  };
  const jwt = new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuer(name === 'wrong-issuer' ? 'Other' : 'CarePro')
    .setAudience(name === 'wrong-audience' ? 'Other' : 'CarePro')
    .setIssuedAt(nowS - 7200)
    .setJti(`${name}-${nowS}`)
    .setNotBefore(name === 'not-before-in-an-hour' ? nowS + 3600 : nowS - 7200);
  if (name !== 'no-exp') jwt.setExpirationTime(nowS + (expiryS[name] ?? 1800));
  if (name === 'alg-none') return new UnsecuredJWT({ id: 'alice' }).setExpirationTime(nowS + 1800).encode();
  return jwt.sign(name === 'bad-signature' ? otherSecret : secret);
}

export type CheckedToken =
  | { readonly ok: true; readonly userId: string | undefined; readonly expiresAtMs: number }
  | { readonly ok: false; readonly challenge: string };

/** Checks a token of `mintToken`. */
export async function checkToken(token: string | undefined, nowMs: number): Promise<CheckedToken> {
  if (token === undefined) return { ok: false, challenge: 'Bearer' };
  try {
    const { payload } = await jwtVerify(token, secret, {
      algorithms: ['HS256'],
      issuer: 'CarePro',
      audience: 'CarePro',
      clockTolerance: TOLERANCE_S,
      currentDate: new Date(nowMs),
      requiredClaims: ['exp'],
    });
    const userId = [payload.id, payload.userId, payload.sub].find((value) => typeof value === 'string');
    return { ok: true, userId, expiresAtMs: (payload.exp ?? 0) * 1000 };
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error;
    return { ok: false, challenge: 'Bearer error="invalid_token"' };
  }
}
