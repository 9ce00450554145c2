/** Streams that methods answer, and streams that clients send, over connections of memory. */
import { describe, expect, it } from 'vitest';
import { HubException } from '../../../../src/bridge/signalr/hub/errors.ts';
import { type HubMethod, method, stream } from '../../../../src/bridge/signalr/hub/hub.ts';
import { param } from '../../../../src/bridge/signalr/protocol/parameters.ts';
import { type MemoryClient, MemoryHost, type TestUser } from './memory-connection.ts';

/** A source whose items are given by hand, and that tells how it was ended. */
function source() {
  const items: unknown[] = [];
  let wake: (() => void) | undefined;
  const log: string[] = [];
  async function* generate(signal: AbortSignal): AsyncGenerator<unknown> {
    signal.addEventListener('abort', () => {
      log.push('aborted');
      wake?.();
    });
    try {
      while (!signal.aborted) {
        if (items.length > 0) yield items.shift();
        else {
          const { promise, resolve } = Promise.withResolvers<void>();
          wake = resolve;
          await promise;
        }
      }
    } finally {
      log.push('returned');
    }
  }
  const methods: Record<string, HubMethod<TestUser>> = {
    Watch: stream([], ({ signal }) => generate(signal)),
    Echo: method([param.string], (_context, text) => text),
  };
  return {
    methods,
    log,
    give(item: unknown): void {
      items.push(item);
      wake?.();
    },
  };
}

const ended = (id: string): string => `{"type":3,"invocationId":"${id}"}`;
const open = (client: MemoryClient, id: string, target: string, ...args: unknown[]): void =>
  client.send(JSON.stringify({ type: 4, invocationId: id, target, arguments: args }));

describe('a stream that a method answers', () => {
  it('holds up no other call, and is ended by its cancellation', async () => {
    const { give, log, methods } = source();
    const client = await new MemoryHost({ methods }).open();
    open(client, 's', 'Watch');
    client.invoke('1', 'Echo', 'meanwhile');
    expect(await client.taken()).toEqual(['{"type":3,"invocationId":"1","result":"meanwhile"}']);
    give('a');
    expect(await client.taken()).toEqual(['{"type":2,"invocationId":"s","item":"a"}']);
    expect(client.connection.streams).toBe(1);
    client.send('{"type":5,"invocationId":"s"}');
    expect(await client.taken()).toEqual([ended('s')]);
    expect(log).toEqual(['aborted', 'returned']);
    expect(client.connection.streams).toBe(0);
  });

  it('is ended with its connection', async () => {
    const { log, methods } = source();
    const client = await new MemoryHost({ methods }).open();
    open(client, 's', 'Watch');
    await client.settle();
    client.connection.onClosed('lost', true);
    await client.settle();
    expect(log).toEqual(['aborted', 'returned']);
  });

  it('that waits for its turn can be cancelled, and then never begins', async () => {
    const first = Promise.withResolvers<void>();
    let began = 0;
    const methods = {
      Slow: method<TestUser, []>([], () => first.promise),
      Count: stream<TestUser, []>([], () => {
        began += 1;
        return [1];
      }),
      Echo: method<TestUser, [typeof param.string]>([param.string], (_context, text) => text),
    };
    const client = await new MemoryHost({ methods }).open();
    client.invoke('1', 'Slow');
    client.invoke('2', 'Echo', 'x');
    open(client, 's', 'Count');
    client.send('{"type":5,"invocationId":"s"}');
    expect(await client.taken()).toEqual([ended('s')]);
    first.resolve();
    await client.settle();
    expect(began).toBe(0);
  });

  it('waits while its client takes nothing', async () => {
    let given = 0;
    const methods = {
      Flood: stream<TestUser, []>([], function* () {
        for (;;) {
          given += 1;
          yield 'x'.repeat(1_000);
        }
      }),
    };
    const client = await new MemoryHost({ methods, options: { maximumOutboundBytes: 100_000 } }).open();
    client.transport.isWritable = false;
    open(client, 's', 'Flood');
    await client.settle();
    const before = given;
    await client.settle();
    expect(given).toBe(before);
    expect(given).toBeLessThan(80);
    expect(client.connection.isOpen).toBe(true);
    client.transport.isWritable = true;
    client.connection.onWritable();
    await client.settle();
    expect(given).toBeGreaterThan(before);
    client.connection.destroy();
  });

  it('fails alone for what it throws, for what is no stream, and for an item that cannot be written', async () => {
    const methods: Record<string, HubMethod<TestUser>> = {
      AtOnce: stream([], () => {
        throw new HubException('no');
      }),
      Later: stream([], async function* () {
        yield 1;
        throw new Error('secret');
      }),
      Broken: stream([], () => null as never),
      Unserialisable: stream([], () => [1n]),
      Locked: stream([], () => {
        const items = new ReadableStream<string>();
        items.getReader();
        return items;
      }),
    };
    const client = await new MemoryHost({ methods }).open();
    for (const [index, target] of Object.keys(methods).entries()) {
      open(client, String(index), target);
      await client.settle();
    }
    const streaming = 'An error occurred on the server while streaming results.';
    expect((await client.taken()).map((text) => JSON.parse(text))).toEqual([
      {
        type: 3,
        invocationId: '0',
        error: "An unexpected error occurred invoking 'AtOnce' on the server. HubException: no",
      },
      { type: 2, invocationId: '1', item: 1 },
      { type: 3, invocationId: '1', error: streaming },
      {
        type: 3,
        invocationId: '2',
        error: "The value returned by the streaming method 'Broken' is not a ChannelReader<> or IAsyncEnumerable<>.",
      },
      { type: 3, invocationId: '3', error: streaming },
      { type: 3, invocationId: '4', error: "An unexpected error occurred invoking 'Locked' on the server." },
    ]);
    expect(client.connection.streams).toBe(0);
  });

  it('is refused over the bound, also while cancelled ones still run', async () => {
    const never = new Promise<never>(() => undefined);
    const methods = {
      Stuck: stream<TestUser, []>([], async function* () {
        yield await never;
      }),
    };
    const client = await new MemoryHost({ methods, options: { maximumStreamsPerConnection: 2 } }).open();
    for (const id of ['a', 'b']) {
      open(client, id, 'Stuck');
      await client.settle();
      client.send(`{"type":5,"invocationId":"${id}"}`);
    }
    await client.taken();
    open(client, 'c', 'Stuck');
    const [answer = ''] = await client.taken();
    expect(answer).toContain('HubException: The connection has 2 streams already, the most it may have.');
  });
});

describe('a stream that a client sends', () => {
  const item = (id: string, value: unknown): string => JSON.stringify({ type: 2, invocationId: id, item: value });
  const upload = (client: MemoryClient, id: string, target: string, ...streamIds: string[]): void =>
    client.send(JSON.stringify({ type: 1, invocationId: id, target, arguments: [], streamIds }));

  /** A method that takes one item whenever it is told to. */
  function taker() {
    const got: unknown[] = [];
    const failures: string[] = [];
    let steps: AsyncIterator<unknown> | undefined;
    const finish = Promise.withResolvers<void>();
    const Take = method<TestUser, [ReturnType<typeof param.stream<number>>]>(
      [param.stream(param.int)],
      async (_context, items) => {
        steps = items[Symbol.asyncIterator]();
        await finish.promise;
        return got.length;
      },
    );
    return {
      Take,
      got,
      failures,
      finish: () => finish.resolve(),
      async take(): Promise<void> {
        try {
          got.push((await steps?.next())?.value);
        } catch (error) {
          failures.push(String(error));
        }
      },
    };
  }

  it('stops the reading of its connection while its buffer is full', async () => {
    const { take, Take, got } = taker();
    const client = await new MemoryHost({ methods: { Take }, options: { uploadBufferItems: 3 } }).open();
    upload(client, '1', 'Take', 'u');
    client.send(...[1, 2, 3, 4, 5].map((n) => item('u', n)));
    expect(client.transport.isPaused).toBe(true);
    await take();
    expect(got).toEqual([1]);
    expect(client.transport.isPaused).toBe(true);
    await take();
    expect(client.transport.isPaused).toBe(false);
    for (let n = 3; n <= 5; n += 1) await take();
    expect(got).toEqual([1, 2, 3, 4, 5]);
  });

  it('is dropped when its method ends without it, and reading goes on', async () => {
    const { finish, Take } = taker();
    const client = await new MemoryHost({ methods: { Take }, options: { uploadBufferItems: 2 } }).open();
    upload(client, '1', 'Take', 'u');
    client.send(...[1, 2, 3, 4].map((n) => item('u', n)));
    expect(client.transport.isPaused).toBe(true);
    finish();
    expect(await client.taken()).toEqual(['{"type":3,"invocationId":"1","result":0}']);
    expect(client.transport.isPaused).toBe(false);
    expect(client.connection.streams).toBe(0);
  });

  it('ends with an error when its connection ends', async () => {
    const { failures, take, Take } = taker();
    const client = await new MemoryHost({ methods: { Take } }).open();
    upload(client, '1', 'Take', 'u');
    const taking = take();
    client.connection.onClosed('lost', true);
    await taking;
    expect(failures).toEqual(['Error: The underlying connection was closed.']);
  });

  it('is refused under an id that is in use, and over the bound', async () => {
    const { Take } = taker();
    const client = await new MemoryHost({ methods: { Take }, options: { maximumStreamsPerConnection: 1 } }).open();
    upload(client, '1', 'Take', 'u');
    upload(client, '2', 'Take', 'u');
    upload(client, '3', 'Take', 'v');
    const answers = await client.taken();
    expect(answers[0]).toContain("HubException: Stream ID 'u' is already in use.");
    expect(answers[1]).toContain('HubException: The connection has 1 streams already');
  });

  it('can be answered by a stream', async () => {
    const methods = {
      Double: stream<TestUser, [typeof param.int, ReturnType<typeof param.stream<number>>]>(
        [param.int, param.stream(param.int)],
        async function* (_context, factor, items) {
          for await (const n of items) yield n * factor;
        },
      ),
    };
    const client = await new MemoryHost({ methods }).open();
    client.send('{"type":4,"invocationId":"s","target":"Double","arguments":[10],"streamIds":["u"]}');
    client.send(item('u', 1), item('u', 2), '{"type":3,"invocationId":"u"}');
    expect(await client.taken()).toEqual([
      '{"type":2,"invocationId":"s","item":10}',
      '{"type":2,"invocationId":"s","item":20}',
      ended('s'),
    ]);
    expect(client.connection.streams).toBe(0);
  });
});
