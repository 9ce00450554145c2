/** Tokens of running connections: renewed, run out, refused; and negotiations that send clients elsewhere. */
import { describe, expect, it } from 'vitest';
import type { Authentication } from '../../../../src/bridge/signalr/endpoint/access.ts';
import type { FakeClock } from '../../../fixtures/fake-clock.ts';
import { invoke, serve } from './checklist/serve.ts';
import type { TestUser } from './memory-connection.ts';

const LIFE_MS = 60_000;

/** Tokens are a user's name, and live a minute from their use. */
async function renewing(options: { readonly closeOnAuthenticationExpiration?: boolean } = {}) {
  let clock: FakeClock | undefined;
  const renewed: string[] = [];
  const served = await serve(
    {
      options: { allowTokenRenewal: true, ...options },
      onRenewed: ({ user }) => void renewed.push(user.name),
    },
    {
      authenticate({ token }): Authentication<TestUser> {
        if (token === undefined || token === 'expired') return { ok: false, status: 401, challenge: 'Bearer' };
        const [userId = ''] = token.split('-');
        return { ok: true, user: { name: token }, userId, expiresAtMs: (clock?.now() ?? 0) + LIFE_MS };
      },
    },
  );
  clock = served.clock;
  const { connectionToken } = await served.negotiate();
  const client = await served.upgraded(`&id=${connectionToken}`);
  client.record('{"protocol":"json","version":1}');
  await client.seeRecord('{}');
  return { ...served, renewed, client, path: `/hub/refresh?id=${connectionToken}` };
}

describe('The token of a running connection', () => {
  it('has its lifetime told at negotiation and at each renewal, and the hub is told of the new one', async () => {
    const { ask, connections, negotiate, path, renewed } = await renewing();
    expect(await negotiate()).toHaveProperty('tokenLifetimeSeconds', 60);
    expect(await ask('POST', path, { user: 'alice-again' })).toMatchObject({
      status: 200,
      body: '{"tokenLifetimeSeconds":60}',
    });
    expect(renewed).toEqual(['alice-again']);
    expect(connections[0]?.user).toEqual({ name: 'alice-again' });
  });

  it('is renewed only for its own user, by POST, with a token that is good, on a connection that is', async () => {
    const { ask, path, renewed } = await renewing();
    expect(await ask('POST', path, { user: 'mallory' })).toMatchObject({
      status: 403,
      body: '{"error":"The token is of another user"}',
    });
    expect((await ask('POST', path, { user: 'expired' })).status).toBe(401);
    expect((await ask('GET', path)).status).toBe(405);
    expect(await ask('POST', '/hub/refresh')).toMatchObject({
      status: 400,
      body: '{"error":"Connection ID required"}',
    });
    expect(await ask('POST', '/hub/refresh?id=nope')).toMatchObject({
      status: 404,
      body: '{"error":"No Connection with that ID"}',
    });
    expect(renewed).toEqual([]);
  });

  it('closes the connection when it runs out, if the endpoint wants so, and not before the end of a renewed one', async () => {
    const { ask, client, clock, path } = await renewing({ closeOnAuthenticationExpiration: true });
    await clock.advance(40_000);
    await ask('POST', path, { user: 'alice-again' });
    await clock.advance(40_000);
    expect(await invoke(client, '1', 'Echo', 'still here')).toEqual({ result: 'still here' });
    await clock.advance(30_000);
    await client.seeRecord('{"type":7,"allowReconnect":true}');
  });

  it('cannot be renewed where the endpoint does not allow it', async () => {
    const { ask, negotiate } = await serve();
    expect(await negotiate()).not.toHaveProperty('tokenLifetimeSeconds');
    expect((await ask('POST', '/hub/refresh?id=x')).status).toBe(404);
  });
});

describe('A negotiation', () => {
  it('sends clients elsewhere, with a token for there, if its owner wants so', async () => {
    const redirect = () => ({ url: 'https://elsewhere.example/hub', accessToken: 'for there' });
    const { negotiate, signalr } = await serve({}, { redirect });
    expect(await negotiate()).toEqual({ url: 'https://elsewhere.example/hub', accessToken: 'for there' });
    expect(signalr.connections).toBe(0);
  });

  it('fails alone when that decision fails', async () => {
    const errors: string[] = [];
    const { ask } = await serve(
      {},
      {
        redirect: () => {
          throw new Error('no idea');
        },
        onError: (_error, { method }) => void errors.push(method),
      },
    );
    expect(await ask('POST', '/hub/negotiate')).toMatchObject({ status: 500, body: '' });
    expect(errors).toEqual(['redirect']);
  });

  it('is refused to an address of which too many wait', async () => {
    const { ask } = await serve({ options: { maximumNegotiationsPerAddress: 2 } });
    const statuses = [];
    for (let n = 0; n < 3; n += 1) statuses.push((await ask('POST', '/hub/negotiate?negotiateVersion=1')).status);
    expect(statuses).toEqual([200, 200, 429]);
  });
});
