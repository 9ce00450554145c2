/**
 * A SignalR server: mounts a hub at a path of somebody else's HTTP server.
 *
 * Owns what its connections share: the flusher, the pacing of probes and one sweep timer, which runs only while there is something
 * to watch. Knows nothing of what hubs do, logs nothing (see `onError`) and never touches requests of other paths.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '../../../time/clock.ts';
import type { AccessHooks } from '../endpoint/access.ts';
import { Endpoint } from '../endpoint/endpoint.ts';
import type { ConnectionInfo, ConnectionOwner, Transport } from '../endpoint/transport.ts';
import type { HubProtocol } from '../protocol/protocol.ts';
import { protocolsOf } from '../protocol/protocols.ts';
import type { Backplane } from './backplane.ts';
import type { HubContext } from './clients.ts';
import { Connection } from './connection.ts';
import type { ConnectionHost } from './connection-host.ts';
import { DelayQueue } from './delay-queue.ts';
import type { Hub } from './hub.ts';
import { hubContext, lifecycleContext } from './hub-clients.ts';
import { HubRouter } from './hub-router.ts';
import { sweepIntervalMs } from './options.ts';
import { OutboundFlusher } from './outbound-flusher.ts';
import { ProbePacer } from './receipts.ts';
import { ACK_DELAY_MS, type StatefulLink } from './stateful-link.ts';

export interface SignalRServerOptions<User> extends AccessHooks<User> {
  readonly hub: Hub<User>;
  /** Where the hub is mounted, for example `/chathub`. Matches in any letter case, with or without a slash at its end. */
  readonly path: string;
  readonly clock: Clock;
  /** Joins this server with others that have the same hub. Default: it is alone. */
  readonly backplane?: Backplane;
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
  /** Connections whose transport is open, or whose client may come back with another one. */
  readonly connections: number;
  /** Streams, in both directions, whose methods have not ended. */
  readonly streams: number;
  /** Answers of clients that are waited for. */
  readonly clientInvocations: number;
  /** Groups that somebody who is connected here is in. */
  readonly groups: number;
  /** Clients and groups, for code outside of calls. */
  readonly context: HubContext;
  /** Answers a request for this endpoint; false = the path is another's, and nothing was done. */
  handleRequest(request: IncomingMessage, response: ServerResponse): boolean;
  /** Takes over an upgrade request for this endpoint; false = the path is another's, and the socket was not touched. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean;
  /**
   * Ends every connection in good order: calls that run are answered, then a Close record that allows reconnecting, then the closing
   * handshake. New connections are refused with 503 from now on. Resolves when all are gone and `onDisconnected` has settled for them,
   * at the latest after the grace.
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

/** A sweep that comes so late shows that the process stood still: what clients sent meanwhile has not been read yet. */
const STANDSTILL_MS = 5_000;

/** Mounts a hub. Starts nothing by itself. */
export function createSignalRServer<User>(options: SignalRServerOptions<User>): SignalRServer {
  return new Server(options);
}

class Server<User> implements SignalRServer, ConnectionHost<User>, ConnectionOwner<User> {
  readonly hub: Hub<User>;
  readonly protocols: readonly HubProtocol[];
  readonly flusher = new OutboundFlusher();
  readonly pacer: ProbePacer;
  readonly acks: DelayQueue<StatefulLink>;
  readonly router: HubRouter;
  readonly context: HubContext;
  readonly lifecycleContext: HubContext;
  readonly #options: SignalRServerOptions<User>;
  readonly #endpoint: Endpoint<User>;
  readonly #connections = new Map<string, Connection<User>>();
  readonly #sweepMs: number;
  #sweepTimer: Timer | undefined;
  #sweepDueMs = 0;
  #isAfterStandstill = false;
  #isShuttingDown = false;
  #isClosed = false;
  /** Connections whose end the hub is not through with. */
  #endings = 0;
  #onQuiet: (() => void) | undefined;

  constructor(options: SignalRServerOptions<User>) {
    const limits = options.hub.options;
    this.#options = options;
    this.hub = options.hub;
    this.protocols = protocolsOf(limits.protocols, limits.memberNaming);
    this.pacer = new ProbePacer(options.clock, limits.receiptProbeDelayMs, limits.receiptProbeIntervalMs);
    this.acks = new DelayQueue(options.clock, ACK_DELAY_MS, (link) => link.onAckDue());
    this.router = new HubRouter({
      connections: this.#connections,
      maximumClientInvocations: limits.maximumClientInvocations,
      backplane: options.backplane,
      onError: (error, method, connectionId) => this.report(error, method, connectionId),
    });
    this.context = hubContext(this.router);
    this.lifecycleContext = lifecycleContext(this.router);
    this.#endpoint = new Endpoint({
      path: options.path,
      clock: options.clock,
      hooks: options,
      owner: this,
      options: limits,
      onError: (error, method) => this.report(error, method, undefined),
      onBusy: () => this.#watch(),
    });
    this.#sweepMs = sweepIntervalMs(limits);
  }

  get connections(): number {
    return this.#connections.size;
  }

  get streams(): number {
    let count = 0;
    for (const connection of this.#connections.values()) count += connection.streams;
    return count;
  }

  get clientInvocations(): number {
    return this.router.clientInvocations;
  }

  get groups(): number {
    return this.router.groups;
  }

  nowMs(): number {
    return Math.floor(this.#options.clock.monotonicMs());
  }

  wallMs(): number {
    return this.#options.clock.now();
  }

  report(error: unknown, method: string, connectionId: string | undefined): void {
    try {
      this.#options.onError?.(error, { method, connectionId });
    } catch {
      // Where errors are reported to cannot be told of its own.
    }
  }

  handleRequest(request: IncomingMessage, response: ServerResponse): boolean {
    return this.#endpoint.handleRequest(request, response);
  }

  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    return this.#endpoint.handleUpgrade(request, socket, head);
  }

  open(info: ConnectionInfo<User>, transport: Transport): Connection<User> {
    const connection = new Connection(this, info, transport);
    this.#connections.set(connection.id, connection);
    this.router.onOpened(connection);
    return connection;
  }

  onGone(connectionId: string): void {
    const connection = this.#connections.get(connectionId);
    if (connection === undefined) return;
    this.#connections.delete(connectionId);
    this.router.onEnded(connection);
    this.#endpoint.forget(connectionId);
    if (this.#isQuiet) this.#onQuiet?.();
  }

  onEnding(ending: Promise<void>): void {
    this.#endings += 1;
    void ending.then(() => {
      this.#endings -= 1;
      if (this.#isQuiet) this.#onQuiet?.();
    });
  }

  async drain({ graceMs = 5_000, signal }: DrainOptions = {}): Promise<void> {
    this.#isShuttingDown = true;
    this.#endpoint.shutDown();
    if (!this.#isQuiet && signal?.aborted !== true) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = this.#options.clock.schedule(graceMs, resolve);
      this.#onQuiet = resolve;
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
    this.#endpoint.shutDown();
    this.#isClosed = true;
    this.#sweepTimer?.cancel();
    this.#sweepTimer = undefined;
    this.pacer.close();
    this.acks.clear();
    for (const connection of this.#connections.values()) connection.destroy();
    this.router.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** Whether all connections are gone, and the hub is through with their ends. */
  get #isQuiet(): boolean {
    return this.#connections.size === 0 && this.#endings === 0;
  }

  #watch(): void {
    if (this.#isClosed) return;
    const intervalMs = this.#isShuttingDown ? Math.min(this.#sweepMs, DRAIN_CLOSE_TIMEOUT_MS / 10) : this.#sweepMs;
    if (this.#sweepTimer !== undefined) return;
    this.#sweepDueMs = this.nowMs() + intervalMs;
    this.#sweepTimer = this.#options.clock.schedule(intervalMs, this.#sweep);
  }

  readonly #sweep = (): void => {
    this.#sweepTimer = undefined;
    const nowMs = this.nowMs();
    // Nobody's silence is held against them before they could be heard.
    this.#isAfterStandstill = !this.#isAfterStandstill && nowMs - this.#sweepDueMs >= STANDSTILL_MS;
    if (this.#isAfterStandstill) {
      this.#watch();
      return;
    }
    const { closeTimeoutMs } = this.hub.options;
    const patienceMs = this.#isShuttingDown ? Math.min(closeTimeoutMs, DRAIN_CLOSE_TIMEOUT_MS) : closeTimeoutMs;
    for (const connection of this.#connections.values()) connection.sweep(nowMs, patienceMs);
    this.#endpoint.sweep(nowMs);
    if (this.#connections.size > 0 || this.#endpoint.isBusy) this.#watch();
  };
}
