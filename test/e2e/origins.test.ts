/** Pages of other origins, and TLS: what a browser and a network in between are shown. */
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { everyDoor } from './support/doors.ts';
import { startServer, type TestServer, tokenFor } from './support/server.ts';

const PAGE = 'https://app.example';
const STRANGER = 'https://evil.example';

describe('A page of another origin', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ CORS_ORIGINS: `${PAGE},https://admin.example` });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  async function upgrade(origin: string | undefined): Promise<number | undefined> {
    const token = await tokenFor('alice');
    return new Promise((resolve, reject) => {
      const asked = request(`${server.url}/chathub?access_token=${token}`, {
        headers: {
          connection: 'Upgrade',
          upgrade: 'websocket',
          'sec-websocket-version': '13',
          'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
          ...(origin !== undefined && { origin }),
        },
      });
      asked.on('upgrade', (response, socket) => {
        socket.destroy();
        resolve(response.statusCode);
      });
      asked.on('response', (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      asked.on('error', reject);
      asked.end();
    });
  }

  function preflight(path: string, origin: string): Promise<Response> {
    return fetch(`${server.url}${path}`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,x-requested-with,x-signalr-user-agent,content-type',
      },
    });
  }

  it('opens a WebSocket only if its origin is configured', async () => {
    expect(await upgrade(PAGE)).toBe(101);
    expect(await upgrade(undefined)).toBe(101);
    expect(await upgrade(STRANGER)).toBe(403);
    expect(await upgrade('null')).toBe(403);
  });

  it.each(['/chathub/negotiate?negotiateVersion=1', '/api/Chat/send', '/carepro.chat.v1.ChatService/SendMessage'])(
    'may ask %s with credentials only if its origin is configured',
    async (path) => {
      const allowed = await preflight(path, PAGE);
      expect(allowed.status).toBe(204);
      expect(allowed.headers.get('access-control-allow-origin')).toBe(PAGE);
      expect(allowed.headers.get('access-control-allow-credentials')).toBe('true');
      const headers = allowed.headers.get('access-control-allow-headers')?.toLowerCase().split(/,\s*/);
      for (const name of ['authorization', 'x-requested-with', 'x-signalr-user-agent', 'content-type']) {
        expect(headers).toContain(name);
      }
      expect(allowed.headers.get('access-control-allow-methods')).toContain('POST');
      const refused = await preflight(path, STRANGER);
      expect(refused.headers.get('access-control-allow-origin')).toBeNull();
      expect(refused.headers.get('access-control-allow-credentials')).toBeNull();
    },
  );

  it('reads answers and their errors, with the headers that it needs', async () => {
    const call = (origin: string, path: string) =>
      fetch(`${server.url}${path}`, {
        method: 'POST',
        headers: { origin, 'content-type': 'application/json' },
        body: '{}',
      });
    for (const path of ['/carepro.chat.v1.ChatService/SendMessage', '/api/chat/send']) {
      const answer = await call(PAGE, path);
      expect(answer.status).toBe(401);
      expect(answer.headers.get('access-control-allow-origin')).toBe(PAGE);
      expect(answer.headers.get('access-control-expose-headers')).toContain('grpc-status');
      expect((await call(STRANGER, path)).headers.get('access-control-allow-origin')).toBeNull();
    }
  });
});

describe('With TLS', () => {
  const certFile = join(import.meta.dirname, '../fixtures/tls/cert.pem');
  const keyFile = join(import.meta.dirname, '../fixtures/tls/key.pem');
  const trusted = getCACertificates('default');
  let server: TestServer;
  let authority: Buffer;

  beforeAll(async () => {
    authority = await readFile(certFile);
    setDefaultCACertificates([...trusted, authority.toString()]);
    server = await startServer({ TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile, SNIFF_TIMEOUT_MS: '500' });
  });
  afterAll(async () => {
    setDefaultCACertificates(trusted);
    await server[Symbol.asyncDispose]();
  });

  it('all doors speak over one port', async () => {
    const doors = everyDoor(authority);
    const bobs = await Promise.all(
      doors.map(async (door, index) => door.open(server.url, `bob-${index}`, await tokenFor(`bob-${index}`))),
    );
    try {
      for (const [index, door] of doors.entries()) {
        await using alice = await door.open(server.url, 'alice', await tokenFor('alice'));
        for (const [receiver, bob] of bobs.entries()) {
          const id = await alice.send(`bob-${receiver}`, `from ${index}`, `${index}-${receiver}`);
          await expect
            .poll(() => bob.heard, { interval: 2 })
            .toContainEqual({
              kind: 'message',
              id,
              text: `from ${index}`,
              from: 'alice',
            });
        }
      }
    } finally {
      await Promise.all(bobs.map((bob) => bob[Symbol.asyncDispose]()));
    }
  });

  it('the protocol is agreed in the handshake, and nothing older than TLS 1.2 is spoken', async () => {
    const handshake = (options: object): Promise<string> =>
      new Promise((resolve) => {
        const socket = connectTls({ port: server.port, host: '127.0.0.1', ...options }, () => {
          resolve(`${socket.getProtocol()} ${socket.alpnProtocol}`);
          socket.destroy();
        });
        socket.on('error', () => resolve('refused'));
      });
    expect(await handshake({ ALPNProtocols: ['h2', 'http/1.1'] })).toBe('TLSv1.3 h2');
    expect(await handshake({ ALPNProtocols: ['http/1.1'] })).toBe('TLSv1.3 http/1.1');
    expect(await handshake({})).toBe('TLSv1.3 false');
    expect(await handshake({ maxVersion: 'TLSv1.1', minVersion: 'TLSv1' })).toBe('refused');
  });

  it('who speaks plain text, or does not finish the handshake, is cut off', async () => {
    for (const bytes of ['', 'GET / HTTP/1.1\r\n\r\n', '\x16\x03\x01']) {
      const socket = connect(server.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(bytes);
      socket.resume();
      await new Promise((resolve) => socket.once('close', resolve));
    }
  });
});
