/**
 * The stock client on one way, for one case. Runs in Node and in pages, so it imports nothing but types and its neighbours, and gets
 * the stock library from whoever runs it.
 */
import type { HubConnection, IHttpConnectionOptions, IStreamResult, ISubscription } from '@microsoft/signalr';
import type { Way } from './way.ts';

export interface Stock {
  readonly signalR: typeof import('@microsoft/signalr');
  readonly msgpack: typeof import('@microsoft/signalr-protocol-msgpack');
}

export interface ConnectOptions extends IHttpConnectionOptions {
  /** Lets the stock client choose the transport. */
  readonly anyTransport?: boolean;
  readonly isStateful?: boolean;
}

/** The stock library's connection below the hub protocol. */
export interface RawConnection {
  onreceive: ((data: string | ArrayBuffer) => void) | null;
  onclose: ((error?: Error) => void) | null;
  start(format: number): Promise<void>;
  send(data: string | ArrayBuffer | Uint8Array): Promise<void>;
  stop(): Promise<void>;
}

export class CaseClient {
  readonly way: Way;
  readonly url: string;
  readonly signalR: Stock['signalR'];
  readonly #msgpack: Stock['msgpack'];
  readonly #opened: { stop(): Promise<void> }[] = [];

  constructor(stock: Stock, way: Way, url: string) {
    this.signalR = stock.signalR;
    this.#msgpack = stock.msgpack;
    this.way = way;
    this.url = url;
  }

  /** A connection that is not started. */
  build(path: string, { anyTransport = false, isStateful = false, ...options }: ConnectOptions = {}): HubConnection {
    const { HttpTransportType, HubConnectionBuilder, LogLevel } = this.signalR;
    const transport = anyTransport ? {} : { transport: HttpTransportType[this.way.transport] };
    const builder = new HubConnectionBuilder()
      .withUrl(`${this.url}${path}`, { ...options, ...transport })
      .configureLogging(LogLevel.None);
    if (this.way.protocol === 'messagepack') builder.withHubProtocol(new this.#msgpack.MessagePackHubProtocol());
    if (isStateful) builder.withStatefulReconnect();
    const connection = builder.build();
    this.#opened.push(connection);
    return connection;
  }

  async connect(path: string, options: ConnectOptions = {}): Promise<HubConnection> {
    const connection = this.build(path, options);
    await connection.start();
    return connection;
  }

  /** The stock library's connection without a hub on it, not started. */
  raw(path: string): RawConnection {
    const { connection } = this.build(path) as unknown as { connection: RawConnection };
    connection.onclose = null;
    this.#opened.push(connection);
    return connection;
  }

  /** A text of the server, by plain HTTP. */
  async text(path: string): Promise<string> {
    return (await fetch(`${this.url}${path}`)).text();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#opened.map((connection) => connection.stop()));
  }
}

/** All items of a stream; rejects with the stream's error. */
export function collect<Item>(stream: IStreamResult<Item>): Promise<Item[]> {
  return new Promise((resolve, reject) => {
    const items: Item[] = [];
    stream.subscribe({ next: (item) => items.push(item), complete: () => resolve(items), error: reject });
  });
}

/** Begins a stream of which nothing is expected. */
export function begin(stream: IStreamResult<unknown>, onNext: (item: unknown) => void): ISubscription<unknown> {
  return stream.subscribe({ next: onNext, complete: () => undefined, error: () => undefined });
}

/** The arguments of the next call of the client's `target`. */
export function next(connection: HubConnection, target: string): Promise<unknown[]> {
  return new Promise((resolve) => connection.on(target, (...args: unknown[]) => resolve(args)));
}

/** The message of the error that the promise rejects with; null when it does not reject. */
export function refusal(promise: Promise<unknown>): Promise<string | null> {
  return promise.then(
    () => null,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}
