/** The checklist of the reference's behaviours, 20 to 34: handshake and invocation. */
import { describe, expect, it } from 'vitest';
import { method } from '../../../../../src/bridge/signalr/hub/hub.ts';
import { sharedInvocation } from '../../../../../src/bridge/signalr/hub/shared-invocation.ts';
import { param } from '../../../../../src/bridge/signalr/protocol/parameters.ts';
import type { Client } from '../hosted-server.ts';
import { completion, handshake, invoke, methods, polled, recordsOf, serve } from './serve.ts';

const failed = (name: string, detail = ''): string =>
  `Failed to invoke '${name}' due to an error on the server.${detail === '' ? '' : ` ${detail}`}`;
const threw = (name: string, detail = ''): string =>
  `An unexpected error occurred invoking '${name}' on the server.${detail === '' ? '' : ` ${detail}`}`;
const closed = (detail = ''): string =>
  `{"type":7,"error":"Connection closed with an error.${detail}","allowReconnect":true}`;
const hasClosed = (client: Client) => client.see(({ kind }) => kind === 'close-frame');

describe('The handshake', () => {
  it('20: may come in parts, in a binary frame, with extra members, and with a call behind it', async () => {
    const { upgraded } = await serve();
    const parts = await upgraded();
    parts.raw.frame(1, Buffer.from(handshake.slice(0, 10)));
    parts.raw.frame(2, Buffer.from(handshake.slice(10)));
    await parts.seeRecord('{}');
    const extra = await upgraded();
    extra.record(
      '{"extra":[1],"version":1,"protocol":"JSON"}\u001e{"type":1,"invocationId":"1","target":"Echo","arguments":["a"]}',
    );
    expect(await completion(extra, '1')).toEqual({ result: 'a' });
  });

  it.each([
    ['{"protocol":"Custom","version":1}', "The protocol 'Custom' is not supported."],
    ['{"protocol":"json","version":9001}', "The server does not support version 9001 of the 'json' protocol."],
    ['{"protocol":"json"}', 'An unexpected error occurred during connection handshake.'],
  ])('21: that is wrong (%s) is answered with its error, and the WebSocket closed with 1000', async (record, error) => {
    const { upgraded } = await serve();
    const client = await upgraded();
    client.record(record);
    await client.seeRecord(JSON.stringify({ error }));
    expect(await hasClosed(client)).toMatchObject({ code: 1000 });
  });

  it('21: that lacks a member says so with detailed errors; versions 0 to 2 pass', async () => {
    const detailed = await serve({ options: { enableDetailedErrors: true } });
    const client = await detailed.upgraded();
    client.record('{"protocol":"json"}');
    const seen = await client.see(({ kind }) => kind === 'record');
    expect(seen).toHaveProperty(
      'text',
      expect.stringContaining("InvalidDataException: Missing required property 'version'."),
    );
    for (const version of [0, 1, 2]) await detailed.open('alice', version);
  });

  it('22: is canceled when it does not come within 15 s or is too large; MessagePack needs a transport for bytes', async () => {
    const { ask, clock, negotiate, upgraded } = await serve();
    const silent = await upgraded();
    await clock.advance(16_000);
    await silent.seeRecord('{"error":"Handshake was canceled."}');
    const large = await upgraded();
    large.raw.frame(1, Buffer.alloc(33_000, 'x'));
    await large.seeRecord('{"error":"Handshake was canceled."}');
    const { connectionToken } = await negotiate();
    const stream = ask('GET', `/hub?id=${connectionToken}`, { headers: { accept: 'text/event-stream' } });
    while ((await ask('POST', `/hub?id=${connectionToken}`, { body: '' })).status !== 200);
    await ask('POST', `/hub?id=${connectionToken}`, { body: '{"protocol":"messagepack","version":1}\u001e' });
    expect((await stream).body).toContain(
      `data: ${JSON.stringify({
        error:
          "Cannot use the 'messagepack' protocol on the current transport. The transport does not support 'Binary' transfer format.",
      })}`,
    );
  });

  it('23: of a client that leaves before it leaves the hub untold', async () => {
    const served = await serve();
    const client = await served.upgraded();
    client.raw.destroy();
    while (served.signalr.connections > 0) await new Promise((resolve) => setImmediate(resolve));
    expect([served.connections, served.ends]).toEqual([[], []]);
  });
});

describe('An invocation', () => {
  it('24: matches its method in any case, its members in any order; records and frames need not coincide', async () => {
    const client = await (await serve()).open();
    client.record('{"arguments":["\\u0061"],"unknown":{},"target":"eCHO","invocationId":"1","type":1}');
    expect(await completion(client, '1')).toEqual({ result: 'a' });
    const other = await (await serve()).open();
    other.raw.frame(1, Buffer.from('{"type":1,"invocationId":"1","tar'));
    other.raw.frame(1, Buffer.from('get":"Echo","arguments":["b"]}\u001e'));
    expect(await completion(other, '1')).toEqual({ result: 'b' });
  });

  it('25: of a method that is none, whatever else bears the name, says so and no more', async () => {
    const client = await (await serve()).open();
    for (const name of ['Nope', 'onDisconnected', 'toString', 'constructor', '__proto__', 'hasOwnProperty']) {
      const error = failed(name, 'HubException: Method does not exist.');
      expect(await invoke(client, name, name)).toEqual({ error });
    }
  });

  it('26: with the wrong number or kind of arguments fails, with details where they are on; nothing is coerced, null is a string', async () => {
    const client = await (await serve()).open();
    expect(await invoke(client, '1', 'Echo')).toEqual({ error: failed('Echo') });
    expect(await invoke(client, '2', 'Add', '1', 2)).toEqual({ error: failed('Add') });
    expect(await invoke(client, '3', 'Echo', 1)).toEqual({ error: failed('Echo') });
    expect(await invoke(client, '4', 'Echo', null)).toEqual({ result: null });
    const detailed = await (await serve({ options: { enableDetailedErrors: true } })).open();
    const count = 'InvalidDataException: Invocation provides 0 argument(s) but target expects 1.';
    expect(await invoke(detailed, '1', 'Echo')).toEqual({ error: failed('Echo', count) });
    expect(await invoke(detailed, '2', 'Echo', 1)).toEqual({
      error: expect.stringContaining('InvalidDataException: Error binding arguments.'),
    });
  });

  it('27: whose method throws says that it did; what a HubException says is shown, anything else only in detail', async () => {
    const client = await (await serve()).open();
    expect(await invoke(client, '1', 'Throw')).toEqual({ error: threw('Throw') });
    expect(await invoke(client, '2', 'Refuse')).toEqual({ error: threw('Refuse', 'HubException: not today') });
    const detailed = await (await serve({ options: { enableDetailedErrors: true } })).open();
    expect(await invoke(detailed, '1', 'Throw')).toEqual({ error: threw('Throw', 'TypeError: a secret') });
  });

  it('28: without an id is never answered; a method without a result answers null; an id may come again', async () => {
    const client = await (await serve()).open();
    client.record('{"type":1,"target":"Nope","arguments":[]}');
    client.record('{"type":1,"target":"Throw","arguments":[]}');
    expect(await invoke(client, 'same', 'Nothing')).toEqual({ result: null });
    client.observed.length = 0;
    expect(await invoke(client, 'same', 'Echo', 'again')).toEqual({ result: 'again' });
    expect(recordsOf(client)).toHaveLength(1);
  });

  it.each([1, 2])(
    '29: runs beside %i of its connection at most, as the option says, and in order',
    async (parallel) => {
      const running = new Set<string>();
      let most = 0;
      const finish: (() => void)[] = [];
      const slow = method([param.string], async (_context, name) => {
        running.add(String(name));
        most = Math.max(most, running.size);
        await new Promise<void>((resolve) => finish.push(resolve));
        running.delete(String(name));
        return name;
      });
      const served = await serve({
        methods: { ...methods, Slow: slow },
        options: { maximumParallelInvocations: parallel },
      });
      const client = await served.open();
      const names = ['a', 'b', 'c'];
      for (const name of names)
        client.record(`{"type":1,"invocationId":"${name}","target":"Slow","arguments":["${name}"]}`);
      for (const name of names) {
        while (finish.length === 0) await new Promise((resolve) => setImmediate(resolve));
        finish.shift()?.();
        expect(await completion(client, name)).toEqual({ result: name });
      }
      expect(most).toBe(parallel);
    },
  );

  it('30: is answered in frames of the kind of its protocol; one event reaches connections of both', async () => {
    const served = await serve();
    const text = await served.open();
    const binary = await served.upgraded();
    binary.record('{"protocol":"messagepack","version":1}');
    await binary.see((observed) => observed.kind === 'record' && observed.opcode === 2);
    const event = sharedInvocation('Event', ['to both']);
    for (const connection of served.connections) connection.sendShared(event);
    await text.see(
      (observed) => observed.kind === 'record' && observed.opcode === 1 && observed.text.includes('to both'),
    );
    await binary.see(
      (observed) => observed.kind === 'record' && observed.opcode === 2 && observed.text.includes('to both'),
    );
  });

  it.each([
    '{}',
    '{"type":"1"}',
    '{"type":1,"arguments":[]}',
    '{"type":1,"target":"Echo"}',
    '{"type":1,"target":"Echo","arguments":{}}',
    '{"type":1,"invocationId":1,"target":"Echo","arguments":[]}',
    '[]',
    '',
    '{bad',
  ])('31: that is no record (%s) closes its connection, and the hub is told why', async (record) => {
    const served = await serve();
    const client = await served.open();
    client.record(record);
    await client.seeRecord(closed());
    expect(await hasClosed(client)).toMatchObject({ code: 1000 });
    expect(served.ends).toEqual(['invalid-record']);
  });

  it('32: over 32 KiB closes its connection and, better than the reference, says the limit; many small ones pass', async () => {
    const client = await (await serve()).open();
    const one = '{"type":1,"target":"Echo","arguments":["x"]}\u001e';
    client.raw.frame(1, Buffer.from(one.repeat(2_000)));
    expect(await invoke(client, '1', 'Echo', 'passed')).toEqual({ result: 'passed' });
    client.raw.frame(1, Buffer.from(`{"type":1,"target":"Echo","arguments":["${'x'.repeat(33_000)}`));
    await client.seeRecord(closed(' InvalidDataException: The maximum message size of 32768B was exceeded.'));
    const small = await (await serve({ options: { maximumReceiveMessageBytes: 300 } })).open();
    small.record(`{"type":1,"target":"Echo","arguments":["${'x'.repeat(300)}"]}`);
    await small.seeRecord(closed(' InvalidDataException: The maximum message size of 300B was exceeded.'));
  });

  it('33: of an unknown type is ignored, and, better than the reference, what follows is served', async () => {
    const client = await (await serve()).open();
    client.record('{"type":99,"anything":true}');
    expect(await invoke(client, '1', 'Echo', 'served')).toEqual({ result: 'served' });
  });

  it('34: that answers or steers what does not exist is ignored', async () => {
    const served = await serve();
    const client = await served.open();
    for (const record of [
      '{"type":8,"sequenceId":5}',
      '{"type":9,"sequenceId":5}',
      '{"type":3,"invocationId":"nobody","result":1}',
      '{"type":2,"invocationId":"nobody","item":1}',
      '{"type":5,"invocationId":"nobody"}',
    ]) {
      client.record(record);
    }
    expect(await invoke(client, '1', 'Echo', 'served')).toEqual({ result: 'served' });
    const { post, poll } = await polled(served);
    await post(
      '{"type":5,"invocationId":"nobody"}\u001e{"type":1,"invocationId":"1","target":"Nothing","arguments":[]}\u001e',
    );
    expect((await poll()).body).toBe('{"type":3,"invocationId":"1","result":null}\u001e');
  });
});
