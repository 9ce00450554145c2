import { request } from 'node:http';
import { describe, expect, it, vi } from 'vitest';
import type { Authentication } from '../../../../src/bridge/signalr/endpoint/access.ts';
import type { ConnectionError } from '../../../../src/bridge/signalr/hub/errors.ts';
import {
  type HubConnection,
  type HubDefinition,
  type HubMethod,
  method,
} from '../../../../src/bridge/signalr/hub/hub.ts';
import { param } from '../../../../src/bridge/signalr/protocol/parameters.ts';
import { FakeClock } from '../../../fixtures/fake-clock.ts';
import { opcode } from '../../../golden/raw-client.ts';
import { Client, connected, host } from './hosted-server.ts';
import type { TestUser } from './memory-connection.ts';

const methods: Record<string, HubMethod<TestUser>> = {
  Echo: method([param.string], (_context, text) => text),
  Throw: method([], () => {
    throw new Error('boom');
  }),
};
const echo = '{"type":1,"invocationId":"1","target":"Echo","arguments":["a"]}';
const echoed = '{"type":3,"invocationId":"1","result":"a"}';

function answerOf(port: number, verb: string, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: '127.0.0.1', method: verb, path }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

describe('who may connect', () => {
  it('is decided by authenticate, also when its answer comes late and the client has spoken meanwhile', async () => {
    const { promise, resolve } = Promise.withResolvers<Authentication<TestUser>>();
    const { port } = await host({ methods }, { authenticate: () => promise });
    const client = new Client(port);
    client.upgrade('/hub');
    client.record('{"protocol":"json","version":1}');
    client.record(echo);
    resolve({ ok: true, user: { name: 'late' }, userId: 'late' });
    await client.seeRecord(echoed);
  });

  it('does not matter any more for a client that has left before the answer', async () => {
    const asked = Promise.withResolvers<void>();
    const { promise, resolve } = Promise.withResolvers<Authentication<TestUser>>();
    const onConnected = vi.fn();
    const { port, signalr, http } = await host(
      { methods, onConnected },
      {
        authenticate: () => {
          asked.resolve();
          return promise;
        },
      },
    );
    const gone = new Promise<void>((done) => http.once('connection', (socket) => socket.once('close', () => done())));
    const client = new Client(port);
    client.upgrade('/hub');
    await asked.promise;
    client.raw.reset();
    resolve({ ok: true, user: { name: 'gone' }, userId: 'gone' });
    await gone;
    expect(signalr.connections).toBe(0);
    expect(onConnected).not.toHaveBeenCalled();
  });

  it('must be known before a deadline', async () => {
    const clock = new FakeClock();
    const asked = Promise.withResolvers<void>();
    const { port } = await host(
      { methods },
      {
        clock,
        authenticate: () => {
          asked.resolve();
          return new Promise(() => {});
        },
      },
    );
    const client = new Client(port);
    client.upgrade('/hub');
    await asked.promise;
    await clock.advance(15_000);
    await client.seeEnd();
  });

  it.each([
    ['throws', () => Promise.reject(new Error('down'))],
    [
      'throws at once',
      () => {
        throw new Error('down');
      },
    ],
  ])('is nobody when authenticate %s', async (_name, authenticate) => {
    const onError = vi.fn();
    const { port } = await host({ methods }, { authenticate, onError });
    const client = new Client(port);
    client.upgrade('/hub?access_token=secret');
    expect(await client.seeStatus()).toBe(500);
    expect(onError).toHaveBeenCalledWith(expect.any(Error), { method: 'authenticate', connectionId: undefined });
  });

  it('depends on the page it comes from', async () => {
    const { port } = await host({ methods }, { isOriginAllowed: (origin) => origin === 'https://good.example' });
    const [good, bad] = [new Client(port), new Client(port)];
    good.upgrade('/hub?access_token=alice', [['Origin', 'https://good.example']]);
    bad.upgrade('/hub?access_token=alice', [['Origin', 'https://bad.example']]);
    expect(await good.seeStatus()).toBe(101);
    expect(await bad.seeStatus()).toBe(403);
  });

  it.each([
    ['http://localhost', 101],
    ['https://localhost', 101],
    ['http://localhost:81', 403],
    ['http://LOCALHOST.evil.example', 403],
    ['null', 403],
    ['localhost', 403],
  ])('does not need leave for a page of the same host: %s', async (origin, status) => {
    const { port } = await host({ methods }, { isOriginAllowed: () => false });
    const client = new Client(port);
    client.upgrade('/hub?access_token=alice', [['Origin', origin]]);
    expect(await client.seeStatus()).toBe(status);
  });

  it('depends on limits, whose places are given back once', async () => {
    let places = 1;
    const { port } = await host(
      { methods },
      {
        admit: () => {
          if (places === 0) return { ok: false, status: 429, text: 'Too many connections' };
          places -= 1;
          const release = (): void => {
            places += 1;
          };
          return { ok: true, release };
        },
      },
    );
    const first = await connected(port);
    const second = new Client(port);
    second.upgrade('/hub?access_token=alice');
    expect(await second.seeStatus()).toBe(429);
    first.raw.closeFrame(1000);
    await first.seeEnd();
    await vi.waitFor(() => expect(places).toBe(1));
  });

  it('cannot smuggle a header in by a challenge', async () => {
    const { port } = await host(
      { methods },
      { authenticate: () => ({ ok: false, status: 401, challenge: 'Bearer\r\nX-Evil: 1' }) },
    );
    const client = new Client(port);
    client.upgrade('/hub');
    const answer = await client.see(({ kind }) => kind === 'http');
    expect(answer.kind === 'http' && answer.headers.has('x-evil')).toBe(false);
  });
});

describe('a negotiated id', () => {
  async function negotiated(port: number): Promise<{ connectionId: string; connectionToken: string }> {
    const { body } = await answerOf(port, 'POST', '/Hub/Negotiate?NegotiateVersion=1&access_token=alice');
    return JSON.parse(body) as { connectionId: string; connectionToken: string };
  }

  it('opens one connection under the public id', async () => {
    const seen: string[] = [];
    const { port } = await host({ methods, onConnected: ({ id }) => void seen.push(id) });
    const { connectionId, connectionToken } = await negotiated(port);
    const client = new Client(port);
    client.upgrade(`/hub?id=${connectionToken}&access_token=alice`);
    client.record('{"protocol":"json","version":1}');
    await client.seeRecord('{}');
    expect(seen).toEqual([connectionId]);
    const again = new Client(port);
    again.upgrade(`/hub?id=${connectionToken}&access_token=alice`);
    expect(await again.seeStatus()).toBe(409);
    expect(await answerOf(port, 'POST', `/hub?id=${connectionToken}&access_token=alice`)).toEqual({
      status: 405,
      body: 'POST requests are not allowed for WebSocket connections.',
    });
    expect(await answerOf(port, 'GET', `/hub?id=${connectionToken}&access_token=alice`)).toMatchObject({ status: 400 });
    expect(await answerOf(port, 'DELETE', `/hub?id=${connectionToken}&access_token=alice`)).toMatchObject({
      status: 400,
    });
    client.raw.closeFrame(1000);
    await client.seeEnd();
    await vi.waitFor(async () => {
      expect(await answerOf(port, 'GET', `/hub?id=${connectionToken}&access_token=alice`)).toMatchObject({
        status: 404,
      });
    });
  });

  it('does not open with the public id, nor for another user', async () => {
    const { port } = await host({ methods });
    const { connectionId, connectionToken } = await negotiated(port);
    const [byId, byOther] = [new Client(port), new Client(port)];
    byId.upgrade(`/hub?id=${connectionId}&access_token=alice`);
    byOther.upgrade(`/hub?id=${connectionToken}&access_token=mallory`);
    expect(await byId.seeStatus()).toBe(404);
    expect(await byOther.seeStatus()).toBe(403);
  });

  it('is forgotten when nobody comes for it', async () => {
    const clock = new FakeClock();
    const { port } = await host({ methods }, { clock });
    const inTime = await negotiated(port);
    const late = await negotiated(port);
    await clock.advance(14_000);
    expect(await answerOf(port, 'GET', `/hub?id=${inTime.connectionToken}&access_token=alice`)).toMatchObject({
      status: 200,
    });
    await clock.advance(2_000);
    expect(await answerOf(port, 'GET', `/hub?id=${late.connectionToken}&access_token=alice`)).toEqual({
      status: 404,
      body: 'No Connection with that ID',
    });
    // The other one stays away, too, and then nothing is left to watch.
    await clock.advance(20_000);
    expect(clock.pending).toBe(0);
  });

  it('is not given out when too many wait', async () => {
    const { port } = await host({ methods, options: { maximumUnusedNegotiations: 1 } });
    await negotiated(port);
    expect(await answerOf(port, 'POST', '/hub/negotiate?access_token=alice')).toMatchObject({ status: 503 });
  });
});

describe('a WebSocket connection', () => {
  it('proves receipt by the answer to a ping, and nothing else does', async () => {
    const received: number[] = [];
    const connections: HubConnection<TestUser>[] = [];
    const { port } = await host({
      methods,
      onConnected: (connection) => void connections.push(connection),
      onReceived: (_connection, mark) => void received.push(mark),
      options: { receiptProbeDelayMs: 1 },
    });
    const client = await connected(port);
    const mark = connections[0]?.send('Event', [], { receipt: true });
    const ping = await client.see(({ kind }) => kind === 'ping');
    expect(ping.kind === 'ping' && Buffer.from(ping.payload, 'base64').toString()).toBe(String(mark));
    client.raw.frame(opcode.pong, Buffer.from('hello'));
    client.raw.frame(opcode.pong, Buffer.from('9999'));
    client.raw.frame(opcode.pong, Buffer.alloc(0));
    client.record(echo);
    await client.seeRecord(echoed);
    expect(received).toEqual([]);
    client.raw.frame(opcode.pong, Buffer.from(String(mark)));
    await vi.waitFor(() => expect(received).toEqual([mark]));
  });

  it('that takes nothing is cut, its memory freed and the others served', async () => {
    const clock = new FakeClock();
    const connections = new Map<string, HubConnection<TestUser>>();
    const ends: (ConnectionError | undefined)[] = [];
    const { port, signalr } = await host(
      {
        methods,
        onConnected: (connection) => void connections.set(connection.user.name, connection),
        onDisconnected: (_connection, error) => void ends.push(error),
        options: { maximumOutboundBytes: 50_000_000 },
      },
      { clock },
    );
    const [stalled, other] = [await connected(port, 'stalled'), await connected(port, 'other')];
    stalled.raw.pause();
    for (let n = 0; n < 200; n += 1) {
      connections.get('stalled')?.send('Event', ['x'.repeat(100_000)]);
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (let n = 0; n < 12 && ends.length === 0; n += 1) await clock.advance(1_000);
    expect(ends).toMatchObject([{ failure: 'send-timeout' }]);
    await vi.waitFor(() => expect(signalr.connections).toBe(1));
    other.record(echo);
    await other.seeRecord(echoed);
  });

  it('over the outbound bound is cut as a slow consumer', async () => {
    const connections: HubConnection<TestUser>[] = [];
    const ends: (ConnectionError | undefined)[] = [];
    const { port } = await host({
      methods,
      onConnected: (connection) => void connections.push(connection),
      onDisconnected: (_connection, error) => void ends.push(error),
    });
    const client = await connected(port);
    client.raw.pause();
    for (let n = 0; n < 1_000 && ends.length === 0; n += 1) {
      connections[0]?.send('Event', ['x'.repeat(100_000)]);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(ends).toMatchObject([{ failure: 'slow-consumer' }]);
  });

  it('ends with 1009 after a message over the frame limit', async () => {
    const { port } = await host({ methods, options: { maximumFrameBytes: 40_000 } });
    const client = await connected(port);
    client.raw.frame(opcode.binary, Buffer.alloc(40_001));
    const end = await client.see(({ kind }) => kind === 'close-frame');
    expect(end).toMatchObject({ code: 1009 });
  });

  it.each([
    [1000, true],
    [1001, true],
    [1009, false],
    [4000, true],
  ])("ends in good order by its client's code %i, which may be a goodbye: %s", async (code, isGoodbye) => {
    const ends: unknown[] = [];
    const onDisconnected: HubDefinition<TestUser>['onDisconnected'] = ({ hasSaidGoodbye }, error) =>
      void ends.push(error, hasSaidGoodbye);
    const { port } = await host({ onDisconnected });
    const client = await connected(port);
    client.raw.closeFrame(code);
    expect(await client.see(({ kind }) => kind === 'close-frame')).toMatchObject({ code: 1000 });
    await client.seeEnd();
    expect(ends).toEqual([undefined, isGoodbye]);
  });
});

describe('a server that stood still', () => {
  it('hears its clients before it counts their silence', async () => {
    const fake = new FakeClock();
    let standstillMs = 0;
    const clock = {
      now: () => fake.now() + standstillMs,
      monotonicMs: () => fake.monotonicMs() + standstillMs,
      schedule: fake.schedule.bind(fake),
    };
    const { port } = await host({ methods }, { clock });
    const [lively, silent] = [await connected(port), await connected(port)];
    for (const client of [lively, silent]) {
      client.record('{"type":6}');
      client.record(echo);
      await client.seeRecord(echoed);
    }
    await fake.advance(1_000);
    standstillMs = 60_000;
    await fake.advance(1_000);
    // What it sent during the standstill is read now.
    lively.record('{"type":1,"invocationId":"2","target":"Echo","arguments":["b"]}');
    await lively.seeRecord('{"type":3,"invocationId":"2","result":"b"}');
    await fake.advance(1_000);
    await silent.seeRecord('{"type":7,"error":"Connection closed with an error.","allowReconnect":true}');

    lively.record('{"type":1,"invocationId":"3","target":"Echo","arguments":["c"]}');
    await lively.seeRecord('{"type":3,"invocationId":"3","result":"c"}');
  });
});

describe('draining', () => {
  it('says goodbye to everybody with leave to reconnect, and lets nobody in any more', async () => {
    const { port, signalr } = await host({ methods });
    const clients = [await connected(port), await connected(port)];
    const drained = signalr.drain();
    for (const client of clients) {
      await client.seeRecord('{"type":7,"allowReconnect":true}');
      expect(await client.see(({ kind }) => kind === 'close-frame')).toMatchObject({ code: 1000 });
      client.raw.closeFrame(1000);
    }
    const late = new Client(port);
    late.upgrade('/hub?access_token=alice');
    expect(await late.seeStatus()).toBe(503);
    await drained;
    expect(signalr.connections).toBe(0);
  });

  it('does not wait for ever for a client that does not answer', async () => {
    const clock = new FakeClock();
    const { port, signalr } = await host({ methods }, { clock });
    const client = await connected(port);
    const drained = signalr.drain({ graceMs: 2_000 });
    await client.seeRecord('{"type":7,"allowReconnect":true}');
    await clock.advance(2_000);
    await drained;
    await client.seeEnd();
  });

  it('waits a second and not the whole grace for a client that has been told and does not answer', async () => {
    const clock = new FakeClock();
    const { port, signalr } = await host({ methods }, { clock });
    const client = await connected(port);
    const drained = signalr.drain({ graceMs: 60_000 });
    await client.seeRecord('{"type":7,"allowReconnect":true}');
    await clock.advance(900);
    expect(signalr.connections).toBe(1);
    await clock.advance(200);
    await drained;
    await client.seeEnd();
  });

  it('waits for what the hub has to do at the end of a connection, but not beyond the grace', async () => {
    const clock = new FakeClock();
    const ends: (() => void)[] = [];
    const onDisconnected = () => new Promise<void>((resolve) => void ends.push(resolve));
    const { port, signalr } = await host({ onDisconnected }, { clock });
    const gone = await connected(port);
    gone.raw.closeFrame(1000);
    await gone.seeEnd();
    const client = await connected(port);
    let isDrained = false;
    const drained = signalr.drain({ graceMs: 60_000 }).then(() => {
      isDrained = true;
    });
    await client.see(({ kind }) => kind === 'close-frame');
    client.raw.closeFrame(1000);
    await client.seeEnd();
    await vi.waitFor(() => expect([signalr.connections, ends.length]).toEqual([0, 2]));
    ends[0]?.();
    await clock.advance(1_000);
    expect(isDrained).toBe(false);
    ends[1]?.();
    await drained;

    const stuck = await host({ onDisconnected }, { clock });
    (await connected(stuck.port)).raw.destroy();
    await vi.waitFor(() => expect(ends).toHaveLength(3));
    const late = stuck.signalr.drain({ graceMs: 1_000 });
    await clock.advance(1_000);
    await late;
  });

  it('is cut short by its signal', async () => {
    const { port, signalr } = await host({ methods });
    const client = await connected(port);
    const controller = new AbortController();
    const drained = signalr.drain({ signal: controller.signal });
    await client.seeRecord('{"type":7,"allowReconnect":true}');
    controller.abort();
    await drained;
    await client.seeEnd();
  });
});

describe('hooks that throw', () => {
  it('end nothing but the call they belong to', async () => {
    const { port } = await host(
      { methods },
      {
        onError: () => {
          throw new Error('the log is full');
        },
      },
    );
    const client = await connected(port);
    client.record('{"type":1,"invocationId":"0","target":"Throw","arguments":[]}');
    client.record(echo);
    await client.seeRecord(echoed);
    expect(client.observed).toHaveLength(4);
  });

  it('refuse the request they belong to, and are told of', async () => {
    const told: string[] = [];
    const { port } = await host(
      { methods },
      {
        // Not every Origin is a URL.
        isOriginAllowed: (origin) => new URL(origin).protocol === 'https:',
        admit: () => ({
          ok: true,
          release: () => {
            throw new Error('counted below nothing');
          },
        }),
        onError: (_error, { method: hook }) => void told.push(hook),
      },
    );
    const stranger = new Client(port);
    stranger.upgrade('/hub?access_token=alice', [['Origin', 'null']]);
    expect(await stranger.seeStatus()).toBe(500);
    const client = await connected(port);
    client.raw.closeFrame(1000);
    await client.seeEnd();
    await vi.waitFor(() => expect(told).toEqual(['isOriginAllowed', 'release']));
  });
});

describe('the path of a hub', () => {
  it('may be the root', async () => {
    const { port } = await host({ methods }, { path: '/' });
    const { body, status } = await answerOf(port, 'POST', '/negotiate?negotiateVersion=1&access_token=alice');
    expect(status).toBe(200);
    const client = new Client(port);
    client.upgrade(`/?access_token=alice&id=${(JSON.parse(body) as { connectionToken: string }).connectionToken}`);
    expect(await client.seeStatus()).toBe(101);
    expect(await answerOf(port, 'POST', '/other/negotiate?access_token=alice')).toMatchObject({ status: 404 });
  });

  it.each(['hub', '', '/hub?x=1'])("is refused where no request can have it: '%s'", async (path) => {
    await expect(host({ methods }, { path })).rejects.toThrow(RangeError);
  });
});

describe('paths of others', () => {
  it('are left alone', async () => {
    const { port } = await host({ methods });
    expect(await answerOf(port, 'GET', '/other?access_token=alice')).toMatchObject({ status: 404 });
    expect(await answerOf(port, 'POST', '/hub/negotiate/more?access_token=alice')).toMatchObject({ status: 404 });
    const client = new Client(port);
    client.upgrade('/other?access_token=alice');
    await client.seeEnd();
    expect(client.observed.some(({ kind }) => kind === 'http')).toBe(false);
  });
});
