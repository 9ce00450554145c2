/** Stateful reconnect as the stock JavaScript client does it, and what the replay buffer holds. */
import {
  HubConnectionBuilder,
  type IHubProtocol,
  JsonHubProtocol,
  LogLevel,
  type HubConnection as StockConnection,
} from '@microsoft/signalr';
import { MessagePackHubProtocol } from '@microsoft/signalr-protocol-msgpack';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type HubConnection, type HubDefinition, method } from '../../../../src/bridge/signalr/hub/hub.ts';
import { ReplayBuffer } from '../../../../src/bridge/signalr/hub/replay-buffer.ts';
import { param } from '../../../../src/bridge/signalr/protocol/parameters.ts';
import { TcpProxy } from '../../../e2e/support/tcp-proxy.ts';
import { host } from './hosted-server.ts';
import type { TestUser } from './memory-connection.ts';

function client(url: string, protocol: IHubProtocol = new JsonHubProtocol()): StockConnection {
  const connection = new HubConnectionBuilder()
    .withUrl(`${url}/hub`, { accessTokenFactory: () => 'alice' })
    .withStatefulReconnect()
    .withHubProtocol(protocol)
    .configureLogging(LogLevel.None)
    .build();
  onTestFinished(() => connection.stop());
  return connection;
}

interface Stage {
  readonly connections: HubConnection<TestUser>[];
  readonly calls: number[];
  readonly ended: string[];
  readonly definition: Partial<HubDefinition<TestUser>>;
}

function stage(options: HubDefinition<TestUser>['options']): Stage {
  const connections: HubConnection<TestUser>[] = [];
  const calls: number[] = [];
  const ended: string[] = [];
  const definition: Partial<HubDefinition<TestUser>> = {
    methods: {
      Call: method([param.int], (_context, n) => {
        calls.push(n);
        return n;
      }),
    },
    options: { allowStatefulReconnect: true, ...options },
    onConnected: (connection) => void connections.push(connection),
    onDisconnected: (connection) => void ended.push(connection.id),
  };
  return { connections, calls, ended, definition };
}

describe('a stock client with stateful reconnect', () => {
  it.each([new JsonHubProtocol(), new MessagePackHubProtocol()])(
    'misses and doubles nothing in either direction while its socket is cut again and again: $name',
    async (protocol) => {
      const { calls, connections, definition, ended } = stage({});
      const { port } = await host(definition);
      const proxy = await TcpProxy.open(port);
      onTestFinished(() => proxy[Symbol.asyncDispose]());
      const connection = client(proxy.url, protocol);
      const heard: number[] = [];
      const all = Promise.withResolvers<void>();
      connection.on('Event', (n: number) => {
        heard.push(n);
        if (n === 299) all.resolve();
      });
      await connection.start();
      const answers: Promise<number>[] = [];
      for (let n = 0; n < 300; n += 1) {
        connections[0]?.send('Event', [n]);
        answers.push(connection.invoke<number>('Call', n));
        if (n % 60 === 30) proxy.cut();
        await new Promise((resolve) => setImmediate(resolve));
      }
      const numbers = Array.from({ length: 300 }, (_, n) => n);
      expect(await Promise.all(answers)).toEqual(numbers);
      await all.promise;
      expect(heard).toEqual(numbers);
      expect(calls).toEqual(numbers);
      expect(connections).toHaveLength(1);
      expect(ended).toEqual([]);
    },
  );

  it('ends and may begin anew when more was sent meanwhile than the buffer holds', async () => {
    const { connections, definition, ended } = stage({ statefulReconnectBufferBytes: 1_000 });
    const { port } = await host(definition);
    const proxy = await TcpProxy.open(port);
    onTestFinished(() => proxy[Symbol.asyncDispose]());
    const connection = client(proxy.url);
    const closed = new Promise<void>((resolve) => connection.onclose(() => resolve()));
    await connection.start();
    for (let n = 0; n < 20; n += 1) connections[0]?.send('Event', ['x'.repeat(100)]);
    proxy.cut();
    await closed;
    expect(ended).toEqual([connections[0]?.id]);
    await connection.start();
    expect(connections).toHaveLength(2);
  });
});

describe('the replay buffer', () => {
  it('never claims to be whole with a hole, holds what is not acknowledged, and stays within its bound', () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ add: fc.integer({ min: 1, max: 40 }) }),
        fc.record({ acknowledge: fc.integer({ min: -1, max: 60 }) }),
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(steps, (taken) => {
        const buffer = new ReplayBuffer(100);
        const sent: string[] = [];
        let acknowledged = 0;
        for (const step of taken) {
          if ('add' in step) {
            const record = `${sent.length}:`.padEnd(step.add, '.');
            sent.push(record);
            buffer.add(record);
          } else {
            buffer.acknowledge(step.acknowledge);
            acknowledged = Math.max(acknowledged, Math.min(step.acknowledge, sent.length));
          }
          const open = sent.slice(acknowledged);
          expect(buffer.firstId).toBe(acknowledged + 1);
          expect(buffer.records).toEqual(open.slice(open.length - buffer.records.length));
          expect(buffer.isWhole).toBe(buffer.records.length === open.length);
          expect(buffer.records.join('').length).toBeLessThanOrEqual(100);
        }
      }),
    );
  });
});
