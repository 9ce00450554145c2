import { describe, expect, it } from 'vitest';
import { HubException } from '../../../../src/bridge/signalr/hub/errors.ts';
import { type HubMethod, method } from '../../../../src/bridge/signalr/hub/hub.ts';
import { sharedInvocation } from '../../../../src/bridge/signalr/hub/shared-invocation.ts';
import { param } from '../../../../src/bridge/signalr/protocol/parameters.ts';
import { MemoryHost, type TestUser } from './memory-connection.ts';

const CLOSED_WITH_ERROR = '{"type":7,"error":"Connection closed with an error.","allowReconnect":true}';

function gate(): { promise: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { promise, open: resolve };
}

const methods: Record<string, HubMethod<TestUser>> = {
  Echo: method([param.string], (_context, text) => text),
  Later: method([param.string], async (_context, text) => text),
  Unserialisable: method([], () => ({ big: 1n })),
  Fails: method([], () => {
    throw new Error('secret');
  }),
  Explains: method([], async () => {
    throw new HubException('because');
  }),
};

describe('the calls of a connection', () => {
  it('run one at a time in the order of their arrival', async () => {
    const first = gate();
    const started: string[] = [];
    const slow = method<TestUser, [typeof param.string]>([param.string], async (_context, name) => {
      started.push(name ?? '');
      if (name === 'first') await first.promise;
      return name;
    });
    const client = await new MemoryHost({ methods: { Slow: slow } }).open();
    client.invoke('1', 'Slow', 'first');
    client.invoke('2', 'Slow', 'second');
    expect(await client.taken()).toEqual([]);
    expect(started).toEqual(['first']);
    first.open();
    expect(await client.taken()).toEqual([
      '{"type":3,"invocationId":"1","result":"first"}',
      '{"type":3,"invocationId":"2","result":"second"}',
    ]);
  });

  it('are answered in one batch when they come in one chunk', async () => {
    const client = await new MemoryHost({ methods }).open();
    client.send(
      '{"type":1,"invocationId":"1","target":"Echo","arguments":["a"]}',
      '{"type":6}',
      '{"type":1,"invocationId":"2","target":"echo","arguments":["b"]}',
    );
    await client.settle();
    expect(client.transport.batches).toHaveLength(1);
    expect(client.transport.records).toHaveLength(2);
  });

  it('wait for onConnected', async () => {
    const connected = gate();
    const client = await new MemoryHost({ methods, onConnected: () => connected.promise }).open();
    client.invoke('1', 'Echo', 'a');
    expect(await client.taken()).toEqual([]);
    connected.open();
    expect(await client.taken()).toEqual(['{"type":3,"invocationId":"1","result":"a"}']);
  });

  it('get no answer without an invocation id, however they end', async () => {
    const host = new MemoryHost({ methods });
    const client = await host.open();
    for (const target of ['Fails', 'Explains', 'Nothing', 'Unserialisable']) client.invoke(undefined, target);
    client.invoke(undefined, 'Echo', 'a', 'too many');
    client.invoke('1', 'Later', 'last');
    expect(await client.taken()).toEqual(['{"type":3,"invocationId":"1","result":"last"}']);
    expect(host.reported.map(({ method: name }) => name)).toEqual(['Fails', 'Explains']);
  });

  it('show a HubException and hide any other error', async () => {
    const client = await new MemoryHost({ methods }).open();
    client.invoke('1', 'fails');
    client.invoke('2', 'explains');
    expect(await client.taken()).toEqual([
      '{"type":3,"invocationId":"1","error":"An unexpected error occurred invoking \'Fails\' on the server."}',
      '{"type":3,"invocationId":"2","error":"An unexpected error occurred invoking \'Explains\' on the server. HubException: because"}',
    ]);
  });

  it('show every error with detailed errors on', async () => {
    const client = await new MemoryHost({ methods, options: { enableDetailedErrors: true } }).open();
    client.invoke('1', 'Fails');
    client.invoke('2', 'Echo');
    client.send('{bad');
    expect(await client.taken()).toEqual([
      '{"type":3,"invocationId":"1","error":"An unexpected error occurred invoking \'Fails\' on the server. Error: secret"}',
      '{"type":3,"invocationId":"2","error":"Failed to invoke \'Echo\' due to an error on the server. InvalidDataException: Invocation provides 0 argument(s) but target expects 1."}',
      '{"type":7,"error":"Connection closed with an error. InvalidDataException: Error reading JSON.","allowReconnect":true}',
    ]);
  });

  it('fail alone when their result cannot be serialised', async () => {
    const host = new MemoryHost({ methods });
    const client = await host.open();
    client.invoke('1', 'Unserialisable');
    client.invoke('2', 'Echo', 'still here');
    expect(await client.taken()).toEqual([
      '{"type":3,"invocationId":"1","error":"An unexpected error occurred invoking \'Unserialisable\' on the server."}',
      '{"type":3,"invocationId":"2","result":"still here"}',
    ]);
    expect(host.reported).toMatchObject([{ method: 'Unserialisable', error: expect.any(TypeError) }]);
  });

  it('fail alone when what they answer only looks like a promise', async () => {
    const lookalike = (then: () => void) => method<TestUser, []>([], () => ({ then }));
    const host = new MemoryHost({
      methods: {
        ...methods,
        Throws: lookalike(() => {
          throw new HubException('as planned');
        }),
        Twice: lookalike((resolve: (value: unknown) => void = () => undefined) => {
          resolve('once');
          resolve('twice');
        }),
      },
    });
    const client = await host.open();
    client.invoke('1', 'Throws');
    client.invoke('2', 'Twice');
    client.invoke('3', 'Echo', 'still here');
    expect(await client.taken()).toEqual([
      `{"type":3,"invocationId":"1","error":"An unexpected error occurred invoking 'Throws' on the server. HubException: as planned"}`,
      '{"type":3,"invocationId":"2","result":"once"}',
      '{"type":3,"invocationId":"3","result":"still here"}',
    ]);
  });

  it('get the words for a stream of a method that is none', async () => {
    const client = await new MemoryHost({ methods }).open();
    client.send('{"type":4,"invocationId":"1","target":"echo","arguments":["a"]}');
    client.send('{"type":1,"invocationId":"2","target":"Echo","arguments":["a"],"streamIds":["s"]}');
    expect(await client.taken()).toEqual([
      '{"type":3,"invocationId":"1","error":"The client attempted to invoke the non-streaming \'Echo\' method with a streaming invocation."}',
      '{"type":3,"invocationId":"2","error":"An unexpected error occurred invoking \'Echo\' on the server. HubException: Client sent 1 stream(s), Hub method expects 0."}',
    ]);
  });

  it('stop the reading while too many wait, and none is lost', async () => {
    const first = gate();
    const slow = method<TestUser, [typeof param.int]>([param.int], async (_context, n) => {
      if (n === 0) await first.promise;
      return n;
    });
    const client = await new MemoryHost({ methods: { Slow: slow }, options: { maximumWaitingInvocations: 3 } }).open();
    const calls = Array.from(
      { length: 10 },
      (_, n) => `{"type":1,"invocationId":"${n}","target":"Slow","arguments":[${n}]}`,
    );
    client.send(...calls);
    await client.settle();
    expect(client.transport.isPaused).toBe(true);
    first.open();
    await client.settle();
    const records = await client.taken();
    expect(records.map((record) => (JSON.parse(record) as { result: number }).result)).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
    ]);
    expect(client.transport.isPaused).toBe(false);
  });

  it('are dropped when the connection ends before their turn', async () => {
    const first = gate();
    const ran: string[] = [];
    const slow = method<TestUser, [typeof param.string]>([param.string], async (_context, name) => {
      ran.push(name ?? '');
      await first.promise;
    });
    const client = await new MemoryHost({ methods: { Slow: slow } }).open();
    client.invoke('1', 'Slow', 'first');
    client.invoke('2', 'Slow', 'second');
    client.connection.onClosed('lost', true);
    first.open();
    expect(await client.taken()).toEqual([]);
    expect(ran).toEqual(['first']);
  });
});

describe('the handshake', () => {
  it('may come in pieces and together with the first call', async () => {
    const client = new MemoryHost({ methods }).connect();
    const bytes = Buffer.from(
      '{"protocol":"json","version":1}\u001e{"type":1,"invocationId":"1","target":"Echo","arguments":["é"]}\u001e',
    );
    for (const byte of bytes) client.connection.onData(Buffer.from([byte]));
    expect(await client.taken()).toEqual(['{}', '{"type":3,"invocationId":"1","result":"é"}']);
  });

  it('that fails runs neither onConnected nor onDisconnected', async () => {
    const host = new MemoryHost({ onConnected: () => expect.unreachable() });
    const client = host.connect();
    client.send('{"protocol":"carrier-pigeon","version":1}');
    expect(await client.taken()).toEqual(['{"error":"The protocol \'carrier-pigeon\' is not supported."}']);
    expect(client.transport.isClosed).toBe(true);
    client.connection.onClosed('orderly', true);
    expect(host.disconnections).toEqual([]);
    expect(host.gone).toEqual(['c1']);
  });

  it('is canceled when it is late', async () => {
    const client = new MemoryHost().connect();
    client.connection.sweep(14_999);
    expect(await client.taken()).toEqual([]);
    client.connection.sweep(15_000);
    expect(await client.taken()).toEqual(['{"error":"Handshake was canceled."}']);
  });

  it('is canceled as soon as it is too large', async () => {
    const client = new MemoryHost({ options: { maximumReceiveMessageBytes: 300 } }).connect();
    client.connection.onData(Buffer.alloc(300, 'x'));
    expect(await client.taken()).toEqual(['{"error":"Handshake was canceled."}']);
  });
});

describe('the end of a connection', () => {
  it('is told to the hub once, without an error when the client says goodbye', async () => {
    const host = new MemoryHost({ methods });
    const client = await host.open();
    client.send('{"type":7}', '{"type":1,"invocationId":"1","target":"Echo","arguments":["too late"]}');
    expect(await client.taken()).toEqual(['{"type":7}']);
    client.connection.onClosed('orderly', false);
    client.connection.onClosed('lost', true);
    expect(host.disconnections).toEqual([{ id: 'c1', error: undefined }]);
    expect(host.gone).toEqual(['c1']);
  });

  it.each(['orderly', 'unexplained', 'lost', 'violation'] as const)(
    'is a goodbye of the client only if it says so: %s',
    async (reason) => {
      const client = await new MemoryHost().open();
      expect(client.asHubSeesIt.hasSaidGoodbye).toBe(false);
      client.connection.onClosed(reason, false);
      client.connection.onClosed('lost', true);
      expect(client.asHubSeesIt.hasSaidGoodbye).toBe(reason === 'orderly');
    },
  );

  it('is a goodbye of the client when it sends a Close record, and none when the server began', async () => {
    const host = new MemoryHost();
    const leaving = await host.open();
    leaving.send('{"type":7}');
    expect(leaving.asHubSeesIt.hasSaidGoodbye).toBe(true);
    const sentAway = await host.open();
    sentAway.connection.close({ allowReconnect: true });
    sentAway.send('{"type":7}');
    sentAway.connection.onClosed('orderly', false);
    expect(sentAway.asHubSeesIt.hasSaidGoodbye).toBe(false);
    // Neither an error nor a goodbye: whoever asks must look at both.
    expect(host.disconnections.map(({ error }) => error)).toEqual([undefined, undefined]);
  });

  it.each([
    ['lost', 'connection-lost'],
    ['violation', 'protocol-violation'],
  ] as const)('carries its reason when the transport ends: %s', async (reason, failure) => {
    const host = new MemoryHost();
    const client = await host.open();
    client.connection.onClosed(reason, true);
    expect(host.disconnections).toMatchObject([{ error: { failure } }]);
  });

  it('by a broken record says so, closes, and is told with the error', async () => {
    const host = new MemoryHost({ methods });
    const client = await host.open();
    client.send('{bad');
    expect(await client.taken()).toEqual([CLOSED_WITH_ERROR]);
    expect(client.transport.isClosed).toBe(true);
    expect(host.disconnections).toMatchObject([{ error: { failure: 'invalid-record' } }]);
  });

  it('comes after a long silence of a client that never pings, if the hub wants so', async () => {
    const host = new MemoryHost({ methods, options: { timesOutSilentClients: true } });
    const [silent, speaking] = [await host.open(), await host.open()];
    const sweep = (): void => {
      for (const { connection } of [silent, speaking]) connection.sweep(Math.floor(host.clock.monotonicMs()));
    };
    for (let second = 0; second < 31; second += 1) {
      await host.clock.advance(1_000);
      speaking.invoke(undefined, 'Echo', 'still here');
      sweep();
    }
    await silent.settle();
    expect(silent.connection.isOpen).toBe(false);
    expect(speaking.connection.isOpen).toBe(true);
  });

  it('comes after a record over the limit, also when it never ends', async () => {
    const host = new MemoryHost({ methods, options: { maximumReceiveMessageBytes: 300 } });
    const client = await host.open();
    const record = (size: number): string => {
      const head = '{"type":1,"invocationId":"1","target":"Echo","arguments":["';
      return `${head}${'x'.repeat(size - head.length - 4)}"]}`;
    };
    client.send(record(300));
    expect(await client.taken()).toHaveLength(1);
    const other = await host.open();
    other.connection.onData(Buffer.alloc(200, 'x'));
    other.connection.onData(Buffer.alloc(100, 'x'));
    const limit = 'InvalidDataException: The maximum message size of 300B was exceeded.';
    expect(await other.taken()).toEqual([CLOSED_WITH_ERROR.replace('with an error.', `$& ${limit}`)]);
  });

  it('follows an error of onConnected, without leave to reconnect, and onDisconnected still runs', async () => {
    const host = new MemoryHost({
      onConnected: async () => {
        throw new HubException('Authentication required');
      },
    });
    const client = host.connect();
    client.send('{"protocol":"json","version":1}');
    expect(await client.taken()).toEqual([
      '{}',
      '{"type":7,"error":"Connection closed with an error. HubException: Authentication required"}',
    ]);
    expect(host.disconnections).toMatchObject([{ error: { failure: 'not-connected' } }]);
  });

  it('is told only after onConnected has settled', async () => {
    const connected = gate();
    const host = new MemoryHost({ onConnected: () => connected.promise });
    const client = await host.open();
    client.connection.onClosed('lost', true);
    await client.settle();
    expect(host.disconnections).toEqual([]);
    connected.open();
    await client.settle();
    expect(host.disconnections).toHaveLength(1);
  });

  it('is not disturbed by an error of onDisconnected', async () => {
    const host = new MemoryHost({
      onDisconnected: async () => {
        throw new Error('no');
      },
    });
    const client = await host.open();
    client.connection.onClosed('lost', true);
    await client.settle();
    expect(host.reported).toMatchObject([{ method: 'onDisconnected' }]);
  });

  it('waits for running calls when the server drains, then allows to reconnect', async () => {
    const first = gate();
    const slow = method<TestUser, []>([], () => first.promise);
    const client = await new MemoryHost({ methods: { Slow: slow } }).open();
    client.invoke('1', 'Slow');
    client.connection.closeWhenIdle({ allowReconnect: true });
    expect(await client.taken()).toEqual([]);
    first.open();
    expect(await client.taken()).toEqual([
      '{"type":3,"invocationId":"1","result":null}',
      '{"type":7,"allowReconnect":true}',
    ]);
  });

  it('does not wait for what a client goes on asking when the server drains', async () => {
    const gates: (() => void)[] = [];
    const Wait = method<TestUser, []>([], () => new Promise<void>((resolve) => void gates.push(resolve)));
    const client = await new MemoryHost({ methods: { Wait }, options: { maximumWaitingInvocations: 2 } }).open();
    for (let id = 1; id <= 5; id += 1) client.invoke(String(id), 'Wait');
    client.connection.closeWhenIdle({ allowReconnect: true });
    for (let id = 6; gates.length > 0; id += 1) {
      if (!client.transport.isPaused) client.invoke(String(id), 'Wait');
      gates.shift()?.();
      await client.settle();
    }

    // One ran, two waited; the others had not been read.
    expect(client.transport.records).toEqual([
      ...['1', '2', '3'].map((id) => `{"type":3,"invocationId":"${id}","result":null}`),
      '{"type":7,"allowReconnect":true}',
    ]);
  });

  it('is cut when the client does not answer the goodbye', async () => {
    const client = await new MemoryHost().open();
    client.connection.close();
    await client.settle();
    client.connection.sweep(4_999);
    expect(client.transport.isDestroyed).toBe(false);
    client.connection.sweep(5_000);
    expect(client.transport.isDestroyed).toBe(true);
  });

  it('makes sending do nothing', async () => {
    const client = await new MemoryHost().open();
    client.connection.close();
    expect(client.asHubSeesIt.send('Event', [])).toBe(0);
    expect(client.asHubSeesIt.sendShared(sharedInvocation('Event', []))).toBe(0);
    expect(await client.taken()).toEqual(['{"type":7}']);
  });
});

describe('the clock of a connection', () => {
  it('pings every 15 s whatever else is sent', async () => {
    const client = await new MemoryHost({ methods }).open();
    client.connection.sweep(14_999);
    client.connection.send('Event', []);
    client.connection.sweep(15_000);
    client.connection.sweep(16_000);
    expect(await client.taken()).toEqual(['{"type":1,"target":"Event","arguments":[]}', '{"type":6}']);
  });

  it('never times out a client that does not ping', async () => {
    const client = await new MemoryHost().open();
    client.connection.sweep(1_000_000);
    expect(client.transport.isClosed).toBe(false);
  });

  it('does not count the silence of a client whose call keeps the others waiting', async () => {
    const slow = gate();
    const host = new MemoryHost({ methods: { Slow: method([], () => slow.promise) } });
    const client = await host.open();
    client.send('{"type":6}');
    client.invoke('1', 'Slow');
    for (const _second of Array.from({ length: 60 })) {
      await host.clock.advance(1_000);
      client.connection.sweep(host.clock.monotonicMs());
    }
    expect(client.connection.isOpen).toBe(true);
    slow.open();
    await client.settle();
    await host.clock.advance(30_000);
    client.connection.sweep(host.clock.monotonicMs());
    expect(client.connection.isOpen).toBe(false);
  });

  it('times out a client that pinged once and fell silent, counting from the last it heard', async () => {
    const host = new MemoryHost({ methods });
    const client = await host.open();
    client.send('{"type":6}');
    client.connection.sweep(1_000);
    client.invoke(undefined, 'Echo', 'a');
    client.connection.sweep(20_000);
    client.connection.sweep(49_999);
    expect((await client.taken()).at(-1)).toBe('{"type":6}');
    client.connection.sweep(50_000);
    expect((await client.taken()).at(-1)).toBe(CLOSED_WITH_ERROR);
    expect(host.disconnections).toMatchObject([{ error: { failure: 'client-timeout' } }]);
  });
});
