/**
 * A TCP proxy whose connections can be cut, frozen (both directions stand still and the sockets stay open), made slow, or made
 * half-open (what one side sends vanishes, the other hears nothing more).
 */
import { connect, createServer, type Server, type Socket } from 'node:net';

type Mode = 'pass' | 'freeze' | 'swallowAnswers' | 'swallowRequests';

export class TcpProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #pairs = new Set<{ client: Socket; upstream: Socket }>();
  #mode: Mode = 'pass';
  #accepting = true;
  #delayMs = 0;
  #upstreamPort: number;
  port = 0;
  /** Changes what a client sends, which must be text then. */
  change: ((chunk: string) => string) | undefined;

  private constructor(upstreamPort: number) {
    this.#upstreamPort = upstreamPort;
    this.#server = createServer((client) => this.#accept(client));
  }

  static async open(upstreamPort: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(upstreamPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    const address = proxy.#server.address();
    if (address === null || typeof address === 'string') throw new Error('No port');
    proxy.port = address.port;
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Connections that go through. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Resets every connection. */
  cut(): void {
    for (const { client, upstream } of this.#pairs) {
      client.resetAndDestroy();
      upstream.resetAndDestroy();
    }
  }

  /** Nothing passes any more, nobody is told. What is sent meanwhile waits in the proxy's sockets. */
  freeze(): void {
    this.#mode = 'freeze';
    for (const { client, upstream } of this.#pairs) {
      client.pause();
      upstream.pause();
    }
  }

  /** Lets everything pass again. */
  thaw(): void {
    this.#mode = 'pass';
    for (const { client, upstream } of this.#pairs) {
      client.resume();
      upstream.resume();
    }
  }

  /** What the server sends from now on is thrown away; what the client sends still arrives. */
  swallowAnswers(): void {
    this.#mode = 'swallowAnswers';
  }

  /** What the client sends from now on is thrown away; it hears nothing more. */
  swallowRequests(): void {
    this.#mode = 'swallowRequests';
  }

  /** Whatever passes from now on arrives this much later, in order. */
  set delayMs(delayMs: number) {
    this.#delayMs = delayMs;
  }

  /** Where new connections go from now on. */
  set upstreamPort(port: number) {
    this.#upstreamPort = port;
  }

  /** Whether new connections are let in. */
  set accepting(accepting: boolean) {
    this.#accepting = accepting;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    if (!this.#accepting) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect(this.#upstreamPort, '127.0.0.1');
    const pair = { client, upstream };
    this.#pairs.add(pair);
    const pass = (from: Socket, to: Socket, chunk: Buffer | string): void => {
      if (this.#delayMs > 0) setTimeout(() => to.write(chunk), this.#delayMs);
      else if (!to.write(chunk)) from.pause();
    };
    client.on('data', (chunk) => {
      const sent = this.change === undefined ? chunk : this.change(chunk.toString());
      if (this.#mode !== 'swallowRequests') pass(client, upstream, sent);
    });
    upstream.on('drain', () => this.#mode !== 'freeze' && client.resume());
    upstream.on('data', (chunk) => {
      if (this.#mode !== 'swallowAnswers') pass(upstream, client, chunk);
    });
    client.on('drain', () => this.#mode !== 'freeze' && upstream.resume());
    const end = (): void => {
      this.#pairs.delete(pair);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      socket.on('error', end);
      socket.on('close', end);
      socket.on('end', end);
    }
    if (this.#mode === 'freeze') {
      client.pause();
      upstream.pause();
    }
  }
}
