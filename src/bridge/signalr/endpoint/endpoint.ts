/**
 * An endpoint: what stands at a path of somebody else's HTTP server. It negotiates, checks who asks, and turns requests into
 * transports, which it hands to the owner of the connections. It knows no hub and no protocol, so anything may speak over it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../../time/clock.ts';
import {
  type AccessHooks,
  type Authentication,
  authenticate,
  METHOD_NOT_ALLOWED,
  SHUTTING_DOWN,
  unauthenticated,
} from './access.ts';
import { ConnectionTable } from './connection-table.ts';
import { negotiate, onHubPath, writeAnswer } from './http-endpoint.ts';
import type { EndpointOptions } from './options.ts';
import { normalPath, type Target, targetOf } from './request.ts';
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
  #isShuttingDown = false;

  constructor(settings: EndpointSettings<User>) {
    this.#settings = settings;
    this.#path = normalPath(settings.path);
    this.#table = new ConnectionTable(settings.options.maximumUnusedNegotiations);
    this.#upgrades = new Upgrades(settings, this.#table, () => this.#isShuttingDown);
  }

  /** Whether it has anything to sweep. */
  get isBusy(): boolean {
    return this.#table.size > 0;
  }

  /** Answers a request for this endpoint; false = the path is another's, and nothing was done. */
  handleRequest(request: IncomingMessage, response: ServerResponse): boolean {
    const target = targetOf(request);
    const isNegotiate = target.path === `${this.#path}/negotiate`;
    if (!isNegotiate && target.path !== this.#path) return false;
    const { hooks, onError } = this.#settings;
    const failed = (error: unknown): void => onError(error, 'authenticate');
    authenticate(hooks, request, target, failed, (result) => {
      if (!result.ok) writeAnswer(request, response, unauthenticated(result));
      else if (this.#isShuttingDown) writeAnswer(request, response, SHUTTING_DOWN);
      else if (isNegotiate) this.#negotiate(request, response, target, result);
      else writeAnswer(request, response, onHubPath(request.method ?? '', target, this.#table));
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
  }

  /** Refuses new connections with 503 from now on. */
  shutDown(): void {
    this.#isShuttingDown = true;
  }

  #negotiate(
    request: IncomingMessage,
    response: ServerResponse,
    target: Target,
    { userId }: Authentication<User> & { readonly ok: true },
  ): void {
    if (request.method !== 'POST') {
      writeAnswer(request, response, METHOD_NOT_ALLOWED);
      return;
    }
    const { clock, onBusy, options } = this.#settings;
    const nowMs = Math.floor(clock.monotonicMs());
    writeAnswer(request, response, negotiate(target, userId, this.#table, options, nowMs));
    onBusy();
  }
}
