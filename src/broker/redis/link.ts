/**
 * One connection to one Redis server that replaces itself when it is lost.
 *
 * The client's own reconnection is off: who uses a link must know of every loss, and commands must fail at once while the
 * server is away instead of waiting in a queue. A server that does not answer (stopped, half-open connection) is found
 * by a ping; the connection is then given up and with it everything that waits for an answer.
 */
import { createClient } from 'redis';
import type { Clock, Timer } from '../../time/clock.ts';

export type RedisClient = ReturnType<typeof createClient>;
export type ClientOptions = NonNullable<Parameters<typeof createClient>[0]>;

export interface LinkListener {
  /** The connection is there. What it does is awaited before `client` is set; a rejection gives the connection up. */
  prepare(client: RedisClient): Promise<void>;
  onUp(client: RedisClient): void;
  onDown(client: RedisClient): void;
  onError(error: unknown): void;
}

export interface LinkTimes {
  /** Longest wait for a connection, and for the answer to a ping. Default 3,000. */
  readonly deadlineMs: number;
  /** Time between pings. Default 2,000. */
  readonly pingMs: number;
}

const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 2000;

export class Link {
  readonly #options: ClientOptions;
  readonly #clock: Clock;
  readonly #times: LinkTimes;
  readonly #listener: LinkListener;
  #open: RedisClient | undefined;
  #up = false;
  #timer: Timer | undefined;
  #retryMs = FIRST_RETRY_MS;
  #closed = false;

  constructor(options: ClientOptions, clock: Clock, times: LinkTimes, listener: LinkListener) {
    this.#options = options;
    this.#clock = clock;
    this.#times = times;
    this.#listener = listener;
  }

  /** The connection, if it is there. */
  get client(): RedisClient | undefined {
    return this.#up ? this.#open : undefined;
  }

  /** Connects. @throws what the first attempt failed with; the link does not go on by itself then. */
  async connect(): Promise<void> {
    const client = createClient({
      ...this.#options,
      disableOfflineQueue: true,
      socket: { ...this.#options.socket, reconnectStrategy: false, connectTimeout: this.#times.deadlineMs },
    } as ClientOptions);
    this.#open = client;
    client.on('error', (error: unknown) => this.#lose(client, error));
    client.on('end', () => this.#lose(client, new Error('Redis closed the connection')));
    try {
      await this.within(
        (async () => {
          await client.connect();
          await this.#listener.prepare(client);
        })(),
      );
    } catch (error) {
      if (this.#open === client) this.#open = undefined;
      destroy(client);
      throw error;
    }
    if (this.#open !== client) {
      destroy(client);
      throw new Error('The connection to Redis was lost while it began');
    }
    this.#up = true;
    this.#retryMs = FIRST_RETRY_MS;
    this.#schedulePing(client);
    this.#listener.onUp(client);
  }

  /** Connects in the background, again and again until it succeeds. */
  start(): void {
    this.connect().catch((error: unknown) => {
      if (this.#closed) return;
      this.#listener.onError(error);
      this.#retry();
    });
  }

  /** Gives the present connection up and begins a new one. */
  restart(reason: Error): void {
    if (this.#open !== undefined) this.#lose(this.#open, reason);
  }

  /** Settles like `promise`, or rejects after the deadline. */
  within<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.schedule(this.#times.deadlineMs, () => {
        reject(new Error(`Redis did not answer within ${this.#times.deadlineMs} ms`));
      });
      promise.then(resolve, reject).finally(() => timer.cancel());
    });
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    const client = this.#open;
    this.#open = undefined;
    this.#up = false;
    if (client !== undefined) destroy(client);
  }

  #lose(client: RedisClient, error: unknown): void {
    // While it connects, `connect` itself reports and cleans up.
    if (this.#open !== client || !this.#up) {
      if (this.#open === client) this.#open = undefined;
      return;
    }
    this.#open = undefined;
    this.#up = false;
    this.#timer?.cancel();
    destroy(client);
    this.#listener.onError(error);
    this.#listener.onDown(client);
    this.#retry();
  }

  #retry(): void {
    if (this.#closed) return;
    this.#timer = this.#clock.schedule(this.#retryMs, () => this.start());
    this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS);
  }

  #schedulePing(client: RedisClient): void {
    if (this.#open !== client) return;
    this.#timer = this.#clock.schedule(this.#times.pingMs, () => {
      this.within(client.ping()).then(
        () => this.#schedulePing(client),
        (error: unknown) => this.#lose(client, error),
      );
    });
  }
}

function destroy(client: RedisClient): void {
  try {
    client.destroy();
  } catch {
    // It is closed already.
  }
}
