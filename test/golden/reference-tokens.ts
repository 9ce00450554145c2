/** The tokens that transcripts name. */
import { SignJWT, UnsecuredJWT } from 'jose';

/** What the server of the replay checks tokens with. */
export const SECRET = 'a-secret-for-the-replay-of-transcripts-only';

const secret = new TextEncoder().encode(SECRET);
const otherSecret = new TextEncoder().encode('another-secret-that-the-server-does-not-know');

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
