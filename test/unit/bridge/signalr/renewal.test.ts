/** Tokens that are renewed on a running connection, and negotiations that are sent elsewhere. */
import { HttpTransportType, HubConnectionBuilder, LogLevel } from '@microsoft/signalr';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type HubDefinition, method } from '../../../../src/bridge/signalr/hub/hub.ts';
import type { SignalRServerOptions } from '../../../../src/bridge/signalr/hub/server.ts';
import { connected, host } from './hosted-server.ts';
import { type Answer, HttpHub, HttpSocket, until } from './http-client.ts';
import type { TestUser } from './memory-connection.ts';

const RENEWABLE = { allowTokenRenewal: true, closeOnAuthenticationExpiration: true } as const;

/** A hub whose tokens are `user:seconds`, the seconds counted from the beginning. */
async function renewable(
  options: HubDefinition<TestUser>['options'] = RENEWABLE,
  hooks: Partial<SignalRServerOptions<TestUser>> = {},
): Promise<HttpHub & { renewed: string[] }> {
  const hub = new HttpHub();
  const beginMs = hub.clock.now();
  const renewed: string[] = [];
  await hub.start(
    { options, onRenewed: ({ user }) => void renewed.push(user.name) },
    {
      authenticate({ token }) {
        const [userId, seconds] = (token ?? '').split(':');
        const expiresAtMs = beginMs + Number(seconds) * 1000;
        if (userId === '' || userId === undefined || expiresAtMs <= hub.clock.now()) return { ok: false, status: 401 };
        return { ok: true, user: { name: token ?? '' }, userId, ...(seconds !== undefined && { expiresAtMs }) };
      },
      ...hooks,
    },
  );
  hub.countRequests();
  return Object.assign(hub, { renewed });
}

/** A polled connection with that token after its handshake. */
async function polling(hub: HttpHub, token: string): Promise<{ readonly path: string; readonly refresh: string }> {
  const path = await hub.negotiated(token);
  await hub.ask('GET', path, { user: token });
  await hub.post(path, '{"protocol":"json","version":1}\u001e', token);
  await hub.ask('GET', path, { user: token });
  return { path, refresh: path.replace('/hub', '/hub/refresh') };
}

const shown = ({ status, body }: Answer): readonly unknown[] => [status, body];

describe('negotiation', () => {
  it('says how many whole seconds the token lives on, where it may be renewed', async () => {
    const hub = await renewable();
    await hub.clock.advance(500);
    const negotiated = async (user: string, version = 1): Promise<unknown> =>
      JSON.parse((await hub.ask('POST', `/hub/negotiate?negotiateVersion=${version}`, { user })).body)
        .tokenLifetimeSeconds;

    expect(await negotiated('alice:60')).toBe(59);
    expect(await negotiated('alice')).toBeUndefined();
    expect(await negotiated('alice:60', 0)).toBeUndefined();
    expect(
      (await (await renewable({})).ask('POST', '/hub/negotiate?negotiateVersion=1', { user: 'alice:60' })).body,
    ).not.toContain('tokenLifetimeSeconds');
  });
});

describe('a renewal', () => {
  it('is answered with the lifetime of the new token, and the hub is told', async () => {
    const hub = await renewable();
    const { refresh } = await polling(hub, 'alice:60');
    const answer = await hub.ask('POST', refresh, { user: 'alice:120' });

    expect(shown(answer)).toEqual([200, '{"tokenLifetimeSeconds":120}']);
    expect(answer.headers.get('content-type')).toBe('application/json');
    expect(hub.renewed).toEqual(['alice:120']);
    expect(hub.connection.user.name).toBe('alice:120');
  });

  it('is refused with a reason', async () => {
    const hub = await renewable();
    const { refresh } = await polling(hub, 'alice:60');
    const unused = (await hub.negotiated('alice:60')).replace('/hub', '/hub/refresh');
    const ask = async (path: string, user: string): Promise<readonly unknown[]> =>
      shown(await hub.ask('POST', path, { user }));

    expect(await ask('/hub/refresh', 'alice:60')).toEqual([400, '{"error":"Connection ID required"}']);
    expect(await ask('/hub/refresh?id=unknown', 'alice:60')).toEqual([404, '{"error":"No Connection with that ID"}']);
    expect(await ask(unused, 'alice:60')).toEqual([404, '{"error":"No Connection with that ID"}']);
    expect(await ask(refresh, 'bob:60')).toEqual([403, '{"error":"The token is of another user"}']);
    expect(await ask(refresh, '')).toEqual([401, '']);
    expect(shown(await hub.ask('GET', refresh, { user: 'alice:60' }))).toEqual([405, '']);
    expect(hub.renewed).toEqual([]);
  });

  it('is of nobody where it is not allowed', async () => {
    const hub = await renewable({});
    const { refresh } = await polling(hub, 'alice:60');
    expect((await hub.ask('POST', refresh, { user: 'alice:120' })).status).toBe(404);
  });

  it('by a poll or a post counts, but an older token that comes later does not', async () => {
    const hub = await renewable();
    const { path, refresh } = await polling(hub, 'alice:60');
    await hub.post(path, '{"type":6}\u001e', 'alice:90');
    await hub.post(path, '{"type":6}\u001e', 'alice:60');
    await hub.ask('POST', refresh, { user: 'alice:80' });

    expect(hub.renewed).toEqual(['alice:90']);
    expect(hub.connection.user.name).toBe('alice:90');
  });

  it('may be of a token that lives as long as the one before, and of one without an end', async () => {
    const hub = await renewable();
    const { refresh } = await polling(hub, 'alice:60');
    await hub.ask('POST', refresh, { user: 'alice:60' });
    const answer = await hub.ask('POST', refresh, { user: 'alice' });

    expect(hub.renewed).toEqual(['alice:60', 'alice']);
    expect(shown(answer)).toEqual([200, '{}']);
  });
});

describe('a token that runs out', () => {
  it('closes its connection with leave to reconnect, unless it was renewed', async () => {
    const hub = await renewable();
    const left = await connected(hub.port, 'alice:60');
    const { path, refresh } = await polling(hub, 'bob:60');
    const poll = new HttpSocket(hub.port);
    await hub.waitingPoll(poll, path, { user: 'bob:60' });
    await hub.pass(59_000);
    expect(hub.ended).toEqual([]);
    await hub.ask('POST', refresh, { user: 'bob:80' });
    await hub.pass(2_000);
    await left.seeRecord('{"type":7,"allowReconnect":true}');
    expect(poll.text).toBe('');
    await hub.pass(20_000);

    expect((await poll.answer()).body).toBe('{"type":7,"allowReconnect":true}\u001e');
  });

  it('closes nothing where that is not wanted', async () => {
    const hub = await renewable({ allowTokenRenewal: true });
    await connected(hub.port, 'alice:60');
    await hub.pass(70_000);
    expect(hub.ended).toEqual([]);
  });
});

describe('a negotiation that belongs elsewhere', () => {
  it('is answered with where to go and with which token, and keeps no id', async () => {
    const asked: unknown[] = [];
    const hub = await renewable(RENEWABLE, {
      redirect: ({ userId, query }) => {
        asked.push([userId, query('Tenant')]);
        if (userId !== 'alice') return undefined;
        return query('tenant') === 'late'
          ? Promise.resolve({ url: 'https://other.example/hub' })
          : { url: 'https://other.example/hub', accessToken: 'another' };
      },
    });
    const negotiate = (user: string, query: string): Promise<Answer> =>
      hub.ask('POST', `/hub/negotiate?negotiateVersion=1${query}`, { user });

    expect(shown(await negotiate('alice:60', '&tenant=now'))).toEqual([
      200,
      '{"url":"https://other.example/hub","accessToken":"another"}',
    ]);
    expect(shown(await negotiate('alice:60', '&tenant=late'))).toEqual([200, '{"url":"https://other.example/hub"}']);
    expect((await negotiate('bob:60', '')).body).toContain('connectionToken');
    expect((await negotiate('', '')).status).toBe(401);
    expect((await hub.ask('GET', '/hub/negotiate', { user: 'alice:60' })).status).toBe(405);
    expect(asked).toEqual([
      ['alice', 'now'],
      ['alice', 'late'],
      ['bob', undefined],
    ]);
  });

  it.each([HttpTransportType.WebSockets, HttpTransportType.ServerSentEvents, HttpTransportType.LongPolling])(
    'is taken there by the stock client with the token it was given, on transport %i',
    async (transport) => {
      const there = await host({ methods: { WhoAmI: method([], ({ connection }) => connection.user.name) } });
      const url = `http://127.0.0.1:${there.port}/hub`;
      const here = await host({}, { redirect: () => ({ url, accessToken: 'guest' }) });
      const client = new HubConnectionBuilder()
        .withUrl(`http://127.0.0.1:${here.port}/hub`, { transport, accessTokenFactory: () => 'alice' })
        .configureLogging(LogLevel.None)
        .build();
      onTestFinished(() => client.stop());
      await client.start();

      expect(await client.invoke('WhoAmI')).toBe('guest');
      expect(here.signalr.connections).toBe(0);
    },
  );

  it('is an error when it cannot be found out', async () => {
    const errors: string[] = [];
    let isLate = false;
    const hub = await renewable(RENEWABLE, {
      redirect: () => {
        if (isLate) return Promise.reject(new Error('secret'));
        throw new Error('secret');
      },
      onError: (_error, { method }) => void errors.push(method),
    });
    for (const late of [false, true]) {
      isLate = late;
      expect(shown(await hub.ask('POST', '/hub/negotiate', { user: 'alice:60' }))).toEqual([500, '']);
    }
    await until(() => errors.length === 2);
    expect(errors).toEqual(['redirect', 'redirect']);
  });
});
