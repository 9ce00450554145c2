/** A stateful connection between two transports: what lives on, what ends it, and what its client is told. */
import { describe, expect, it } from 'vitest';
import { type HubDefinition, method, stream } from '../../../../src/bridge/signalr/hub/hub.ts';
import type { HubOptions } from '../../../../src/bridge/signalr/hub/options.ts';
import { param } from '../../../../src/bridge/signalr/protocol/parameters.ts';
import { Client, connected, host as hosted } from './hosted-server.ts';
import { MemoryClient, MemoryHost, MemoryTransport, type TestUser } from './memory-connection.ts';

const receipt = { receipt: true } as const;

interface Options {
  readonly options?: Partial<HubOptions>;
  readonly methods?: HubDefinition<TestUser>['methods'];
}

/** A stateful connection after its handshake. */
async function stateful({ options, methods = {} }: Options = {}, version = 2) {
  const host = new MemoryHost({ methods, options: { allowStatefulReconnect: true, ...options } });
  const client = host.connect({ isStateful: true });
  client.send(`{"protocol":"json","version":${version}}`);
  await client.taken();
  return { host, client };
}

const lose = (client: MemoryClient): void => client.connection.onClosed('lost', true);

/** The client on a new transport. */
function back(client: MemoryClient): MemoryClient {
  const transport = new MemoryTransport();
  expect(client.connection.reattach(transport)).toBe(true);
  return new MemoryClient(client.connection, transport);
}

const event = (n: unknown): string => JSON.stringify({ type: 1, target: 'Event', arguments: [n] });
const call = (id: string, target: string, ...args: unknown[]): string =>
  JSON.stringify({ type: 1, invocationId: id, target, arguments: args });

describe('a stateful connection without a transport', () => {
  it('is open to its hub, and repeats behind a Sequence, in one frame, what was sent meanwhile and before', async () => {
    const { client, host } = await stateful();
    client.connection.send('Event', [1]);
    await client.taken();
    client.send('{"type":8,"sequenceId":1}');
    client.connection.send('Event', [2]);
    await client.taken();
    lose(client);
    expect(client.connection.isOpen).toBe(true);
    client.connection.send('Event', [3]);
    const returned = back(client);
    client.connection.send('Event', [4]);
    expect(await returned.taken()).toEqual(['{"type":9,"sequenceId":2}', event(2), event(3), event(4)]);
    expect(returned.transport.batches).toHaveLength(1);
    expect(client.transport.records).toEqual([]);
    expect(host.disconnections).toEqual([]);
    expect(host.gone).toEqual([]);
  });

  it('is not pinged and not timed out, but ends once when its client does not come back', async () => {
    const { client, host } = await stateful();
    client.send('{"type":6}');
    lose(client);
    client.connection.sweep(14_999);
    expect(client.connection.isOpen).toBe(true);
    client.connection.sweep(15_000);
    expect(host.disconnections).toMatchObject([{ error: { failure: 'connection-lost' } }]);
    expect(host.gone).toEqual(['c1']);
    expect(client.connection.canReattach).toBe(false);
    client.connection.sweep(40_000);
    expect(host.disconnections).toHaveLength(1);
    expect(client.transport.records).toEqual([]);
  });

  it('runs its calls to their end; their answers wait', async () => {
    const running = Promise.withResolvers<string>();
    const { client } = await stateful({ methods: { Slow: method([], () => running.promise) } });
    client.send(call('1', 'Slow'));
    lose(client);
    running.resolve('done');
    await client.settle();
    expect(await back(client).taken()).toEqual([
      '{"type":9,"sequenceId":1}',
      '{"type":3,"invocationId":"1","result":"done"}',
    ]);
  });

  it('holds up a stream that it answers, and a sender that waits for room', async () => {
    let given = 0;
    const Count = stream([], async function* () {
      for (; given < 1_000; given += 1) yield given;
    });
    const { client } = await stateful({ methods: { Count } });
    lose(client);
    client.connection.send('Event', [1]);
    let isDrained = false;
    const draining = client.connection.drained().then(() => {
      isDrained = true;
    });
    await client.settle();
    expect(isDrained).toBe(false);
    const returned = back(client);
    returned.send('{"type":4,"invocationId":"1","target":"Count","arguments":[]}');
    lose(client);
    await client.settle();
    expect(given).toBeLessThan(10);
    const again = back(client);
    await draining;
    for (let turn = 0; turn < 50 && given < 1_000; turn += 1) await again.settle();
    expect(given).toBe(1_000);
    expect((await again.taken()).at(-1)).toBe('{"type":3,"invocationId":"1"}');
  });

  it('ends at once when more is sent than is kept', async () => {
    const { client, host } = await stateful({ options: { statefulReconnectBufferBytes: 100 } });
    lose(client);
    expect(client.connection.send('Event', ['x'.repeat(40)])).not.toBe(0);
    expect(client.connection.send('Event', ['x'.repeat(40)])).toBe(0);
    expect(host.disconnections).toMatchObject([{ error: { failure: 'connection-lost' } }]);
    expect(host.gone).toEqual(['c1']);
  });

  it.each([
    ['its hub closes it', (client: MemoryClient) => client.connection.close({ allowReconnect: true }), undefined],
    [
      'its server drains',
      (client: MemoryClient) => client.connection.closeWhenIdle({ allowReconnect: true }),
      { failure: 'connection-lost' },
    ],
    ['its server closes', (client: MemoryClient) => client.connection.destroy(), { failure: 'connection-lost' }],
  ])('ends, and cannot be resumed, when %s', async (_name, end, error) => {
    const { client, host } = await stateful();
    lose(client);
    end(client);
    expect(host.disconnections).toMatchObject([{ id: 'c1', error }]);
    expect(host.gone).toEqual(['c1']);
    expect(client.connection.canReattach).toBe(false);
    expect(client.connection.send('Event', [])).toBe(0);
  });

  it.each(['orderly', 'unexplained', 'violation'] as const)(
    'is not what a connection is whose end is %s',
    async (reason) => {
      const { client, host } = await stateful();
      client.connection.onClosed(reason, false);
      client.connection.onClosed('lost', true);
      expect(host.disconnections).toHaveLength(1);
      expect(host.gone).toEqual(['c1']);
      expect(client.connection.canReattach).toBe(false);
    },
  );

  it('is not what a connection is that speaks version 1, or did not negotiate it', async () => {
    const { client: old, host } = await stateful({}, 1);
    const plain = await host.open();
    for (const client of [old, plain]) {
      lose(client);
      expect(client.connection.canReattach).toBe(false);
      expect(client.connection.reattach(new MemoryTransport())).toBe(false);
    }
    expect(host.disconnections).toHaveLength(2);
  });
});

describe('a stateful connection whose client comes back', () => {
  it('drops what is repeated, also half a record of the old transport, and handles what is new', async () => {
    const calls: number[] = [];
    const Call = method([param.int], (_context, n) => void calls.push(n));
    const { client } = await stateful({ methods: { Call } });
    client.send(call('1', 'Call', 1), call('2', 'Call', 2));
    client.connection.onData(Buffer.from(call('3', 'Call', 3).slice(0, 20)));
    lose(client);
    const returned = back(client);
    returned.send('{"type":9,"sequenceId":2}', call('2', 'Call', 2), call('3', 'Call', 3));
    expect(calls).toEqual([1, 2, 3]);
  });

  it('acknowledges a second after a call at the latest, once for all, also what was only repeated', async () => {
    const Call = method([param.int], () => undefined);
    const { client, host } = await stateful({ methods: { Call } });
    client.send(call('1', 'Call', 1), call('2', 'Call', 2));
    await client.taken();
    await host.clock.advance(999);
    expect(await client.taken()).toEqual([]);
    await host.clock.advance(1);
    expect(await client.taken()).toEqual(['{"type":8,"sequenceId":2}']);
    client.send('{"type":6}');
    await host.clock.advance(5_000);
    expect(await client.taken()).toEqual([]);
    lose(client);
    const returned = back(client);
    returned.send('{"type":9,"sequenceId":2}', call('2', 'Call', 2));
    await returned.taken();
    await host.clock.advance(1_000);
    expect(await returned.taken()).toEqual(['{"type":8,"sequenceId":2}']);
    expect(host.clock.pending).toBe(0);
  });

  it.each(['4', '0', '-1', '1.5', '1e999'])('is closed for the Sequence %s, which does not follow', async (id) => {
    const Call = method([param.int], () => undefined);
    const { client, host } = await stateful({ methods: { Call } });
    client.send(call('1', 'Call', 1), call('2', 'Call', 2));
    lose(client);
    const returned = back(client);
    returned.send(`{"type":9,"sequenceId":${id}}`, call('3', 'Call', 3));
    expect((await returned.taken()).at(-1)).toBe(
      '{"type":7,"error":"Connection closed with an error.","allowReconnect":true}',
    );
    expect(host.disconnections).toMatchObject([{ error: { failure: 'invalid-record' } }]);
  });

  it('is told nothing that does not belong to the new transport', async () => {
    const { client } = await stateful();
    client.transport.isWritable = false;
    client.connection.sweep(15_000);
    client.connection.send('Event', [1]);
    lose(client);
    expect(await back(client).taken()).toEqual(['{"type":9,"sequenceId":1}', event(1)]);
  });

  it('must begin anew while something was dropped that it has not acknowledged, and not after', async () => {
    const { client } = await stateful({ options: { statefulReconnectBufferBytes: 100 } });
    for (const n of [1, 2]) client.connection.send('Event', [String(n).repeat(40)]);
    await client.settle();
    expect(client.connection.canReattach).toBe(false);
    client.send('{"type":8,"sequenceId":1}');
    expect(client.connection.canReattach).toBe(true);
    lose(client);
    expect(await back(client).taken()).toEqual(['{"type":9,"sequenceId":2}', event('2'.repeat(40))]);
  });

  it('gets time anew for its silence and for what it takes', async () => {
    const { client, host } = await stateful();
    client.send('{"type":6}');
    client.transport.bufferedBytes = 10;
    client.connection.sweep(1_000);
    await host.clock.advance(9_000);
    lose(client);
    const returned = back(client);
    returned.transport.bufferedBytes = 10;
    client.connection.sweep(11_000);
    client.connection.sweep(20_999);
    expect(returned.transport.isDestroyed).toBe(false);
    client.connection.sweep(21_000);
    expect(returned.transport.isDestroyed).toBe(true);
  });

  it('proves nothing of what was lost before all of it has been written again', async () => {
    const { client, host } = await stateful();
    const mark = client.connection.send('Event', [1], receipt);
    await host.clock.advance(20);
    const [probe = 0] = client.transport.probes;
    lose(client);
    const returned = back(client);
    returned.transport.isWritable = false;
    client.connection.onProof(probe);
    await host.clock.advance(3_000);
    expect(returned.transport.probes).toEqual([]);
    expect(host.received).toEqual([]);
    returned.transport.isWritable = true;
    client.connection.onWritable();
    await host.clock.advance(2_000);
    client.connection.onProof(returned.transport.probes.at(-1) ?? 0);
    expect(host.received).toEqual([mark]);
  });
});

describe('an upgrade for a stateful connection', () => {
  const NEGOTIATE = '/hub/negotiate?negotiateVersion=1&useStatefulReconnect=true';

  async function negotiated(port: number): Promise<{ path: string; client: Client }> {
    const response = await fetch(`http://127.0.0.1:${port}${NEGOTIATE}`, {
      method: 'POST',
      headers: { authorization: 'Bearer alice' },
    });
    const { connectionToken } = (await response.json()) as { connectionToken: string };
    const path = `/hub?id=${connectionToken}`;
    const client = new Client(port);
    client.upgrade(`${path}&access_token=alice`);
    await client.seeStatus();
    return { path, client };
  }

  it('takes over from a transport that still lives, which is closed, and goes on with the latest user', async () => {
    const ended: string[] = [];
    const { port } = await hosted({
      methods: { Echo: method([param.string], ({ user }, text) => `${user.name} ${text}`) },
      options: { allowStatefulReconnect: true },
      onDisconnected: ({ id }) => void ended.push(id),
    });
    const { client, path } = await negotiated(port);
    client.record('{"protocol":"json","version":2}');
    await client.seeRecord('{}');
    const second = new Client(port);
    second.upgrade(`${path}&access_token=alice`);
    await second.seeRecord('{"type":9,"sequenceId":1}');
    await client.see(({ kind }) => kind === 'close-frame');
    second.record(call('1', 'Echo', 'x'));
    await second.seeRecord('{"type":3,"invocationId":"1","result":"alice x"}');
    expect(ended).toEqual([]);
  });

  it('is refused to another user with 403, and with 404 when the connection cannot go on', async () => {
    const { port } = await hosted({ options: { allowStatefulReconnect: true } });
    const { client, path } = await negotiated(port);
    const statusOf = (user: string): Promise<number> => {
      const other = new Client(port);
      other.upgrade(`${path}&access_token=${user}`);
      return other.seeStatus();
    };
    expect(await statusOf('mallory')).toBe(403);
    // Its handshake is not done.
    expect(await statusOf('alice')).toBe(404);
    client.record('{"protocol":"json","version":1}');
    await client.seeRecord('{}');
    expect(await statusOf('alice')).toBe(404);
  });

  it('is not waited for by a server that drains', async () => {
    const ended = Promise.withResolvers<void>();
    const { port, signalr } = await hosted({
      options: { allowStatefulReconnect: true },
      onDisconnected: () => ended.resolve(),
    });
    const { client } = await negotiated(port);
    client.record('{"protocol":"json","version":2}');
    await client.seeRecord('{}');
    const other = await connected(port, 'bob');
    client.raw.reset();
    const drained = signalr.drain({ graceMs: 60_000 });
    await other.seeRecord('{"type":7,"allowReconnect":true}');
    other.raw.closeFrame(1000);
    await drained;
    await ended.promise;
    expect(signalr.connections).toBe(0);
  });
});
