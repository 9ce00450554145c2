/** The server as the stock JavaScript client sees it, with and without negotiation. */
import {
  HttpTransportType,
  HubConnectionBuilder,
  LogLevel,
  type HubConnection as StockConnection,
  Subject,
} from '@microsoft/signalr';
import { describe, expect, it, onTestFinished } from 'vitest';
import { HubException } from '../../../../src/bridge/signalr/hub/errors.ts';
import { type HubConnection, type HubMethod, method, stream } from '../../../../src/bridge/signalr/hub/hub.ts';
import { sharedInvocation } from '../../../../src/bridge/signalr/hub/shared-invocation.ts';
import { param } from '../../../../src/bridge/signalr/protocol/parameters.ts';
import { host } from './hosted-server.ts';
import type { TestUser } from './memory-connection.ts';

const ways = [
  ['negotiating', {}],
  ['over ServerSentEvents', { transport: HttpTransportType.ServerSentEvents }],
  ['over LongPolling', { transport: HttpTransportType.LongPolling }],
  ['without negotiation', { skipNegotiation: true, transport: HttpTransportType.WebSockets }],
] as const;

describe.each(ways)('the stock client, %s', (name, way) => {
  function client(port: number, user: string, retriesMs: number[] = []): StockConnection {
    const connection = new HubConnectionBuilder()
      .withAutomaticReconnect(retriesMs)
      .withUrl(`http://127.0.0.1:${port}/hub`, { accessTokenFactory: () => user, ...way })
      .configureLogging(LogLevel.None)
      .build();
    onTestFinished(() => connection.stop());
    return connection;
  }

  const methods: Record<string, HubMethod<TestUser>> = {
    Echo: method([param.string], (_context, text) => text),
    Who: method([], async (context) => context.userId),
    Sum: method([param.int, param.optional(param.int, 40)], (_context, a, b) => a + b),
    Id: method([], (context) => context.connectionId),
    Refuse: method([], () => {
      throw new HubException('not today');
    }),
  };

  it('calls methods and gets their results and errors', async () => {
    const { port } = await host({ methods });
    const connection = client(port, 'alice');
    await connection.start();
    expect(await connection.invoke('echo', 'grüße 😀')).toBe('grüße 😀');
    expect(await connection.invoke('Who')).toBe('alice');
    expect(await connection.invoke('Sum', 2)).toBe(42);
    await expect(connection.invoke('Refuse')).rejects.toThrow(
      "An unexpected error occurred invoking 'Refuse' on the server. HubException: not today",
    );
    await expect(connection.invoke('Nothing')).rejects.toThrow('HubException: Method does not exist.');
  });

  it('hears events in order, and is answered in parallel calls in order', async () => {
    const connections: HubConnection<TestUser>[] = [];
    const { port } = await host({ methods, onConnected: (connection) => void connections.push(connection) });
    const heard: number[] = [];
    const last = Promise.withResolvers<void>();
    const connection = client(port, 'bob');
    connection.on('Event', (n: number) => {
      heard.push(n);
      if (n === 99) last.resolve();
    });
    await connection.start();
    for (let n = 0; n < 100; n += 1) connections[0]?.sendShared(sharedInvocation('Event', [n]));
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) => connection.invoke<string>('Echo', String(n))),
    );
    await last.promise;
    expect(heard).toEqual(Array.from({ length: 100 }, (_, n) => n));
    expect(answers).toEqual(Array.from({ length: 100 }, (_, n) => String(n)));
  });

  it('reads streams, cancels them, sends streams and answers questions', async () => {
    const cancelled = Promise.withResolvers<void>();
    const more: Record<string, HubMethod<TestUser>> = {
      Count: stream([param.int], async function* (_context, n) {
        for (let i = 0; i < n; i += 1) yield i;
      }),
      Endless: stream([], async function* ({ signal }) {
        yield 'first';
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        cancelled.resolve();
      }),
      Join: method([param.stream(param.string)], async (_context, items) => {
        let joined = '';
        for await (const item of items) joined += item;
        return joined;
      }),
      AskMe: method([param.string], ({ clients }, question) => clients.caller.invoke('Answer', [question])),
    };
    const { port, signalr } = await host({ methods: more });
    const connection = client(port, 'alice');
    connection.on('Answer', (question: string) => `${question}? yes`);
    await connection.start();

    const counted = await new Promise((resolve, reject) => {
      const items: number[] = [];
      connection
        .stream<number>('Count', 500)
        .subscribe({ next: (n) => items.push(n), complete: () => resolve(items), error: reject });
    });
    expect(counted).toEqual(Array.from({ length: 500 }, (_, n) => n));

    const first = Promise.withResolvers<string>();
    const endless = connection
      .stream<string>('Endless')
      .subscribe({ next: first.resolve, complete: () => undefined, error: first.reject });
    expect(await first.promise).toBe('first');
    endless.dispose();
    await cancelled.promise;

    const words = new Subject<string>();
    const joined = connection.invoke('Join', words);
    for (let n = 0; n < 100; n += 1) words.next(String(n % 10));
    words.complete();
    expect(await joined).toBe('0123456789'.repeat(10));

    expect(await connection.invoke('AskMe', 'tea')).toBe('tea? yes');
    expect(signalr.clientInvocations).toBe(0);
    expect(signalr.streams).toBe(0);
  });

  it('says what its handler threw, or that it has none', async () => {
    const { port, signalr } = await host({ methods });
    const connection = client(port, 'alice');
    connection.on('Fails', () => {
      throw new Error('from callback');
    });
    await connection.start();
    const one = signalr.context.clients.client(await connection.invoke<string>('Id'));
    await expect(one.invoke('Fails', [])).rejects.toThrow('Error: from callback');
    await expect(one.invoke('Nothing', [])).rejects.toThrow("Client didn't provide a result.");
  });

  it('is refused without a good token', async () => {
    const { port } = await host({ methods }, { authenticate: () => ({ ok: false, status: 401, challenge: 'Bearer' }) });
    await expect(client(port, 'nobody').start()).rejects.toThrow();
  });

  it('tries to come back after the server has drained', async () => {
    const { port, signalr } = await host({ methods });
    const reconnecting = Promise.withResolvers<void>();
    const connection = client(port, 'alice', [0]);
    connection.onreconnecting(() => reconnecting.resolve());
    await connection.start();
    await signalr.drain();
    await reconnecting.promise;
  });

  // What is written to an event stream is no evidence, and its client never answers.
  if (name !== 'over ServerSentEvents') {
    it('proves receipt without knowing', async () => {
      const received = Promise.withResolvers<number>();
      let wanted = 0;
      const { port } = await host({
        methods,
        onConnected: (connection) => {
          wanted = connection.send('Event', [], { receipt: true });
        },
        onReceived: (_connection, mark) => received.resolve(mark),
      });
      const connection = client(port, 'alice');
      connection.on('Event', () => {});
      await connection.start();
      expect(await received.promise).toBeGreaterThanOrEqual(wanted);
    });
  }
});
