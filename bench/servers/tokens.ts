/** HS256 tokens as both servers expect them. */
import { createHmac, randomUUID } from 'node:crypto';

/** The same secret for both servers. */
export const SECRET = 'a-secret-that-only-the-bench-knows-0123456789';

const HEADER = Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url');
const LIFETIME_S = 3600;

export function tokenFor(userId: string): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: 'CarePro',
    aud: 'CarePro',
    iat: now,
    nbf: now - 5,
    exp: now + LIFETIME_S,
    jti: randomUUID(),
    id: userId,
  };
  const signed = `${HEADER}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}
