import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RemoteKeySet } from '../../../src/auth/key-sets.ts';
import { JwtVerifier } from '../../../src/auth/verifier.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';

const issuer = 'CarePro';
const audience = 'CarePro';

interface Signer {
  readonly jwk: JWK;
  sign(clock: FakeClock, userId: string): Promise<string>;
}

async function signer(alg: string, kid: string | undefined): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const named = kid === undefined ? {} : { kid };
  return {
    jwk: { ...(await exportJWK(publicKey)), ...named },
    sign: (clock, userId) =>
      new SignJWT({ id: userId, iss: issuer, aud: audience, exp: clock.now() / 1000 + 86_400 * 7 })
        .setProtectedHeader({ alg, ...named })
        .sign(privateKey),
  };
}

describe('RemoteKeySet', () => {
  let server: Server;
  let keys: JWK[] = [];
  let status = 200;
  let body: string | undefined;
  let fetches = 0;

  beforeEach(async () => {
    keys = [];
    status = 200;
    body = undefined;
    fetches = 0;
    server = createServer((_req, res) => {
      fetches += 1;
      res.writeHead(status, { 'content-type': 'application/json', location: '/elsewhere' });
      res.end(body ?? JSON.stringify({ keys }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });

  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  function setUp() {
    const clock = new FakeClock();
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`;
    const set = new RemoteKeySet({ url, clock });
    return { clock, verifier: new JwtVerifier({ clock, issuer, audience, publicKeys: set.find }) };
  }

  async function codeOf(verifier: JwtVerifier, token: string): Promise<string> {
    const answer = await verifier.verify(token);
    return answer.ok ? `ok ${answer.identity.userId}` : answer.failure.code;
  }

  it.each(['RS256', 'ES256', 'EdDSA'])('verifies %s', async (alg) => {
    const { clock, verifier } = setUp();
    const one = await signer(alg, 'one');
    keys = [one.jwk];
    expect(await codeOf(verifier, await one.sign(clock, 'alice'))).toBe('ok alice');
    expect(await codeOf(verifier, await one.sign(clock, 'bob'))).toBe('ok bob');
    expect(fetches).toBe(1);
  });

  it('refuses algorithms that are not on the list, whatever the set offers', async () => {
    const { clock, verifier } = setUp();
    const one = await signer('RS512', 'one');
    keys = [one.jwk];
    expect(await codeOf(verifier, await one.sign(clock, 'alice'))).toBe('unsupportedAlgorithm');
    expect(fetches).toBe(0);
  });

  it('follows a rotation when a token names a new key', async () => {
    const { clock, verifier } = setUp();
    const [old, next] = [await signer('ES256', 'old'), await signer('ES256', 'next')];
    keys = [old.jwk];
    expect(await codeOf(verifier, await old.sign(clock, 'alice'))).toBe('ok alice');
    keys = [old.jwk, next.jwk];
    await clock.advance(30_000);
    expect(await codeOf(verifier, await next.sign(clock, 'alice'))).toBe('ok alice');
    expect(await codeOf(verifier, await old.sign(clock, 'carol'))).toBe('ok carol');
    expect(fetches).toBe(2);
  });

  it('asks once per cooldown, however many unknown keys are named', async () => {
    const { clock, verifier } = setUp();
    const [known, unknown] = [await signer('ES256', 'known'), await signer('ES256', 'unknown')];
    keys = [known.jwk];
    await codeOf(verifier, await known.sign(clock, 'alice'));
    for (const userId of ['a', 'b', 'c']) {
      expect(await codeOf(verifier, await unknown.sign(clock, userId))).toBe('badSignature');
    }
    expect(fetches).toBe(1);
    await clock.advance(30_000);
    const tokens = await Promise.all(['d', 'e', 'f'].map((userId) => unknown.sign(clock, userId)));
    await Promise.all(tokens.map((token) => codeOf(verifier, token)));
    expect(fetches).toBe(2);
  });

  it('tries every key that fits a token without a key id', async () => {
    const { clock, verifier } = setUp();
    const [first, second, third] = await Promise.all([1, 2, 3].map(() => signer('ES256', undefined)));
    keys = [first?.jwk ?? {}, second?.jwk ?? {}];
    expect(await codeOf(verifier, (await second?.sign(clock, 'alice')) ?? '')).toBe('ok alice');
    expect(await codeOf(verifier, (await third?.sign(clock, 'alice')) ?? '')).toBe('badSignature');
  });

  it('goes on with the last set while the URL is away, but not for ever', async () => {
    const { clock, verifier } = setUp();
    const one = await signer('ES256', 'one');
    keys = [one.jwk];
    await codeOf(verifier, await one.sign(clock, 'alice'));
    status = 500;
    await clock.advance(600_001);
    expect(await codeOf(verifier, await one.sign(clock, 'bob'))).toBe('ok bob');
    expect(fetches).toBe(2);
    await clock.advance(86_400_000);
    expect(await codeOf(verifier, await one.sign(clock, 'carol'))).toBe('keysUnavailable');
    status = 200;
    await clock.advance(1_000);
    expect(await codeOf(verifier, await one.sign(clock, 'carol'))).toBe('ok carol');
  });

  it.each([
    ['an answer that is no JSON', 200, '<html>'],
    ['an answer that is no key set', 200, '{"keys":7}'],
    ['an answer beyond the bound', 200, JSON.stringify({ keys: [], padding: 'x'.repeat(300_000) })],
    ['a redirect', 302, ''],
  ])('has no keys after %s, and asks again after a second', async (_what, nextStatus, nextBody) => {
    const { clock, verifier } = setUp();
    const one = await signer('ES256', 'one');
    [status, body] = [nextStatus, nextBody];
    const token = await one.sign(clock, 'alice');
    expect(await codeOf(verifier, token)).toBe('keysUnavailable');
    expect(await codeOf(verifier, await one.sign(clock, 'bob'))).toBe('keysUnavailable');
    expect(fetches).toBe(1);
    [status, body, keys] = [200, undefined, [one.jwk]];
    await clock.advance(1_000);
    expect(await codeOf(verifier, token)).toBe('ok alice');
  });
});
