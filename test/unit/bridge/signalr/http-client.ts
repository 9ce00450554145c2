/**
 * Clients of ServerSentEvents and LongPolling that write raw HTTP/1.1, each on a socket of its own, and a hub whose time the test moves.
 */
import { connect, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import type { ConnectionError } from '../../../../src/bridge/signalr/hub/errors.ts';
import type { HubConnection, HubDefinition } from '../../../../src/bridge/signalr/hub/hub.ts';
import type { SignalRServerOptions } from '../../../../src/bridge/signalr/hub/server.ts';
import { FakeClock } from '../../../fixtures/fake-clock.ts';
import { type Hosted, host } from './hosted-server.ts';
import type { TestUser } from './memory-connection.ts';

export interface Answer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export interface Asked {
  readonly user?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** Resolves when `holds` does. The test's time limit ends the wait. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

/** One socket; the requests on it are answered in order. */
export class HttpSocket {
  readonly socket: Socket;
  #data = Buffer.alloc(0);
  #isOver = false;
  #wake: () => void = () => undefined;

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (chunk: Buffer) => {
      this.#data = Buffer.concat([this.#data, chunk]);
      this.#wake();
    });
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.#isOver = true;
      this.#wake();
    });
    onTestFinished(() => void this.socket.destroy());
  }

  /** Everything that has come and was not taken as an answer. */
  get text(): string {
    return this.#data.toString();
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Writes a request with the length of its body, unless the headers say how it is framed. */
  write(method: string, path: string, { user = 'alice', headers = {}, body }: Asked = {}): void {
    const all: Record<string, string> = { Host: 'localhost', ...headers };
    if (user !== '') all.Authorization = `Bearer ${user}`;
    if (body !== undefined && !('Transfer-Encoding' in headers) && !('Content-Length' in headers)) {
      all['Content-Length'] = String(Buffer.byteLength(body));
    }
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    this.socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
    if (body !== undefined) this.socket.write(body);
  }

  /** The next answer that is whole by its Content-Length. @throws Error when the connection ends before. */
  async answer(): Promise<Answer> {
    for (;;) {
      const headEnd = this.#data.indexOf('\r\n\r\n');
      if (headEnd !== -1) {
        const { status, headers } = headOf(this.#data.toString('latin1', 0, headEnd));
        const end = headEnd + 4 + Number(headers.get('content-length') ?? 0);
        if (this.#data.length >= end) {
          const body = this.#data.toString('utf8', headEnd + 4, end);
          this.#data = this.#data.subarray(end);
          return { status, headers, body };
        }
      }
      await this.#more();
    }
  }

  /** Resolves when all that has come includes `text`. @throws Error when the connection ends before. */
  async see(text: string): Promise<void> {
    while (!this.text.includes(text)) await this.#more();
  }

  async seeEnd(): Promise<void> {
    await until(() => this.#isOver);
  }

  /** The head of a stream of events. */
  async head(): Promise<Omit<Answer, 'body'>> {
    await this.see('\r\n\r\n');
    return headOf(this.text.slice(0, this.text.indexOf('\r\n\r\n')));
  }

  #more(): Promise<void> {
    if (this.#isOver) throw new Error(`The connection has ended after ${JSON.stringify(this.text)}`);
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

function headOf(text: string): Omit<Answer, 'body'> {
  const [statusLine = '', ...lines] = text.split('\r\n');
  const pairs = lines.map(
    (line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)] as const,
  );
  return { status: Number(statusLine.split(' ')[1]), headers: new Map(pairs) };
}

/** A request of its own connection, and its answer. */
export async function ask(port: number, method: string, path: string, asked: Asked = {}): Promise<Answer> {
  const socket = new HttpSocket(port);
  socket.write(method, path, asked);
  const answer = await socket.answer();
  socket.socket.destroy();
  return answer;
}

export const HANDSHAKE = '{"protocol":"json","version":1}\u001e';

/** A hub at /hub, who came and how they went, and its clock. */
export class HttpHub {
  readonly clock = new FakeClock();
  readonly connected: HubConnection<TestUser>[] = [];
  readonly ended: (ConnectionError['failure'] | undefined)[] = [];
  readonly received: number[] = [];
  hosted!: Hosted;

  async start(
    definition: Partial<HubDefinition<TestUser>> = {},
    options: Partial<SignalRServerOptions<TestUser>> = {},
  ): Promise<this> {
    this.hosted = await host(
      {
        onConnected: (connection) => void this.connected.push(connection),
        onDisconnected: (_connection, error) => void this.ended.push(error?.failure),
        onReceived: (_connection, mark) => void this.received.push(mark),
        ...definition,
      },
      { clock: this.clock, ...options },
    );
    return this;
  }

  get port(): number {
    return this.hosted.port;
  }

  get connection(): HubConnection<TestUser> {
    const connection = this.connected.at(-1);
    if (connection === undefined) throw new Error('Nobody has come');
    return connection;
  }

  ask(method: string, path: string, asked: Asked = {}): Promise<Answer> {
    return ask(this.port, method, path, asked);
  }

  /** The path of a negotiated connection. */
  async negotiated(user = 'alice'): Promise<string> {
    const { body } = await this.ask('POST', '/hub/negotiate?negotiateVersion=1', { user });
    return `/hub?id=${(JSON.parse(body) as { connectionToken: string }).connectionToken}`;
  }

  post(path: string, body: string | Buffer, user = 'alice'): Promise<Answer> {
    return this.ask('POST', path, { user, body });
  }

  /** A stream of events after its handshake. */
  async listening(): Promise<{ readonly path: string; readonly stream: HttpSocket }> {
    const path = await this.negotiated();
    const stream = new HttpSocket(this.port);
    stream.write('GET', path, { headers: { Accept: 'text/event-stream' } });
    await stream.see(':\r\n');
    await this.post(path, HANDSHAKE);
    await stream.see('data: {}');
    return { path, stream };
  }

  /** A polled connection after its handshake, whose answer has come; no poll waits. */
  async polling(): Promise<{ readonly path: string; readonly polls: HttpSocket }> {
    const path = await this.negotiated();
    const polls = new HttpSocket(this.port);
    await this.poll(polls, path);
    await this.post(path, HANDSHAKE);
    await this.poll(polls, path);
    return { path, polls };
  }

  poll(socket: HttpSocket, path: string): Promise<Answer> {
    socket.write('GET', path);
    return socket.answer();
  }

  /** Begins a poll that waits when this resolves: the server has read it. */
  async waitingPoll(socket: HttpSocket, path: string, asked: Asked = {}): Promise<void> {
    const reads = this.requests;
    socket.write('GET', path, asked);
    await until(() => this.requests > reads);
  }

  /** Requests that the server has read. */
  requests = 0;
  countRequests(): void {
    this.hosted.http.on('request', () => {
      this.requests += 1;
    });
  }

  /** Moves time in steps of the server's sweep, and lets what is under way arrive. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 1000) await this.clock.advance(Math.min(1000, ms - passed));
  }

  /** What must hold when everybody has gone: nothing is kept, and no timer runs on. */
  async seeNothingLeft(): Promise<void> {
    await until(() => this.hosted.signalr.connections === 0);
    await this.pass(2000);
    if (this.clock.pending !== 0) throw new Error(`${this.clock.pending} timers run on`);
  }
}
