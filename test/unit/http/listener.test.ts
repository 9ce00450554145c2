import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { Listener, type ListenerOptions } from '../../../src/http/listener.ts';
import { systemClock } from '../../../src/time/clock.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';

const tlsFolder = join(import.meta.dirname, '../../fixtures/tls');
const tls = { cert: readFileSync(join(tlsFolder, 'cert.pem')), key: readFileSync(join(tlsFolder, 'key.pem')) };

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const item of open.splice(0).reverse()) await item[Symbol.asyncDispose]();
});

async function start(overrides: Partial<ListenerOptions> = {}): Promise<{ listener: Listener; port: number }> {
  const listener = new Listener({
    host: '127.0.0.1',
    port: 0,
    clock: systemClock,
    sniffTimeoutMs: 10_000,
    headerTimeoutMs: 10_000,
    requestTimeoutMs: 10_000,
    keepAliveTimeoutMs: 65_000,
    maxHeaderBytes: 16_384,
    http2MaxStreams: 100,
    http2PingIntervalMs: 30_000,
    maxConnectionsPerAddress: 100,
    handler: (request, response) => {
      request.resume();
      response.end(`${request.httpVersion} ${request.method} ${request.url}`);
    },
    upgrade: (_request, socket) => {
      socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
    },
    ...overrides,
  });
  open.push(listener);
  const { port } = await listener.listen();
  return { listener, port };
}

/** A raw connection that collects what it gets until the other side ends it. */
function raw(port: number): {
  socket: Socket;
  text: () => string;
  ended: Promise<string>;
  has: (part: string) => Promise<void>;
} {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  const waiting: { part: string; resolve: () => void }[] = [];
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    for (const item of waiting) if (text.includes(item.part)) item.resolve();
  });
  socket.on('error', () => undefined);
  open.push({ [Symbol.asyncDispose]: async () => void socket.destroy() });
  return {
    socket,
    text: () => text,
    ended: new Promise((resolve) => socket.on('close', () => resolve(text))),
    has: (part) => new Promise((resolve) => (text.includes(part) ? resolve() : waiting.push({ part, resolve }))),
  };
}

function session(url: string, options = {}): ClientHttp2Session {
  const client = connectHttp2(url, options);
  client.on('error', () => undefined);
  open.push({ [Symbol.asyncDispose]: async () => void client.destroy() });
  return client;
}

function getHttp2(client: ClientHttp2Session, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const stream = client.request({ ':path': path });
    let body = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      body += chunk;
    });
    stream.on('end', () => resolve(body));
    stream.on('error', reject);
  });
}

function getHttp1(port: number, path: string, headers: Record<string, string> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    httpRequest({ port, path, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve(body));
    })
      .on('error', reject)
      .end();
  });
}

describe('The listener in plain text', () => {
  test('serves HTTP/1.1 and HTTP/2 with prior knowledge on one port', async () => {
    const { port } = await start();
    expect(await getHttp1(port, '/one')).toBe('1.1 GET /one');
    expect(await getHttp2(session(`http://127.0.0.1:${port}`), '/two')).toBe('2.0 GET /two');
  });

  test('a request that comes byte by byte is served, also one that begins like the preface', async () => {
    const { port } = await start();
    const { socket, has } = raw(port);
    socket.setNoDelay(true);
    for (const byte of 'PROPFIND /x HTTP/1.1\r\nHost: a\r\n\r\n') {
      await new Promise((resolve) => socket.write(byte, resolve));
    }
    await has('1.1 PROPFIND /x');
  });

  test('an HTTP/2 preface that comes in pieces is recognised', async () => {
    const { port } = await start();
    const { socket, has } = raw(port);
    socket.setNoDelay(true);
    const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
    for (const piece of [preface.slice(0, 1), preface.slice(1, 2), preface.slice(2, 9), preface.slice(9)]) {
      await new Promise((resolve) => socket.write(piece, resolve));
      await new Promise((resolve) => setImmediate(resolve));
    }
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    // A SETTINGS frame of the server: type 4 on stream 0.
    await has('\x04\x00\x00\x00\x00\x00');
  });

  test('an upgrade to WebSocket is handed over, one to h2c is an ordinary request', async () => {
    const { port } = await start();
    const ws = raw(port);
    ws.socket.write('GET /hub HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n');
    expect(await ws.ended).toContain('101 Switching Protocols');
    expect(
      await getHttp1(port, '/h2c', { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': '' }),
    ).toBe('1.1 GET /h2c');
  });

  test('a connection that says nothing is cut after the sniff time-out', async () => {
    const clock = new FakeClock();
    const { port, listener } = await start({ clock, sniffTimeoutMs: 5000 });
    const { socket, ended } = raw(port);
    await new Promise((resolve) => socket.on('connect', resolve));
    await expect.poll(() => listener.connections).toBe(1);
    await clock.advance(5001);
    expect(await ended).toBe('');
    await expect.poll(() => listener.connections).toBe(0);
  });

  test('a slowloris that dribbles its headers is answered 408 and cut', async () => {
    const { port } = await start({ headerTimeoutMs: 300, requestTimeoutMs: 300 });
    const { socket, ended } = raw(port);
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n');
    const dribble = setInterval(() => socket.write('x-a: b\r\n'), 50);
    const text = await ended;
    clearInterval(dribble);
    expect(text).toContain('408');
  });

  test('a body that never comes is answered 408 and cut', async () => {
    const { port } = await start({
      headerTimeoutMs: 300,
      requestTimeoutMs: 300,
      handler: (request) => void request.resume(),
    });
    const { socket, ended } = raw(port);
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12');
    expect(await ended).toContain('408');
  });

  test('garbage is answered 400 and the next connection is served', async () => {
    const { port } = await start();
    const { socket, ended } = raw(port);
    socket.write('\x16\x03\x01garbage\r\n\r\n');
    expect(await ended).toContain('400');
    expect(await getHttp1(port, '/')).toBe('1.1 GET /');
  });

  test('more connections of one address than allowed are refused, and places come back', async () => {
    const { port, listener } = await start({ maxConnectionsPerAddress: 2 });
    const first = raw(port);
    const second = raw(port);
    await expect.poll(() => listener.connections).toBe(2);
    expect(await raw(port).ended).toBe('');
    first.socket.destroy();
    await expect.poll(() => listener.connections).toBe(1);
    expect(await getHttp1(port, '/again')).toBe('1.1 GET /again');
    second.socket.destroy();
  });

  test('an HTTP/2 connection whose client does not answer pings any more is closed', async () => {
    const clock = new FakeClock();
    const { port, listener } = await start({ clock, http2PingIntervalMs: 1000 });
    const { socket, has } = raw(port);
    socket.write(
      Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]),
    );
    await has('\x04\x00\x00\x00\x00\x00');
    await clock.advance(1000);
    await has('\x00\x00\x08\x06\x00');
    expect(listener.connections).toBe(1);
    await clock.advance(1000);
    await expect.poll(() => listener.connections).toBe(0);
  });

  test('a port in use is told in words', async () => {
    const { port } = await start();
    await expect(start({ port })).rejects.toThrow(/the port is in use.*PORT/);
  });
});

describe('The listener with TLS', () => {
  test('serves HTTP/2 and HTTP/1.1 by ALPN, and upgrades', async () => {
    const { port } = await start({ tls });
    expect(await getHttp2(session(`https://127.0.0.1:${port}`, { ca: tls.cert }), '/two')).toBe('2.0 GET /two');
    const answer = await new Promise<number | undefined>((resolve, reject) => {
      httpsRequest({ port, host: '127.0.0.1', path: '/one', ca: tls.cert, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
    expect(answer).toBe(200);
    const upgraded = await new Promise<number | undefined>((resolve, reject) => {
      httpsRequest({ port, ca: tls.cert, agent: false, headers: { connection: 'Upgrade', upgrade: 'websocket' } })
        .on('upgrade', (response, socket) => {
          socket.destroy();
          resolve(response.statusCode);
        })
        .on('error', reject)
        .end();
    });
    expect(upgraded).toBe(101);
  });

  test('a body that never comes is answered 408 with TLS too', async () => {
    const handler: ListenerOptions['handler'] = (request) => void request.resume();
    const { port } = await start({ tls, headerTimeoutMs: 300, requestTimeoutMs: 300, handler });
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const options = { port, ca: tls.cert, agent: false, method: 'POST', headers: { 'content-length': 5 } } as const;
      const request = httpsRequest(options, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      request.on('error', reject);
      request.flushHeaders();
    });
    expect(status).toBe(408);
  });
});

describe('Draining', () => {
  test('lets a request in progress finish, refuses new ones, and tells HTTP/2 clients to go', async () => {
    let answer: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let finish: () => void = () => undefined;
    const { listener, port } = await start({
      handler: (request, response) => {
        request.resume();
        if (request.url !== '/slow') {
          response.end('ok');
          return;
        }
        finish = () => response.end('slow answer');
        answer();
      },
    });
    const client = session(`http://127.0.0.1:${port}`);
    expect(await getHttp2(client, '/')).toBe('ok');
    const goaway = new Promise((resolve) => client.on('goaway', resolve));
    const slow = getHttp1(port, '/slow');
    await begun;
    const drained = listener.drain(10_000);
    await goaway;
    await expect(getHttp1(port, '/new')).rejects.toThrow('ECONNREFUSED');
    finish();
    expect(await slow).toBe('slow answer');
    await drained;
    expect(listener.connections).toBe(0);
  });

  test('ends kept-alive connections with the answer they are at, and silent ones at once', async () => {
    let answer: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let finish: () => void = () => undefined;
    const clock = new FakeClock();
    const { listener, port } = await start({
      clock,
      handler: (_request, response) => {
        response.setHeader('x-begun', '1');
        finish = () => response.end('done');
        answer();
      },
    });
    const silent = raw(port);
    const busy = raw(port);
    busy.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await begun;
    await expect.poll(() => listener.connections).toBe(2);
    const drained = listener.drain(60_000);
    expect(await silent.ended).toBe('');
    finish();
    expect(await busy.ended).toContain('done');
    await drained;
  });

  test('cuts what does not finish in time', async () => {
    const clock = new FakeClock();
    const { listener, port } = await start({ clock, handler: (request) => void request.resume() });
    const stuck = getHttp1(port, '/stuck').catch((error: NodeJS.ErrnoException) => error.code);
    await expect.poll(() => listener.connections).toBe(1);
    const drained = listener.drain(1000);
    await clock.advance(1001);
    await drained;
    expect(await stuck).toBe('ECONNRESET');
  });
});
