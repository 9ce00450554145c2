/** A page with stateful reconnect: cut sockets, a buffer that is too short, a server that is killed. Nothing may be missing. */
import {
  HttpTransportType,
  type HubConnection,
  HubConnectionBuilder,
  type IHubProtocol,
  JsonHubProtocol,
  LogLevel,
} from '@microsoft/signalr';
import { MessagePackHubProtocol } from '@microsoft/signalr-protocol-msgpack';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RestartableServer } from './support/restartable.ts';
import { startServer, tokenFor } from './support/server.ts';
import { TcpProxy } from './support/tcp-proxy.ts';

const PATIENCE = { timeout: 30_000, interval: 20 };

interface Page {
  readonly hub: HubConnection;
  /** Every ReceiveMessage, repeats and all. */
  readonly heard: string[];
}

async function open(url: string, user: string, protocol: IHubProtocol = new JsonHubProtocol()): Promise<Page> {
  const token = await tokenFor(user);
  const hub = new HubConnectionBuilder()
    .withUrl(`${url}/chathub`, { accessTokenFactory: () => token, transport: HttpTransportType.WebSockets })
    .withStatefulReconnect()
    .withAutomaticReconnect(Array.from({ length: 100 }, () => 200))
    .withHubProtocol(protocol)
    .configureLogging(LogLevel.None)
    .build();
  const heard: string[] = [];
  hub.on('ReceiveMessage', (_sender: string, text: string) => void heard.push(text));
  onTestFinished(() => hub.stop());
  await hub.start();
  return { hub, heard };
}

const texts = (count: number): string[] => Array.from({ length: count }, (_, n) => `message ${n}`);

/** Sends in order, each when the one before is acknowledged. */
async function send(from: Page, count: number, after: (n: number) => void): Promise<void> {
  for (const [n, text] of texts(count).entries()) {
    await from.hub.invoke('SendMessage', 'alice', 'bob', text);
    after(n);
  }
}

describe('A page with stateful reconnect', () => {
  it.each([new JsonHubProtocol(), new MessagePackHubProtocol()])(
    'gets each message once and in order while its socket is cut ten times amid 500: $name',
    async (protocol) => {
      await using server = await startServer();
      await using proxy = await TcpProxy.open(server.port);
      const [alice, bob] = [await open(server.url, 'alice'), await open(proxy.url, 'bob', protocol)];
      const states: string[] = [];
      bob.hub.onreconnecting(() => states.push('reconnecting'));
      await send(alice, 500, (n) => {
        if (n % 50 === 25) proxy.cut();
      });
      await expect.poll(() => bob.heard.length, PATIENCE).toBeGreaterThanOrEqual(500);
      expect(bob.heard).toEqual(texts(500));
      // The page itself has noticed nothing.
      expect(states).toEqual([]);
    },
    60_000,
  );

  it('begins anew where more came meanwhile than the server keeps, and misses nothing', async () => {
    await using server = await startServer({}, { hubOptions: { statefulReconnectBufferBytes: 500 } });
    await using proxy = await TcpProxy.open(server.port);
    const [alice, bob] = [await open(server.url, 'alice'), await open(proxy.url, 'bob')];
    const again = new Promise<void>((resolve) => bob.hub.onreconnected(() => resolve()));
    await send(alice, 60, (n) => {
      if (n === 30) proxy.cut();
    });
    await again;
    await expect.poll(() => new Set(bob.heard).size, PATIENCE).toBe(60);
    expect([...new Set(bob.heard)]).toEqual(texts(60));
  }, 60_000);

  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'comes back after %s of the server, and misses nothing',
    async (signal) => {
      await using server = await RestartableServer.start();
      const [alice, bob] = [await open(server.url, 'alice'), await open(server.url, 'bob')];
      await send(alice, 20, () => undefined);
      const again = Promise.all(
        [alice, bob].map(({ hub }) => new Promise<void>((resolve) => hub.onreconnected(() => resolve()))),
      );
      await server.restart(signal);
      await again;
      await alice.hub.invoke('SendMessage', 'alice', 'bob', 'after');
      await expect.poll(() => bob.heard, PATIENCE).toContain('after');
      expect([...new Set(bob.heard)]).toEqual([...texts(20), 'after']);
    },
    60_000,
  );
});
