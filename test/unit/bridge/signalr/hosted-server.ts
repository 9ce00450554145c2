/**
 * A SignalR server on a real port, and clients for it. Everything ends with the test.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { type HubDefinition, hub } from '../../../../src/bridge/signalr/hub/hub.ts';
import {
  createSignalRServer,
  type SignalRServer,
  type SignalRServerOptions,
} from '../../../../src/bridge/signalr/hub/server.ts';
import { systemClock } from '../../../../src/time/clock.ts';
import { type Observed, opcode, RawClient } from '../../../golden/raw-client.ts';
import type { TestUser } from './memory-connection.ts';

export interface Hosted {
  readonly signalr: SignalRServer;
  readonly http: Server;
  readonly port: number;
}

/** Serves the hub at /hub. Everybody is let in as the user named by the token, unless `options` say otherwise. */
export async function host(
  definition: Partial<HubDefinition<TestUser>>,
  options: Partial<SignalRServerOptions<TestUser>> = {},
): Promise<Hosted> {
  const signalr = createSignalRServer<TestUser>({
    hub: hub<TestUser>({ methods: {}, ...definition }),
    path: '/hub',
    clock: systemClock,
    authenticate: ({ token }) =>
      token === undefined
        ? { ok: false, status: 401, challenge: 'Bearer' }
        : { ok: true, user: { name: token }, userId: token },
    ...options,
  });
  const http = createServer((request, response) => {
    if (!signalr.handleRequest(request, response)) response.writeHead(404).end();
  });
  http.on('upgrade', (request, socket, head) => {
    if (!signalr.handleUpgrade(request, socket, head)) socket.destroy();
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    signalr.close();
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  });
  return { signalr, http, port: (http.address() as AddressInfo).port };
}

/** A raw client whose observations can be waited for. */
export class Client {
  readonly observed: Observed[] = [];
  readonly raw: RawClient;
  #wake: (() => void)[] = [];

  constructor(port: number) {
    this.raw = new RawClient(port, (observed) => {
      this.observed.push(observed);
      for (const wake of this.#wake.splice(0)) wake();
    });
    onTestFinished(() => this.raw.destroy());
  }

  upgrade(path: string, headers: readonly (readonly [string, string])[] = []): void {
    this.raw.request('GET', path, [
      ['Host', 'localhost'],
      ['Upgrade', 'websocket'],
      ['Connection', 'Upgrade'],
      ['Sec-WebSocket-Version', '13'],
      ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
      ...headers,
    ]);
  }

  record(text: string): void {
    this.raw.frame(opcode.text, Buffer.from(`${text}\u001e`));
  }

  /** Resolves with the first observation that `matches`, past or to come. The test's time limit ends the wait. */
  async see(matches: (observed: Observed) => boolean): Promise<Observed> {
    for (;;) {
      const found = this.observed.find(matches);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  async seeRecord(text: string): Promise<void> {
    await this.see((observed) => observed.kind === 'record' && observed.text === text);
  }

  async seeStatus(): Promise<number> {
    const answer = await this.see(({ kind }) => kind === 'http');
    return answer.kind === 'http' ? answer.status : 0;
  }

  async seeEnd(): Promise<void> {
    await this.see(({ kind }) => kind === 'end');
  }
}

/** A client after its handshake. */
export async function connected(port: number, user = 'alice'): Promise<Client> {
  const client = new Client(port);
  client.upgrade(`/hub?access_token=${user}`);
  await client.seeStatus();
  client.record('{"protocol":"json","version":1}');
  await client.seeRecord('{}');
  return client;
}
