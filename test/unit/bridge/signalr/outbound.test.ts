import { describe, expect, it } from 'vitest';
import { dataFrame } from '../../../../src/bridge/signalr/endpoint/websocket-frames.ts';
import { sharedInvocation } from '../../../../src/bridge/signalr/hub/shared-invocation.ts';
import { MemoryHost } from './memory-connection.ts';

describe('what is sent to a connection', () => {
  it('gets marks that count from the handshake answer on', async () => {
    const client = await new MemoryHost().open();
    expect(client.asHubSeesIt.send('A', [])).toBe(2);
    expect(client.asHubSeesIt.sendShared(sharedInvocation('B', []))).toBe(3);
  });

  it('leaves once per turn, in order', async () => {
    const client = await new MemoryHost().open();
    for (let n = 0; n < 10; n += 1) client.connection.send('Event', [n]);
    await client.settle();
    expect(client.transport.batches).toHaveLength(1);
    expect(
      client.transport.records.map((record) => (JSON.parse(record) as { arguments: number[] }).arguments[0]),
    ).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('is framed once for all connections that get the same', async () => {
    const host = new MemoryHost();
    const clients = [await host.open(), await host.open(), await host.open()];
    const [first, second] = [sharedInvocation('A', ['x']), sharedInvocation('B', ['y'])];
    for (const { connection } of clients) connection.sendShared(first);
    for (const { connection } of clients) connection.sendShared(second);
    await clients[0]?.settle();
    const frames = clients.map(({ transport }) => transport.batches[0]?.framed(dataFrame));
    expect(frames[0]?.toString()).toContain('"B"');
    expect(frames[1]).toBe(frames[0]);
    expect(frames[2]).toBe(frames[0]);
  });

  it('is not shared with a connection that gets something else in between', async () => {
    const host = new MemoryHost();
    const [one, two] = [await host.open(), await host.open()];
    const event = sharedInvocation('A', []);
    one.connection.sendShared(event);
    two.connection.sendShared(event);
    two.connection.send('Own', []);
    expect(await one.taken()).toEqual(['{"type":1,"target":"A","arguments":[]}']);
    expect(await two.taken()).toEqual([
      '{"type":1,"target":"A","arguments":[]}',
      '{"type":1,"target":"Own","arguments":[]}',
    ]);
  });

  it('throws to the sender, and only to the sender, when it cannot be serialised', async () => {
    const client = await new MemoryHost().open();
    expect(() => client.connection.send('Event', [1n])).toThrow(TypeError);
    expect(client.connection.isOpen).toBe(true);
  });
});

describe('a client that does not read', () => {
  it('is cut at the bound, and nothing is kept for it', async () => {
    const host = new MemoryHost({ options: { maximumOutboundBytes: 10_000 } });
    const [slow, other] = [await host.open(), await host.open()];
    slow.transport.isWritable = false;
    const event = sharedInvocation('Event', ['x'.repeat(1_000)]);
    for (let n = 0; n < 20; n += 1) for (const { connection } of [slow, other]) connection.sendShared(event);
    expect(slow.transport.isDestroyed).toBe(true);
    expect(slow.connection.isOpen).toBe(false);
    expect(host.disconnections).toMatchObject([{ id: 'c1', error: { failure: 'slow-consumer' } }]);
    slow.transport.isWritable = true;
    expect(await slow.taken()).toEqual([]);
    expect(await other.taken()).toHaveLength(20);
  });

  it('gets the rest when it reads again in time', async () => {
    const client = await new MemoryHost().open();
    client.transport.isWritable = false;
    client.connection.send('Event', []);
    expect(await client.taken()).toEqual([]);
    client.transport.isWritable = true;
    client.connection.onWritable();
    expect(await client.taken()).toHaveLength(1);
  });

  it('is not one that gets a burst in one turn', async () => {
    const client = await new MemoryHost({ options: { maximumOutboundBytes: 10_000 } }).open();
    for (let n = 0; n < 100; n += 1) client.connection.send('Event', ['x'.repeat(1_000)]);
    expect(await client.taken()).toHaveLength(100);
    expect(client.connection.isOpen).toBe(true);
  });

  it('is cut when it takes nothing for the send timeout, not when it takes a little', async () => {
    const host = new MemoryHost();
    const client = await host.open();
    client.transport.bufferedBytes = 100_000;
    client.connection.sweep(1_000);
    client.transport.takenBytes = 1;
    client.connection.sweep(10_000);
    client.connection.sweep(19_999);
    expect(client.transport.isDestroyed).toBe(false);
    client.connection.sweep(20_000);
    expect(client.transport.isDestroyed).toBe(true);
    expect(host.disconnections).toMatchObject([{ error: { failure: 'send-timeout' } }]);
  });

  it('is not asked for more calls while its answers pile up', async () => {
    const client = await new MemoryHost({ options: { maximumOutboundBytes: 10_000 } }).open();
    client.transport.isWritable = false;
    for (let n = 0; n < 6; n += 1) client.connection.send('Event', ['x'.repeat(1_000)]);
    client.send('{"type":6}');
    expect(client.transport.isPaused).toBe(true);
    client.transport.isWritable = true;
    client.connection.onWritable();
    await client.settle();
    expect(client.transport.isPaused).toBe(false);
  });

  it('is written to in pieces, so that its progress shows', async () => {
    const client = await new MemoryHost().open();
    for (let n = 0; n < 20; n += 1) client.connection.send('Event', ['x'.repeat(10_000)]);
    await client.settle();
    expect(client.transport.batches.length).toBeGreaterThanOrEqual(3);
    expect(client.transport.records).toHaveLength(20);
  });
});

describe('a text frame', () => {
  it.each([0, 1, 125, 126, 65_535, 65_536, 200_000])('of %i bytes has the length RFC 6455 wants', (length) => {
    const frame = dataFrame('x'.repeat(length));
    const head = length < 126 ? 2 : length < 65_536 ? 4 : 10;
    expect(frame.length).toBe(head + length);
    expect(frame[0]).toBe(0x81);
    if (head === 2) expect(frame[1]).toBe(length);
    if (head === 4) expect([frame[1], frame.readUInt16BE(2)]).toEqual([126, length]);
    if (head === 10) expect([frame[1], frame.readBigUInt64BE(2)]).toEqual([127, BigInt(length)]);
  });

  it('counts bytes, not characters', () => {
    expect([...dataFrame('é')]).toEqual([0x81, 2, 0xc3, 0xa9]);
  });
});
