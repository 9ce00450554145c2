import { createHmac, generateKeyPairSync } from 'node:crypto';
import { SignJWT, UnsecuredJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { mintToken } from '../../../src/auth/mint.ts';
import { CLOCK_TOLERANCE_MS, JwtVerifier } from '../../../src/auth/verifier.ts';
import type { Identity, TokenFailure, Verification } from '../../../src/core/identity.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';

const secret = new TextEncoder().encode('a-secret-of-more-than-thirty-two-bytes');
const issuer = 'CarePro';
const audience = 'CarePro';
const MINUTE = 60_000;

function setUp() {
  const clock = new FakeClock(Date.UTC(2026, 10, 22, 16, 0, 0));
  return { clock, verifier: new JwtVerifier({ clock, issuer, audience, secret }) };
}

function sign(clock: FakeClock, claims: Record<string, unknown>, key = secret): Promise<string> {
  const nowSeconds = clock.now() / 1000;
  const all = { iss: issuer, aud: audience, exp: nowSeconds + 600, ...claims };
  return new SignJWT(all).setProtectedHeader({ alg: 'HS256' }).sign(key);
}

function identityOf(verification: Verification): Identity {
  if (!verification.ok) throw new Error(`refused: ${verification.failure.code}`);
  return verification.identity;
}

function failureOf(verification: Verification): TokenFailure {
  if (verification.ok) throw new Error('accepted');
  return verification.failure;
}

describe('JwtVerifier', () => {
  it('accepts a minted token and reads everything it says', async () => {
    const { clock, verifier } = setUp();
    const token = await mintToken({
      secret,
      issuer,
      audience,
      userId: 'alice',
      role: 'Caregiver',
      ttlMs: 30 * MINUTE,
      name: 'Alice A',
      email: 'a@example.org',
      picture: 'https://example.org/a.png',
      nowMs: clock.now(),
    });
    expect(identityOf(await verifier.verify(token))).toEqual({
      userId: 'alice',
      roles: new Set(['user']),
      roleClaim: 'Caregiver',
      name: 'Alice A',
      email: 'a@example.org',
      picture: 'https://example.org/a.png',
      expiresAtMs: clock.now() + 30 * MINUTE,
    });
  });

  it.each([
    [{ id: 'a', userId: 'b', sub: 'c', nameid: 'd' }, 'a'],
    [{ userId: 'b', sub: 'c' }, 'b'],
    [{ sub: 'c', nameid: 'd' }, 'c'],
    [{ nameid: 'd', 'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier': 'e' }, 'd'],
    [{ 'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier': 'e' }, 'e'],
    [{ id: '', sub: 'c' }, 'c'],
    [{ id: 'x'.repeat(128) }, 'x'.repeat(128)],
    [{ id: 'x'.repeat(129), sub: 'c' }, undefined],
    [{ id: 7 }, undefined],
    [{}, undefined],
  ])('finds the user id of %j', async (claims, userId) => {
    const { clock, verifier } = setUp();
    expect(identityOf(await verifier.verify(await sign(clock, claims))).userId).toBe(userId);
  });

  it.each([
    [{}, ['user'], undefined],
    [{ role: 'Client' }, ['user'], 'Client'],
    [{ role: 'Admin' }, ['user', 'Admin'], 'Admin'],
    [{ roles: ['Caregiver', 'SuperAdmin'] }, ['user', 'SuperAdmin'], 'Caregiver'],
    [{ 'http://schemas.microsoft.com/ws/2008/06/identity/claims/role': ['Service'] }, ['user', 'Service'], 'Service'],
    [{ role: 'admin' }, ['user'], 'admin'],
    [{ role: [1, null, ''] }, ['user'], undefined],
  ])('finds the roles of %j', async (claims, roles, roleClaim) => {
    const { clock, verifier } = setUp();
    const identity = identityOf(await verifier.verify(await sign(clock, { id: 'a', ...claims })));
    expect([...identity.roles]).toEqual(roles);
    expect(identity.roleClaim).toBe(roleClaim);
  });

  it.each([
    ['missing', undefined],
    ['missing', ''],
    ['malformed', 'not-a-token'],
    ['malformed', 'a.b.c'],
    ['malformed', 'x'.repeat(9000)],
  ])('refuses as %s what is no token', async (code, token) => {
    const { verifier } = setUp();
    expect(failureOf(await verifier.verify(token)).code).toBe(code);
  });

  it.each([
    ['wrongIssuer', { iss: 'Other' }],
    ['wrongIssuer', { iss: undefined }],
    ['wrongAudience', { aud: 'Other' }],
    ['wrongAudience', { aud: undefined }],
    ['noExpiry', { exp: undefined }],
    ['malformed', { exp: 'tomorrow' }],
    ['notYetValid', { nbf: Date.UTC(2026, 10, 22, 18) / 1000 }],
    ['expired', { exp: Date.UTC(2026, 10, 22, 15) / 1000 }],
  ])('refuses as %s the claims %j', async (code, claims) => {
    const { clock, verifier } = setUp();
    expect(failureOf(await verifier.verify(await sign(clock, { id: 'a', ...claims }))).code).toBe(code);
  });

  it('refuses a token signed with another secret, and says nothing of the token', async () => {
    const { clock, verifier } = setUp();
    const token = await sign(
      clock,
      { id: 'a' },
      new TextEncoder().encode('another-secret-of-thirty-two-bytes-and-more'),
    );
    const refused = failureOf(await verifier.verify(token));
    expect(refused.code).toBe('badSignature');
    for (const part of token.split('.')) expect(JSON.stringify(refused)).not.toContain(part);
  });

  it('refuses tokens without a signature and of other algorithms', async () => {
    const { clock, verifier } = setUp();
    const none = new UnsecuredJWT({ id: 'a', iss: issuer, aud: audience, exp: clock.now() / 1000 + 60 }).encode();
    expect(failureOf(await verifier.verify(none)).code).toBe('unsupportedAlgorithm');
    const long = new Uint8Array(64).fill(7);
    const hs512 = await new SignJWT({ id: 'a', iss: issuer, aud: audience, exp: clock.now() / 1000 + 60 })
      .setProtectedHeader({ alg: 'HS512' })
      .sign(long);
    expect(failureOf(await new JwtVerifier({ clock, issuer, audience, secret: long }).verify(hs512)).code).toBe(
      'unsupportedAlgorithm',
    );
  });

  it('never takes a public key as an HMAC secret', async () => {
    const { clock } = setUp();
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const verifier = new JwtVerifier({ clock, issuer, audience, publicKeys: async () => publicKey });
    const claims = { id: 'a', iss: issuer, aud: audience, exp: clock.now() / 1000 + 60 };
    const body = [{ alg: 'HS256' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'));
    const pem = publicKey.export({ type: 'spki', format: 'pem' });
    const mac = createHmac('sha256', pem).update(body.join('.')).digest('base64url');
    expect(failureOf(await verifier.verify(`${body.join('.')}.${mac}`)).code).toBe('unsupportedAlgorithm');
  });

  it('allows for clocks that differ by up to 30 seconds', async () => {
    const { clock, verifier } = setUp();
    const expiresAtMs = clock.now() + MINUTE;
    const token = await sign(clock, {
      id: 'a',
      exp: expiresAtMs / 1000,
      nbf: (clock.now() + CLOCK_TOLERANCE_MS) / 1000,
    });
    expect((await verifier.verify(token)).ok).toBe(true);
    await clock.advance(MINUTE + CLOCK_TOLERANCE_MS - 1);
    expect((await verifier.verify(token)).ok).toBe(true);
    expect((await new JwtVerifier({ clock, issuer, audience, secret }).verify(token)).ok).toBe(true);
    await clock.advance(1);
    expect(verifier.verifyCached(token)).toBeUndefined();
    expect(failureOf(await verifier.verify(token))).toMatchObject({ code: 'expired', expiredAtMs: expiresAtMs });
  });

  it('answers at once for a token it has verified, and only for that', async () => {
    const { clock, verifier } = setUp();
    const token = await sign(clock, { id: 'a' });
    expect(verifier.verifyCached(token)).toBeUndefined();
    const identity = identityOf(await verifier.verify(token));
    expect(verifier.verifyCached(token)).toBe(identity);
    expect(verifier.verifyCached(`${token}x`)).toBeUndefined();
  });

  it('forgets the tokens used longest ago beyond its bound', async () => {
    const { clock } = setUp();
    const verifier = new JwtVerifier({ clock, issuer, audience, secret, cacheMaxEntries: 2 });
    const users = ['a', 'b', 'c', 'd', 'e', 'f'];
    const tokens = await Promise.all(users.map((id) => sign(clock, { id })));
    for (const token of tokens) await verifier.verify(token);
    const cached = tokens.map((token) => verifier.verifyCached(token)?.userId);
    expect(cached.slice(0, 2)).toEqual([undefined, undefined]);
    expect(cached.slice(-2)).toEqual(['e', 'f']);
  });

  it('checks a token once for callers that come together', async () => {
    const { clock } = setUp();
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    let asked = 0;
    const publicKeys = async () => {
      asked += 1;
      return publicKey;
    };
    const verifier = new JwtVerifier({ clock, issuer, audience, publicKeys });
    const token = await new SignJWT({ id: 'a', iss: issuer, aud: audience, exp: clock.now() / 1000 + 60 })
      .setProtectedHeader({ alg: 'EdDSA' })
      .sign(privateKey);
    const answers = await Promise.all([verifier.verify(token), verifier.verify(token), verifier.verify(token)]);
    expect(answers.every((answer) => answer.ok)).toBe(true);
    expect(asked).toBe(1);
  });

  it('remembers a refusal for no longer than a second', async () => {
    const { clock } = setUp();
    let asked = 0;
    const publicKeys = async () => {
      asked += 1;
      throw new Error('away');
    };
    const verifier = new JwtVerifier({ clock, issuer, audience, publicKeys });
    const header = Buffer.from('{"alg":"RS256"}').toString('base64url');
    const token = `${header}.e30.AAAA`;
    expect(failureOf(await verifier.verify(token)).code).toBe('keysUnavailable');
    await verifier.verify(token);
    expect(asked).toBe(1);
    await clock.advance(1000);
    await verifier.verify(token);
    expect(asked).toBe(2);
  });

  it('keeps an expiry in the far future a number that dates can be made of', async () => {
    const { clock, verifier } = setUp();
    const identity = identityOf(await verifier.verify(await sign(clock, { id: 'a', exp: 1e300 })));
    expect(Number.isSafeInteger(identity.expiresAtMs)).toBe(true);
  });

  it('cannot be made without a key or with a short secret', () => {
    const { clock } = setUp();
    expect(() => new JwtVerifier({ clock, issuer, audience })).toThrow(TypeError);
    expect(() => new JwtVerifier({ clock, issuer, audience, secret: new Uint8Array(31) })).toThrow(/32 bytes/);
  });
});
