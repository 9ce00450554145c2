/**
 * What a hub is told of one connection: `onConnected` once after the handshake, `onDisconnected` once, and not before `onConnected` has
 * settled. What the hub's code throws is reported and goes no further.
 */
import { isPromise } from '../endpoint/is-promise.ts';
import type { ConnectionHost } from './connection-host.ts';
import type { ConnectionError } from './errors.ts';
import type { HubConnection } from './hub.ts';

/** What the life-cycle needs of its connection. */
export interface LifeCycleOwner {
  readonly isOpen: boolean;
  /** `onConnected` has settled well, and the connection is still open: calls may begin. */
  onReady(): void;
  /** `onConnected` failed while the connection was open. */
  onRefused(error: unknown): void;
}

export class LifeCycle<User> {
  readonly #host: ConnectionHost<User>;
  readonly #connection: HubConnection<User> & LifeCycleOwner;
  #phase: 'new' | 'connecting' | 'connected' | 'over' = 'new';
  /** Given when the connection ended while `onConnected` ran. */
  #end: { readonly failure: ConnectionError | undefined } | undefined;

  constructor(host: ConnectionHost<User>, connection: HubConnection<User> & LifeCycleOwner) {
    this.#host = host;
    this.#connection = connection;
  }

  /** The handshake is done. */
  begin(): void {
    this.#phase = 'connecting';
    let result: unknown;
    try {
      result = this.#host.hub.onConnected?.(this.#connection, this.#host.lifecycleContext);
    } catch (error) {
      this.#settled(error, true);
      return;
    }
    if (!isPromise(result)) {
      this.#settled(undefined, false);
      return;
    }
    Promise.resolve(result).then(
      () => this.#settled(undefined, false),
      (error: unknown) => this.#settled(error, true),
    );
  }

  /** The connection is over. */
  end(failure: ConnectionError | undefined): void {
    if (this.#phase === 'connecting') this.#end ??= { failure };
    if (this.#phase !== 'connected') return;
    this.#phase = 'over';
    try {
      const result = this.#host.hub.onDisconnected?.(this.#connection, failure, this.#host.lifecycleContext);
      if (!isPromise(result)) return;
      this.#host.onEnding(
        Promise.resolve(result).then(
          () => undefined,
          (error: unknown) => this.#report(error, 'onDisconnected'),
        ),
      );
    } catch (error) {
      this.#report(error, 'onDisconnected');
    }
  }

  /** Runs code of the hub whose errors must not reach the transport. */
  attempt(method: string, callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.#report(error, method);
    }
  }

  #settled(error: unknown, hasFailed: boolean): void {
    this.#phase = 'connected';
    if (hasFailed) this.#report(error, 'onConnected');
    if (this.#end !== undefined) this.end(this.#end.failure);
    else if (hasFailed) this.#connection.onRefused(error);
    else this.#connection.onReady();
  }

  #report(error: unknown, method: string): void {
    this.#host.report(error, method, this.#connection.id);
  }
}
