/** ServerSentEvents on a real port: what the stream looks like, how it ends, and a reader that does not read. */
import { describe, expect, it } from 'vitest';
import { eventFrame } from '../../../../src/bridge/signalr/endpoint/sse-transport.ts';
import { Client } from './hosted-server.ts';
import { HANDSHAKE, HttpHub, HttpSocket, until } from './http-client.ts';

const STREAM = { headers: { Accept: 'text/event-stream' } };

describe('an event', () => {
  it.each([
    ['{"type":6}\u001e', 'data: {"type":6}\u001e\r\n\r\n'],
    ['a\nb', 'data: a\r\ndata: b\r\n\r\n'],
    ['a\rb', 'data: a\r\ndata: b\r\n\r\n'],
    ['a\r\nb', 'data: a\r\ndata: b\r\n\r\n'],
    ['a\n\nb\n', 'data: a\r\ndata: \r\ndata: b\r\ndata: \r\n\r\n'],
    ['', 'data: \r\n\r\n'],
  ])('with %j is framed with a data line for each line', (content, framed) => {
    expect(eventFrame(content).toString()).toBe(framed);
    expect(eventFrame(Buffer.from(content)).toString()).toBe(framed);
  });
});

describe('a stream of events', () => {
  it('begins with a comment and headers that keep it from being kept, gathered or compressed', async () => {
    const hub = await new HttpHub().start();
    const stream = new HttpSocket(hub.port);
    stream.write('GET', await hub.negotiated(), { headers: { Accept: 'text/html, Text/Event-Stream' } });
    await stream.see(':\r\n');
    const { status, headers } = await stream.head();

    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('text/event-stream');
    expect(headers.get('cache-control')).toBe('no-cache,no-store');
    expect(headers.get('content-encoding')).toBe('identity');
    expect(headers.get('pragma')).toBe('no-cache');
    expect(headers.get('x-accel-buffering')).toBe('no');
    expect(headers.get('transfer-encoding')).toBe('chunked');
    expect(stream.text.slice(stream.text.indexOf('\r\n\r\n') + 4)).toBe('3\r\n:\r\n\r\n');
  });

  it('whose client drops it is told to the hub once, and its id is unknown at once', async () => {
    const hub = await new HttpHub().start();
    const { path, stream } = await hub.listening();
    stream.socket.destroy();
    await until(() => hub.ended.length > 0);

    expect((await hub.ask('GET', path, STREAM)).status).toBe(404);
    expect((await hub.post(path, '{"type":6}\u001e')).status).toBe(404);
    expect(hub.ended).toEqual(['connection-lost']);
    await hub.seeNothingLeft();
  });

  it('is not given twice, nor mixed with another transport, nor ended by DELETE', async () => {
    const hub = await new HttpHub().start();
    const { path } = await hub.listening();
    const socket = new Client(hub.port);
    socket.upgrade(`${path}&access_token=alice`);

    const second = await hub.ask('GET', path, STREAM);
    expect([second.status, second.body]).toEqual([409, '']);
    const poll = await hub.ask('GET', path);
    expect([poll.status, poll.body]).toEqual([400, 'Cannot change transports mid-connection']);
    const goodbye = await hub.ask('DELETE', path);
    expect([goodbye.status, goodbye.body]).toEqual([
      400,
      'Cannot terminate this connection using the DELETE endpoint.',
    ]);
    expect(await socket.seeStatus()).toBe(409);
    expect(hub.ended).toEqual([]);
  });

  it('ends after the goodbye of the hub', async () => {
    const hub = await new HttpHub().start();
    const { path, stream } = await hub.listening();
    hub.connection.close();
    await stream.see('data: {"type":7}\u001e\r\n\r\n\r\n0\r\n\r\n');
    await until(() => hub.hosted.signalr.connections === 0);

    expect((await hub.post(path, '{"type":6}\u001e')).status).toBe(404);
    await hub.seeNothingLeft();
  });

  it('ends with leave to reconnect when the server drains, and at once when it is closed', async () => {
    const drained = await new HttpHub().start();
    const { stream } = await drained.listening();
    await drained.hosted.signalr.drain();
    await stream.see('data: {"type":7,"allowReconnect":true}\u001e');
    const closed = await new HttpHub().start();
    const other = await closed.listening();
    closed.hosted.signalr.close();
    await other.stream.seeEnd();

    expect(closed.ended).toEqual(['connection-lost']);
  });

  it('gets pings', async () => {
    const hub = await new HttpHub().start();
    const { stream } = await hub.listening();
    await hub.pass(16_000);
    await stream.see('data: {"type":6}\u001e\r\n\r\n');
  });

  it('is refused when the server does not offer it', async () => {
    const hub = await new HttpHub().start({ options: { transports: ['LongPolling'] } });
    expect((await hub.ask('GET', await hub.negotiated(), STREAM)).status).toBe(404);
  });

  it('carries no MessagePack', async () => {
    const hub = await new HttpHub().start();
    const path = await hub.negotiated();
    const stream = new HttpSocket(hub.port);
    stream.write('GET', path, STREAM);
    await stream.see(':\r\n');
    await hub.post(path, HANDSHAKE.replace('json', 'messagepack'));
    await stream.see('"error":"');
    await hub.clock.advance(1);
    expect(hub.connected).toEqual([]);
  });
});

describe('a reader of events that does not read', () => {
  it('is cut when more than the bound waits for it, as a slow consumer', async () => {
    const hub = await new HttpHub().start({ options: { maximumOutboundBytes: 100_000 } });
    const { stream } = await hub.listening();
    stream.socket.pause();
    let sent = 0;
    while (hub.ended.length === 0 && sent < 100_000) {
      hub.connection.send('Event', ['x'.repeat(10_000)]);
      sent += 1;
      await new Promise((resolve) => setImmediate(resolve));
    }

    expect(hub.ended).toEqual(['slow-consumer']);
    stream.socket.resume();
    await stream.seeEnd();
    await hub.seeNothingLeft();
  });

  it('is cut when it has taken nothing for 10 s, and others are served', async () => {
    const hub = await new HttpHub().start({ options: { maximumOutboundBytes: 67_108_864 } });
    const { stream } = await hub.listening();
    stream.socket.pause();
    hub.connection.send('Event', ['x'.repeat(32_000_000)]);
    await hub.pass(9_000);
    expect(hub.ended).toEqual([]);
    const other = await hub.listening();
    await hub.pass(4_000);

    expect(hub.ended).toEqual(['send-timeout']);
    hub.connection.send('Event', ['for you']);
    await other.stream.see('for you');
  });

  it('gets everything when it reads again in time', async () => {
    const hub = await new HttpHub().start({ options: { maximumOutboundBytes: 67_108_864 } });
    const { stream } = await hub.listening();
    stream.socket.pause();
    for (let index = 0; index < 40; index += 1) hub.connection.send('Event', [index, 'x'.repeat(100_000)]);
    await hub.pass(3_000);
    for (let index = 40; index < 50; index += 1) hub.connection.send('Event', [index, '']);
    stream.socket.resume();
    await stream.see('"arguments":[49,""]');

    const seen = [...stream.text.matchAll(/"arguments":\[(\d+),/g)].map(([, index]) => Number(index));
    expect(seen).toEqual(Array.from({ length: 50 }, (_, index) => index));
  });
});
