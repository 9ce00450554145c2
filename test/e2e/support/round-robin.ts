/**
 * A load balancer as plain as can be: each TCP connection goes to the next server that takes it, whatever it carries and
 * whoever comes. No sticky sessions, no health checks.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';

export class RoundRobin implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #ports: readonly number[];
  #next = 0;
  port = 0;
  /** Connections that each server took. */
  readonly taken = new Map<number, number>();

  private constructor(ports: readonly number[]) {
    this.#ports = ports;
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client));
  }

  static async open(ports: readonly number[]): Promise<RoundRobin> {
    const balancer = new RoundRobin(ports);
    await new Promise<void>((resolve) => balancer.#server.listen(0, '127.0.0.1', resolve));
    const address = balancer.#server.address();
    if (address === null || typeof address === 'string') throw new Error('No port');
    balancer.port = address.port;
    return balancer;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Where new connections go from now on; those that are open stay. */
  set ports(ports: readonly number[]) {
    this.#ports = ports;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    this.#sockets.add(client);
    client.on('error', () => client.destroy());
    client.once('close', () => this.#sockets.delete(client));
    this.#forward(client, this.#ports.length);
  }

  #forward(client: Socket, attempts: number): void {
    const port = this.#ports[this.#next++ % Math.max(1, this.#ports.length)];
    if (port === undefined || attempts === 0 || client.destroyed) {
      client.destroy();
      return;
    }
    const upstream = connect({ port, host: '127.0.0.1', noDelay: true });
    let isOpen = false;
    this.#sockets.add(upstream);
    upstream.once('connect', () => {
      isOpen = true;
      this.taken.set(port, (this.taken.get(port) ?? 0) + 1);
      client.pipe(upstream);
      upstream.pipe(client);
      client.once('close', () => upstream.destroy());
    });
    upstream.on('error', () => upstream.destroy());
    upstream.once('close', () => {
      this.#sockets.delete(upstream);
      if (isOpen) client.destroy();
      else this.#forward(client, attempts - 1);
    });
  }
}
