/** MessagePack on running connections: with the stock client over a network, and in memory where the bytes matter. */
import {
  HttpTransportType,
  HubConnectionBuilder,
  LogLevel,
  type HubConnection as StockConnection,
} from '@microsoft/signalr';
import { MessagePackHubProtocol } from '@microsoft/signalr-protocol-msgpack';
import { describe, expect, it, onTestFinished } from 'vitest';
import { HubException } from '../../../../src/bridge/signalr/hub/errors.ts';
import { type HubConnection, type HubMethod, method } from '../../../../src/bridge/signalr/hub/hub.ts';
import { sharedInvocation } from '../../../../src/bridge/signalr/hub/shared-invocation.ts';
import { messagePackProtocol } from '../../../../src/bridge/signalr/protocol/messagepack-protocol.ts';
import { param } from '../../../../src/bridge/signalr/protocol/parameters.ts';
import { host } from './hosted-server.ts';
import { type MemoryClient, MemoryHost, type TestUser } from './memory-connection.ts';

const methods: Record<string, HubMethod<TestUser>> = {
  Echo: method([param.string], (_context, text) => text),
  EchoAny: method([param.any], (_context, value) => value),
  Add: method([param.int, param.int], (_context, a, b) => a + b),
  Nothing: method([], () => undefined),
  Refuse: method([], () => {
    throw new HubException('not today');
  }),
  Unwritable: method([], () => ({ bad: Symbol('x') })),
};

describe('the stock client with MessagePack', () => {
  function client(port: number, isMessagePack = true): StockConnection {
    const builder = new HubConnectionBuilder()
      .withUrl(`http://127.0.0.1:${port}/hub`, {
        accessTokenFactory: () => 'alice',
        transport: HttpTransportType.WebSockets,
      })
      .configureLogging(LogLevel.None);
    const connection = (isMessagePack ? builder.withHubProtocol(new MessagePackHubProtocol()) : builder).build();
    onTestFinished(() => connection.stop());
    return connection;
  }

  it('calls methods and gets their results and errors', async () => {
    const { port } = await host({ methods });
    const connection = client(port);
    await connection.start();
    expect(await connection.invoke('echo', 'grüße 😀')).toBe('grüße 😀');
    expect(await connection.invoke('Echo', 'x'.repeat(20_000))).toBe('x'.repeat(20_000));
    expect(await connection.invoke('Add', 2, 40)).toBe(42);
    expect(await connection.invoke('Nothing')).toBeNull();
    await expect(connection.invoke('Add', 'x', 1)).rejects.toThrow(
      "Failed to invoke 'Add' due to an error on the server.",
    );
    await expect(connection.invoke('Refuse')).rejects.toThrow('HubException: not today');
    await expect(connection.invoke('None')).rejects.toThrow('HubException: Method does not exist.');
    await expect(connection.invoke('Unwritable')).rejects.toThrow(
      "An unexpected error occurred invoking 'Unwritable' on the server.",
    );
    expect(await connection.invoke('Echo', 'still here')).toBe('still here');
  });

  it('gets back bytes, dates and whole objects', async () => {
    const { port } = await host({ methods });
    const connection = client(port);
    await connection.start();
    const value = {
      String: 'hello world',
      IntArray: [1, 2, 3, -(2 ** 40)],
      ByteArray: new Uint8Array([1, 2, 3]),
      DateTime: new Date('2000-01-01T00:00:00Z'),
      Nested: { none: null, half: 0.5 },
    };
    expect(await connection.invoke('EchoAny', value)).toEqual(value);
  });

  it('hears an event that another hears in JSON, encoded once for each protocol', async () => {
    const connections: HubConnection<TestUser>[] = [];
    const { port } = await host({
      methods,
      options: { memberNaming: 'camelCase' },
      onConnected: (connection) => void connections.push(connection),
    });
    const heard: Promise<unknown>[] = [true, true, false, false].map((isMessagePack) => {
      const connection = client(port, isMessagePack);
      return new Promise((resolve, reject) => {
        connection.on('Event', (...args) => resolve(args));
        connection.start().then(() => connection.invoke('Nothing'), reject);
      });
    });
    await expect.poll(() => connections.length).toBe(4);
    let reads = 0;
    const value = {
      get At() {
        reads += 1;
        return new Date('2000-01-01T00:00:00Z');
      },
      Bytes: Buffer.from([1, 2, 3]),
    };
    const event = sharedInvocation('Event', ['x', value]);
    for (const connection of connections) connection.sendShared(event);
    const packed = ['x', { at: new Date('2000-01-01T00:00:00Z'), bytes: new Uint8Array([1, 2, 3]) }];
    const text = ['x', { at: '2000-01-01T00:00:00Z', bytes: 'AQID' }];
    expect(await Promise.all(heard)).toEqual([packed, packed, text, text]);
    expect(reads).toBe(2);
  });

  it('is refused where the hub offers only JSON', async () => {
    const { port } = await host({ methods, options: { protocols: ['json'] } });
    await expect(client(port).start()).rejects.toThrow("The protocol 'messagepack' is not supported.");
  });
});

describe('a connection that speaks MessagePack', () => {
  const closedText = 'Connection closed with an error.';

  async function open(given: MemoryHost, protocol = 'messagepack'): Promise<MemoryClient> {
    const client = given.connect();
    client.send(JSON.stringify({ protocol, version: 1 }));
    await client.settle();
    return client;
  }

  function written(client: MemoryClient): Buffer {
    return Buffer.concat(client.transport.batches.splice(0).flatMap(({ chunks }) => chunks as Buffer[]));
  }

  const echo = (text: string): Buffer => messagePackProtocol.writeInvocation('Echo', [text], '1') as Buffer;
  const answer = (text: string): Buffer => messagePackProtocol.writeResult('1', text) as Buffer;

  it.each(['messagepack', 'MessagePack'])('is answered in bytes after it has asked for %s', async (name) => {
    const client = await open(new MemoryHost({ methods }), name);
    expect(client.transport.batches[0]?.content).toEqual(Buffer.from('{}\u001e'));
  });

  it('is refused on a transport that carries only text', async () => {
    const client = new MemoryHost({ methods }).connect();
    client.transport.isBinary = false;
    client.send('{"protocol":"messagepack","version":1}');
    expect(await client.taken()).toEqual([
      JSON.stringify({
        error:
          "Cannot use the 'messagepack' protocol on the current transport. The transport does not support 'Binary' transfer format.",
      }),
    ]);
    expect(client.transport.isClosed).toBe(true);
  });

  it('may begin with a call in the same chunk, and cut records anywhere', async () => {
    const client = new MemoryHost({ methods }).connect();
    const calls = Buffer.concat([
      Buffer.from('{"protocol":"messagepack","version":1}\u001e'),
      echo('one'),
      echo('x'.repeat(200)),
      messagePackProtocol.ping as Buffer,
      echo('three'),
    ]);
    for (const byte of calls) client.connection.onData(Buffer.from([byte]));
    await client.settle();
    expect(written(client)).toEqual(
      Buffer.concat([Buffer.from('{}\u001e'), answer('one'), answer('x'.repeat(200)), answer('three')]),
    );
  });

  it('is closed for a record over the limit as soon as its length is there', async () => {
    const given = new MemoryHost({
      methods,
      options: { maximumReceiveMessageBytes: 1_000, enableDetailedErrors: true },
    });
    const fitting = await open(given);
    // 1,000 bytes with the two of their length.
    const largest = echo('x'.repeat(1_000 - 17));
    expect(largest).toHaveLength(1_000);
    fitting.connection.onData(largest);
    await fitting.settle();
    expect(written(fitting).includes('xxx')).toBe(true);
    expect(given.disconnections).toEqual([]);

    const larger = await open(given);
    written(larger);
    larger.connection.onData(Buffer.from([0xe7, 0x07]));
    await larger.settle();
    const reason = 'The maximum message size of 1000B was exceeded.';
    expect(written(larger)).toEqual(
      messagePackProtocol.writeClose({ error: `${closedText} InvalidDataException: ${reason}`, allowReconnect: true }),
    );
    expect(given.disconnections).toMatchObject([{ error: { failure: 'invalid-record', message: reason } }]);
  });

  it('is closed for a length that is none', async () => {
    const given = new MemoryHost({ methods });
    const client = await open(given);
    written(client);
    client.connection.onData(Buffer.from('ffffffffffff', 'hex'));
    client.connection.onData(echo('late'));
    await client.settle();
    expect(written(client)).toEqual(messagePackProtocol.writeClose({ error: closedText, allowReconnect: true }));
    expect(given.disconnections).toMatchObject([{ error: { failure: 'invalid-record' } }]);
  });

  it('takes many records of more than the limit together', async () => {
    const client = await open(new MemoryHost({ methods, options: { maximumReceiveMessageBytes: 256 } }));
    written(client);
    client.connection.onData(Buffer.concat(Array.from({ length: 50 }, () => echo('small'))));
    await client.settle();
    expect(written(client)).toEqual(Buffer.concat(Array.from({ length: 50 }, () => answer('small'))));
  });
});
