/**
 * An endpoint: what stands at a path of somebody else's HTTP server. It negotiates, checks who asks, and turns requests into
 * transports, which it hands to the owner of the connections. It knows no hub and no protocol, so anything may speak over it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../../time/clock.ts';
import { type AccessHooks, authenticate, SHUTTING_DOWN, unauthenticated } from './access.ts';
import { ConnectionTable } from './connection-table.ts';
import { writeAnswer } from './http-answer.ts';
import { HttpConnections } from './http-connections.ts';
import { LongPollingTransport } from './long-polling-transport.ts';
import type { EndpointOptions } from './options.ts';
import { normalPath, targetOf } from './request.ts';
import type { ConnectionOwner } from './transport.ts';
import { Upgrades } from './upgrade.ts';

export interface EndpointSettings<User> {
  /** Where it is mounted, for example `/chathub`. Matches in any letter case, with or without a slash at its end. */
  readonly path: string;
  readonly clock: Clock;
  readonly hooks: AccessHooks<User>;
  readonly owner: ConnectionOwner<User>;
  readonly options: EndpointOptions;
  /** Told of errors of the hooks; `method` is the hook's name. */
  readonly onError: (error: unknown, method: string) => void;
  /** There is something to watch from now on: `sweep` should be called about once a second while `isBusy`. */
  readonly onBusy: () => void;
}

export class Endpoint<User> {
  readonly #settings: EndpointSettings<User>;
  readonly #path: string;
  readonly #table: ConnectionTable<User>;
  readonly #upgrades: Upgrades<User>;
  readonly #connections: HttpConnections<User>;
  #isShuttingDown = false;

  /** @throws RangeError for a path that no request can have. */
  constructor(settings: EndpointSettings<User>) {
    if (!/^\/[^?#]*$/.test(settings.path))
      throw new RangeError(`A path must begin with a slash, not be '${settings.path}'`);
    this.#settings = settings;
    this.#path = normalPath(settings.path);
    this.#table = new ConnectionTable(settings.options.maximumUnusedNegotiations);
    this.#connections = new HttpConnections(settings, this.#table, () => this.#isShuttingDown);
    this.#upgrades = new Upgrades(settings, this.#table, () => this.#isShuttingDown);
  }

  /** Whether it has anything to sweep. */
  get isBusy(): boolean {
    return this.#table.size > 0;
  }

  /** Answers a request for this endpoint; false = the path is another's, and nothing was done. */
  handleRequest(request: IncomingMessage, response: ServerResponse): boolean {
    const target = targetOf(request);
    const place = this.#placeOf(target.path);
    if (place === undefined) return false;
    const { hooks, onError } = this.#settings;
    const failed = (error: unknown): void => onError(error, 'authenticate');
    authenticate(hooks, request, target, failed, (who) => {
      if (!who.ok) writeAnswer(request, response, unauthenticated(who));
      // Who is here may take what there still is, and say goodbye.
      else if (this.#isShuttingDown && place !== 'connection') writeAnswer(request, response, SHUTTING_DOWN);
      else if (place === 'negotiate') this.#connections.negotiate({ request, response, target, who });
      else if (place === 'refresh') this.#connections.refresh({ request, response, target, who });
      else this.#connections.handle({ request, response, target, who });
    });
    return true;
  }

  /** Takes over an upgrade request for this endpoint; false = the path is another's, and the socket was not touched. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    const target = targetOf(request);
    if (target.path !== this.#path) return false;
    this.#upgrades.handle(request, socket, head, target);
    return true;
  }

  /** The connection is over. */
  forget(connectionId: string): void {
    this.#table.forget(connectionId);
  }

  /** Looks at every deadline. `nowMs`: whole milliseconds of the monotonic clock. */
  sweep(nowMs: number): void {
    this.#table.sweep(nowMs, this.#settings.options.unusedNegotiationTimeoutMs);
    this.#connections.sweep(nowMs);
    for (const { transport } of this.#table.actives()) {
      if (transport instanceof LongPollingTransport) transport.sweep(nowMs);
    }
  }

  /** Refuses new connections with 503 from now on. */
  shutDown(): void {
    this.#isShuttingDown = true;
  }

  #placeOf(path: string): 'connection' | 'negotiate' | 'refresh' | undefined {
    if (path === this.#path) return 'connection';
    const base = this.#path === '/' ? '' : this.#path;
    if (path === `${base}/negotiate`) return 'negotiate';
    return path === `${base}/refresh` && this.#settings.options.allowTokenRenewal ? 'refresh' : undefined;
  }
}
