/**
 * A SignalR server: mounts a hub at a path of somebody else's HTTP server.
 *
 * Owns what its connections share: the flusher, the pacing of probes and one sweep timer, which runs only while there is something
 * to watch. Knows nothing of what hubs do, logs nothing (see `onError`) and never touches requests of other paths.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '../../../time/clock.ts';
import { type AccessHooks, authenticate, METHOD_NOT_ALLOWED, SHUTTING_DOWN, unauthenticated } from '../endpoint/access.ts';
import { Connection } from './connection.ts';
import type { ConnectionHost, ConnectionIdentity } from './connection-host.ts';
import { negotiate, onHubPath, writeAnswer } from '../endpoint/http-endpoint.ts';
import type { Hub } from './hub.ts';
import { jsonProtocol } from '../protocol/json-protocol.ts';
import { Negotiations } from '../endpoint/negotiate.ts';
import { sweepIntervalMs } from './options.ts';
import { OutboundFlusher } from './outbound-flusher.ts';
import { ProbePacer } from './receipts.ts';
import { normalPath, targetOf } from '../endpoint/request.ts';
import { upgrade } from '../endpoint/upgrade.ts';
import { WebSocketAcceptor, type WebSocketTransport } from '../endpoint/websocket-transport.ts';

export interface SignalRServerOptions<User> extends AccessHooks<User> {
  readonly hub: Hub<User>;
  /** Where the hub is mounted, for example `/chathub`. Matches in any letter case, with or without a slash at its end. */
  readonly path: string;
  readonly clock: Clock;
  /**
   * Told of every error that a hub's method or event throws (a HubException too), and of errors of the hooks here. `method` is the
   * declared method, or the name of the event or hook. For the log; what it throws is dropped.
   */
  readonly onError?: (
    error: unknown,
    where: { readonly method: string; readonly connectionId: string | undefined },
  ) => void;
}

export interface DrainOptions {
  /** How long calls may take to finish and clients to say goodbye (for which they have a second at most). Default 5,000. */
  readonly graceMs?: number;
  /** Cuts everybody at once when aborted. */
  readonly signal?: AbortSignal;
}

export interface SignalRServer extends AsyncDisposable {
  /** Connections whose transport is open. */
  readonly connections: number;
  /** Answers a request for this endpoint; false = the path is another's, and nothing was done. */
  handleRequest(request: IncomingMessage, response: ServerResponse): boolean;
  /** Takes over an upgrade request for this endpoint; false = the path is another's, and the socket was not touched. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean;
  /**
   * Ends every connection in good order: calls that run are answered, then a Close record that allows reconnecting, then the closing
   * handshake. New connections are refused with 503 from now on. Resolves when all are gone, at the latest after the grace.
   */
  drain(options?: DrainOptions): Promise<void>;
  /** Cuts every connection now. Idempotent. */
  close(): void;
}

/**
 * How long a draining server waits for a client's part of the closing. The clients that have gone wait for the next server:
 * one that hears nothing must not keep them waiting, and comes back by itself whether it got its goodbye or not.
 */
const DRAIN_CLOSE_TIMEOUT_MS = 1000;

/** Mounts a hub. Starts nothing by itself. */
export function createSignalRServer<User>(options: SignalRServerOptions<User>): SignalRServer {
  return new Server(options);
}

class Server<User> implements SignalRServer, ConnectionHost<User> {
  readonly hub: Hub<User>;
  readonly protocols = [jsonProtocol];
  readonly flusher = new OutboundFlusher();
  readonly pacer: ProbePacer;
  readonly #options: SignalRServerOptions<User>;
  readonly #path: string;
  readonly #negotiations: Negotiations;
  readonly #acceptor: WebSocketAcceptor;
  readonly #connections = new Map<string, Connection<User>>();
  readonly #sweepMs: number;
  #sweepTimer: Timer | undefined;
  #isShuttingDown = false;
  #isClosed = false;
  #onEmpty: (() => void) | undefined;

  constructor(options: SignalRServerOptions<User>) {
    const limits = options.hub.options;
    this.#options = options;
    this.hub = options.hub;
    this.#path = normalPath(options.path);
    this.pacer = new ProbePacer(options.clock, limits.receiptProbeDelayMs, limits.receiptProbeIntervalMs);
    this.#negotiations = new Negotiations(limits.maximumUnusedNegotiations);
    this.#acceptor = new WebSocketAcceptor(limits.maximumFrameBytes, limits.closeTimeoutMs);
    this.#sweepMs = sweepIntervalMs(limits);
  }

  get connections(): number {
    return this.#connections.size;
  }

  nowMs(): number {
    return Math.floor(this.#options.clock.monotonicMs());
  }

  report(error: unknown, method: string, connectionId: string | undefined): void {
    try {
      this.#options.onError?.(error, { method, connectionId });
    } catch {
      // Where errors are reported to cannot be told of its own.
    }
  }

  handleRequest(request: IncomingMessage, response: ServerResponse): boolean {
    const target = targetOf(request);
    const isNegotiate = target.path === `${this.#path}/negotiate`;
    if (!isNegotiate && target.path !== this.#path) return false;
    const onError = (error: unknown): void => this.report(error, 'authenticate', undefined);
    authenticate(this.#options, request, target, onError, (result) => {
      if (!result.ok) writeAnswer(request, response, unauthenticated(result));
      else if (this.#isShuttingDown) writeAnswer(request, response, SHUTTING_DOWN);
      else if (!isNegotiate)
        writeAnswer(request, response, onHubPath(request.method ?? '', target, this.#negotiations));
      else if (request.method !== 'POST') writeAnswer(request, response, METHOD_NOT_ALLOWED);
      else {
        writeAnswer(request, response, negotiate(target, result.userId, this.#negotiations, this.nowMs()));
        this.#watch();
      }
    });
    return true;
  }

  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    const target = targetOf(request);
    if (target.path !== this.#path) return false;
    const options = {
      hooks: this.#options,
      acceptor: this.#acceptor,
      negotiations: this.#negotiations,
      clock: this.#options.clock,
      deadlineMs: this.hub.options.handshakeTimeoutMs,
      isShuttingDown: () => this.#isShuttingDown,
      onError: (error: unknown, method: string) => this.report(error, method, undefined),
      onAccepted: (identity: ConnectionIdentity<User>, transport: WebSocketTransport) => {
        const connection = new Connection(this, identity, transport);
        this.#connections.set(connection.id, connection);
        transport.start(connection);
        this.#watch();
      },
    };
    upgrade(options, request, socket, head, target);
    return true;
  }

  onGone(connectionId: string): void {
    if (!this.#connections.delete(connectionId)) return;
    if (this.#connections.size === 0) this.#onEmpty?.();
  }

  async drain({ graceMs = 5_000, signal }: DrainOptions = {}): Promise<void> {
    this.#isShuttingDown = true;
    if (this.#connections.size > 0 && signal?.aborted !== true) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = this.#options.clock.schedule(graceMs, resolve);
      this.#onEmpty = resolve;
      const onAbort = (): void => resolve();
      signal?.addEventListener('abort', onAbort);
      for (const connection of this.#connections.values()) connection.closeWhenIdle({ allowReconnect: true });
      this.#sweepTimer?.cancel();
      this.#sweep();
      await promise;
      signal?.removeEventListener('abort', onAbort);
      timer.cancel();
    }
    this.close();
  }

  close(): void {
    this.#isShuttingDown = true;
    this.#isClosed = true;
    this.#sweepTimer?.cancel();
    this.#sweepTimer = undefined;
    this.pacer.close();
    for (const connection of this.#connections.values()) connection.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #watch(): void {
    if (this.#isClosed) return;
    const intervalMs = this.#isShuttingDown ? Math.min(this.#sweepMs, DRAIN_CLOSE_TIMEOUT_MS / 10) : this.#sweepMs;
    this.#sweepTimer ??= this.#options.clock.schedule(intervalMs, this.#sweep);
  }

  readonly #sweep = (): void => {
    this.#sweepTimer = undefined;
    const nowMs = this.nowMs();
    const { closeTimeoutMs } = this.hub.options;
    const patienceMs = this.#isShuttingDown ? Math.min(closeTimeoutMs, DRAIN_CLOSE_TIMEOUT_MS) : closeTimeoutMs;
    for (const connection of this.#connections.values()) connection.sweep(nowMs, patienceMs);
    this.#negotiations.sweep(nowMs, this.hub.options.unusedNegotiationTimeoutMs);
    if (this.#connections.size > 0 || this.#negotiations.size > 0) this.#watch();
  };
}
