import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { clientAddress } from '../../../src/http/client-address.ts';
import { type Route, Router } from '../../../src/http/router.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

const isOriginAllowed = (origin: string): boolean => origin === 'https://page.example';

async function serve(routes: readonly Route[], onError: (error: unknown) => void = () => undefined): Promise<string> {
  const router = new Router({ routes, upgrades: [], isOriginAllowed, onError });
  const server = createServer((request, response) => router.handle(request, response));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const hello: Route = {
  matches: (_path, lower) => lower === '/hello',
  handle: (_request, response) => void response.end('hello'),
};

describe('The router', () => {
  test('finds a route without regard to letter case and query', async () => {
    const url = await serve([hello]);
    expect(await (await fetch(`${url}/HeLLo?x=1`)).text()).toBe('hello');
  });

  test('answers an empty 404 for a path nobody serves', async () => {
    const response = await fetch(`${await serve([hello])}/nowhere`);
    expect(response.status).toBe(404);
    expect(await response.text()).toBe('');
  });

  test.each([
    [
      'throws',
      () => {
        throw new Error('private detail');
      },
    ],
    ['rejects', () => Promise.reject(new Error('private detail'))],
  ])('a handler that %s gives a plain 500, and the error goes to the log', async (_name, handle) => {
    const errors: unknown[] = [];
    const url = await serve([{ matches: () => true, handle }], (error) => errors.push(error));
    const response = await fetch(url);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('private');
    expect(errors).toEqual([expect.objectContaining({ message: 'private detail' })]);
  });
});

describe('An upgrade', () => {
  test.each([
    ['that nobody serves', []],
    ["that is nobody's after all", [{ matches: () => true, upgrade: () => false }]],
  ])('%s is answered 404 and keeps no socket, though its client does not go', async (_name, upgrades) => {
    const router = new Router({ routes: [], upgrades, isOriginAllowed, onError: () => undefined });
    const server = createServer().on('upgrade', (request, socket, head) => router.upgrade(request, socket, head));
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const sockets: Socket[] = [];
    server.on('connection', (socket) => sockets.push(socket));
    const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
    client.write('GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    const [answer] = (await once(client, 'data')) as [Buffer];

    expect(answer.toString()).toMatch(/^HTTP\/1\.1 404 /);
    await vi.waitFor(() => expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true]));
    client.destroy();
  });
});

describe('CORS', () => {
  test('an allowed origin gets its headers, with credentials and Vary', async () => {
    const response = await fetch(`${await serve([hello])}/hello`, { headers: { origin: 'https://page.example' } });
    expect(response.headers.get('access-control-allow-origin')).toBe('https://page.example');
    expect(response.headers.get('access-control-allow-credentials')).toBe('true');
    expect(response.headers.get('vary')).toBe('Origin');
  });

  test('another origin gets none, but Vary', async () => {
    const response = await fetch(`${await serve([hello])}/hello`, { headers: { origin: 'https://evil.example' } });
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
    expect(response.headers.get('vary')).toBe('Origin');
  });

  test.each([
    ['https://page.example', true],
    ['https://evil.example', false],
  ])('a preflight from %s is answered 204 (allowed: %s)', async (origin, allowed) => {
    const response = await fetch(`${await serve([hello])}/hello`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,x-requested-with,x-signalr-user-agent,content-type',
      },
    });
    expect(response.status).toBe(204);
    const headers = response.headers.get('access-control-allow-headers');
    if (!allowed) {
      expect(headers).toBeNull();
      return;
    }
    for (const name of ['authorization', 'x-requested-with', 'x-signalr-user-agent', 'content-type']) {
      expect(headers).toContain(name);
    }
    expect(response.headers.get('access-control-allow-methods')).toContain('DELETE');
  });
});

describe('The client address', () => {
  const request = { headers: { 'x-forwarded-for': '6.6.6.6, 203.0.113.9' }, socket: { remoteAddress: '10.0.0.1' } };

  test('is the peer unless a proxy is trusted', () => {
    expect(clientAddress(request, false)).toBe('10.0.0.1');
  });

  test('is the network of an IPv6 address, which one customer has whole', () => {
    const peer = { headers: {}, socket: { remoteAddress: '2001:db8:1:2::abcd' } };
    expect(clientAddress(peer, false)).toBe('2001:db8:1:2');
    const forwarded = { headers: { 'x-forwarded-for': '6.6.6.6, 2001:db8:1:2:3::9' } };
    expect(clientAddress(forwarded, true)).toBe('2001:db8:1:2');
  });

  test('is the last forwarded entry behind a trusted proxy, whatever the client claimed before it', () => {
    expect(clientAddress(request, true)).toBe('203.0.113.9');
    expect(clientAddress({ headers: {}, socket: { remoteAddress: '10.0.0.1' } }, true)).toBe('10.0.0.1');
  });
});
