/** The checklist of the reference's behaviours, 35 to 45: streams, client results, life-cycle, groups, several servers. */
import { describe, expect, it } from 'vitest';
import { MemoryBackplane } from '../../../../../src/bridge/signalr/hub/backplane.ts';
import { HubException } from '../../../../../src/bridge/signalr/hub/errors.ts';
import { method, stream } from '../../../../../src/bridge/signalr/hub/hub.ts';
import { param } from '../../../../../src/bridge/signalr/protocol/parameters.ts';
import type { Client } from '../hosted-server.ts';
import { completion, invoke, methods, recordsOf, serve, until } from './serve.ts';

const item = (id: string, value: unknown): string => JSON.stringify({ type: 2, invocationId: id, item: value });
const ended = (id: string): string => `{"type":3,"invocationId":"${id}"}`;
const stop = (id: string): string => JSON.stringify({ type: 5, invocationId: id });
const start = (id: string, target: string, ...args: unknown[]): string =>
  JSON.stringify({ type: 4, invocationId: id, target, arguments: args });

/** The client's answer to what the server asks it next. */
async function answer(client: Client, reply: Record<string, unknown>): Promise<void> {
  const asked = await client.see(
    (observed) => observed.kind === 'record' && observed.text.startsWith('{"type":1,"invocationId"'),
  );
  const { invocationId } = JSON.parse(asked.kind === 'record' ? asked.text : '{}');
  client.record(JSON.stringify({ type: 3, invocationId, ...reply }));
}

describe('Streams and client results', () => {
  it('35: a stream ends without a result; the wrong kind of call says so, both ways; a live id is refused', async () => {
    const waiting = stream([], async function* (context) {
      await new Promise<void>((resolve) => context.signal.addEventListener('abort', () => resolve()));
      yield* [];
    });
    const client = await (await serve({ methods: { ...methods, Waiting: waiting } })).open();
    client.record(start('1', 'Count', 2));
    await client.seeRecord(ended('1'));
    expect(recordsOf(client).slice(-3)).toEqual([item('1', 0), item('1', 1), ended('1')]);
    client.record(start('2', 'Echo', 'x'));
    expect(await completion(client, '2')).toEqual({
      error: "The client attempted to invoke the non-streaming 'Echo' method with a streaming invocation.",
    });
    expect(await invoke(client, '3', 'Count', 1)).toEqual({
      error: "The client attempted to invoke the streaming 'Count' method with a non-streaming invocation.",
    });
    client.record(start('4', 'Waiting'));
    client.record(start('4', 'Waiting'));
    expect(await completion(client, '4')).toEqual({ error: "Invocation ID '4' is already in use." });
  });

  it('36: a cancelled stream ends without an error and frees its source, as the end of the connection does', async () => {
    const freed: string[] = [];
    const endless = stream([param.string], async function* ({ signal }, name) {
      try {
        yield 'first';
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      } finally {
        freed.push(String(name));
      }
    });
    const failing = stream([], function* () {
      yield 1;
      throw new TypeError('a secret');
    });
    const served = await serve({ methods: { Endless: endless, Failing: failing } });
    const client = await served.open();
    client.record(start('a', 'Endless', 'a'));
    client.record(start('b', 'Endless', 'b'));
    await client.seeRecord(item('b', 'first'));
    client.record(stop('a'));
    await client.seeRecord(ended('a'));
    expect(freed).toEqual(['a']);
    client.record(start('f', 'Failing'));
    expect(await completion(client, 'f')).toEqual({
      error: 'An error occurred on the server while streaming results.',
    });
    client.raw.destroy();
    while (freed.length < 2 || served.signalr.streams > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it('37: an upload reaches its method item by item, with its end, its error or that of its connection', async () => {
    const seen: unknown[] = [];
    const watch = method([param.stream(param.int)], async (_context, numbers) => {
      try {
        for await (const number of numbers) seen.push(number);
        seen.push('end');
      } catch (error) {
        seen.push(error instanceof Error ? `${error.name}: ${error.message}` : error);
      }
    });
    const client = await (await serve({ methods: { ...methods, Watch: watch } })).open();
    const upload = (id: string): void =>
      client.record(`{"type":1,"invocationId":"${id}","target":"Watch","arguments":[],"streamIds":["u${id}"]}`);
    const arrived = async (...expected: unknown[]): Promise<void> => {
      while (seen.length < expected.length) await new Promise((resolve) => setImmediate(resolve));
      expect(seen.splice(0)).toEqual(expected);
    };
    upload('1');
    client.record(item('u1', 7));
    await arrived(7);
    client.record(ended('u1'));
    await arrived('end');
    upload('2');
    client.record('{"type":3,"invocationId":"u2","error":"gone"}');
    await arrived('HubException: gone');
    client.record('{"type":1,"invocationId":"3","target":"Sum","arguments":[],"streamIds":["x","y"]}');
    expect(await completion(client, '3')).toEqual({
      error:
        "An unexpected error occurred invoking 'Sum' on the server. HubException: Client sent 2 stream(s), Hub method expects 1.",
    });
    upload('4');
    client.record(item('u4', 1));
    await arrived(1);
    client.raw.destroy();
    await arrived('Error: The underlying connection was closed.');
  });

  it("38: a client's result, its error, its silence about the method and its end reach who asked", async () => {
    const served = await serve();
    const client = await served.open();
    const other = await served.open('bob');
    const [mine] = served.connections;
    const ask = () =>
      served.signalr.context.clients.client(mine?.id ?? '').invoke('Question', [], { result: param.int });
    const first = ask();
    other.record('{"type":3,"invocationId":"1","result":13}');
    await answer(client, { result: 42 });
    expect(await first).toBe(42);
    client.observed.length = 0;
    const second = ask();
    const refused = expect(second).rejects.toThrow("Client didn't provide a result.");
    await answer(client, { error: "Client didn't provide a result." });
    await refused;
    const aborted = new AbortController();
    const third = served.signalr.context.clients
      .client(mine?.id ?? '')
      .invoke('Question', [], { signal: aborted.signal });
    aborted.abort();
    await expect(third).rejects.toThrow('Invocation canceled by the server.');
    const fourth = expect(ask()).rejects.toThrow(`Connection '${mine?.id}' disconnected.`);
    client.raw.destroy();
    await fourth;
  });
});

describe('The life of a connection', () => {
  it('39: it is pinged every 15 s; after its first ping its silence for 30 s closes it, and what it says resets that', async () => {
    const { clock, open } = await serve();
    const [pinging, silent] = [await open(), await open()];
    pinging.record('{"type":6}');
    expect(await invoke(pinging, '1', 'Nothing')).toEqual({ result: null });
    await clock.advance(16_000);
    await silent.seeRecord('{"type":6}');
    expect(await invoke(pinging, '2', 'Nothing')).toEqual({ result: null });
    await clock.advance(25_000);
    expect(await invoke(pinging, '3', 'Nothing')).toEqual({ result: null });
    await clock.advance(33_000);
    await pinging.seeRecord('{"type":7,"error":"Connection closed with an error.","allowReconnect":true}');
    expect(await invoke(silent, '1', 'Nothing')).toEqual({ result: null });
  });

  it('40: a Close is answered by one; an error of onConnected closes without leave to come back; the end is told once', async () => {
    const served = await serve();
    const client = await served.open();
    client.record('{"type":7,"error":"bye"}');
    await client.seeRecord('{"type":7}');
    client.raw.destroy();
    await until(() => served.signalr.connections === 0);
    expect(served.ends).toEqual([undefined]);
    const refusing = await serve({
      onConnected: () => {
        throw new HubException('Authentication required');
      },
    });
    const refused = await refusing.open();
    await refused.seeRecord(
      '{"type":7,"error":"Connection closed with an error. HubException: Authentication required"}',
    );
    expect(refusing.ends).toEqual(['not-connected']);
    const aborting = await serve({ methods: { Abort: method([], ({ connection }) => connection.close()) } });
    const aborted = await aborting.open();
    aborted.record('{"type":1,"target":"Abort","arguments":[]}');
    await aborted.seeRecord('{"type":7}');
  });

  it('41: a server that stops allows to come back, an ordinary end does not', async () => {
    const { connections, open, signalr } = await serve();
    const [one, other] = [await open(), await open()];
    connections[0]?.close();
    await one.seeRecord('{"type":7}');
    const drained = signalr.drain();
    await other.seeRecord('{"type":7,"allowReconnect":true}');
    for (const client of [one, other]) client.raw.destroy();
    await drained;
  });

  it('42: a result that cannot be serialised, better than in the reference, fails its call and nothing else', async () => {
    const { connections, open } = await serve();
    const [client, other] = [await open(), await open()];
    expect(await invoke(client, '1', 'Unserialisable')).toEqual({
      error: "An unexpected error occurred invoking 'Unserialisable' on the server.",
    });
    expect(() => connections[0]?.send('Event', [1n])).toThrow(TypeError);
    for (const each of [client, other]) expect(await invoke(each, '2', 'Echo', 'on')).toEqual({ result: 'on' });
  });
});

describe('Groups and users', () => {
  it('43: events reach those they are for, each once; names are literal; who is gone disturbs nobody', async () => {
    const { connections, open, signalr } = await serve();
    const clients = [await open('alice'), await open('alice'), await open('bob')];
    const ids = connections.map(({ id }) => id);
    const { clients: to, groups } = signalr.context;
    for (const id of [ids[0], ids[0], ids[2], 'nobody']) await groups.add(id ?? '', 'g*');
    await groups.remove(ids[1] ?? '', 'g*');
    const reached = async (send: () => void): Promise<string> => {
      for (const client of clients) client.observed.length = 0;
      send();
      to.all.send('Last');
      await Promise.all(clients.map((client) => client.see((o) => o.kind === 'record' && o.text.includes('"Last"'))));
      return clients.map((client) => recordsOf(client).filter((text) => text.includes('"Event"')).length).join('');
    };
    const [first = '', second = '', third = ''] = ids;
    expect(await reached(() => to.all.send('Event'))).toBe('111');
    expect(await reached(() => to.allExcept([second]).send('Event'))).toBe('101');
    expect(await reached(() => to.clients([first, first, third]).send('Event'))).toBe('101');
    expect(await reached(() => to.user('alice').send('Event'))).toBe('110');
    expect(await reached(() => to.users(['alice', 'bob']).send('Event'))).toBe('111');
    expect(await reached(() => to.group('g*').send('Event'))).toBe('101');
    expect(await reached(() => to.group('g').send('Event'))).toBe('000');
    expect(await reached(() => to.groupExcept('g*', [first]).send('Event'))).toBe('001');
    clients.pop()?.raw.destroy();
    await until(() => signalr.connections === 2);
    expect(await reached(() => to.group('g*').send('Event'))).toBe('10');
  });

  it('44: a user with several connections stays reachable until the last has gone', async () => {
    const { open, signalr } = await serve();
    const [one, other] = [await open('alice'), await open('alice')];
    one.raw.destroy();
    await until(() => signalr.connections === 1);
    signalr.context.clients.user('alice').send('Event');
    await other.seeRecord('{"type":1,"target":"Event","arguments":[]}');
  });

  it('45: two servers are one: users, groups and questions reach across, an unknown connection fails', async () => {
    const backplane = new MemoryBackplane();
    const [here, there] = [await serve({}, { backplane }), await serve({}, { backplane })];
    const client = await there.open('bob');
    const id = there.connections[0]?.id ?? '';
    const { clients, groups } = here.signalr.context;
    await groups.add(id, 'g');
    await groups.add(id, 'g');
    clients.group('g').send('Event', 1);
    clients.user('bob').send('Event', 2);
    for (const n of [1, 2]) await client.seeRecord(`{"type":1,"target":"Event","arguments":[${n}]}`);
    const asked = clients.client(id).invoke('Question', []);
    await answer(client, { result: 'from there' });
    expect(await asked).toBe('from there');
    await groups.remove(id, 'g');
    await groups.remove(id, 'g');
    await expect(clients.client('nobody').invoke('Question', [])).rejects.toThrow('Connection does not exist.');
  });
});
