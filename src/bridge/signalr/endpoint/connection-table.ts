/**
 * The negotiated connections of an endpoint, by their secret token: waiting for their client, or open. Those that wait are bounded in
 * number and time. Also what must be given back when a connection is over.
 */
import { newConnectionId } from './negotiate.ts';
import type { OpenConnection, Transport } from './transport.ts';

/** A negotiated connection. */
export interface Entry<User> {
  readonly connectionId: string;
  readonly connectionToken: string;
  readonly userId: string | undefined;
  /** Whether negotiation agreed on stateful reconnect. */
  readonly isStateful: boolean;
  readonly sinceMs: number;
  /** Of the client that negotiated it. */
  readonly address: string;
  /** undefined: nobody has come yet. */
  active: ActiveConnection<User> | undefined;
}

export interface ActiveConnection<User> {
  transport: Transport;
  readonly connection: OpenConnection<User>;
}

export class ConnectionTable<User> {
  readonly #byToken = new Map<string, Entry<User>>();
  readonly #byId = new Map<string, Entry<User>>();
  readonly #releases = new Map<string, () => void>();
  readonly #maximumUnused: number;
  readonly #unusedByAddress = new Map<string, number>();
  #unused = 0;

  /** @param maximumUnused how many may wait for their client at once. */
  constructor(maximumUnused: number) {
    this.#maximumUnused = maximumUnused;
  }

  /** How many have been negotiated and are not over. */
  get size(): number {
    return this.#byToken.size;
  }

  get isFull(): boolean {
    return this.#unused >= this.#maximumUnused;
  }

  /** A new entry. Version 0 has one id for both purposes. */
  add(version: 0 | 1, negotiated: Omit<Entry<User>, 'connectionId' | 'connectionToken' | 'active'>): Entry<User> {
    const connectionId = newConnectionId();
    const connectionToken = version === 0 ? connectionId : newConnectionId();
    const entry = { ...negotiated, connectionId, connectionToken, active: undefined };
    this.#byToken.set(connectionToken, entry);
    this.#byId.set(connectionId, entry);
    this.#count(entry, 1);
    return entry;
  }

  /** How many of that address wait for their client. */
  unusedOf(address: string): number {
    return this.#unusedByAddress.get(address) ?? 0;
  }

  find(token: string): Entry<User> | undefined {
    return this.#byToken.get(token);
  }

  /** The entry's client has come. */
  use(entry: Entry<User>, active: ActiveConnection<User>): void {
    this.#count(entry, -1);
    entry.active = active;
  }

  /** Has `release` called when the connection is forgotten. */
  onForgotten(connectionId: string, release: () => void): void {
    this.#releases.set(connectionId, release);
  }

  /** The connection is over; its token is unknown from now on. */
  forget(connectionId: string): void {
    const release = this.#releases.get(connectionId);
    this.#releases.delete(connectionId);
    const entry = this.#byId.get(connectionId);
    if (entry !== undefined) this.#remove(entry);
    release?.();
  }

  /** Every negotiated connection that is open. */
  *actives(): Iterable<ActiveConnection<User>> {
    for (const { active } of this.#byToken.values()) if (active !== undefined) yield active;
  }

  /** Forgets what nobody came for. */
  sweep(nowMs: number, timeoutMs: number): void {
    if (this.#unused === 0) return;
    for (const entry of this.#byToken.values()) {
      if (entry.active === undefined && nowMs - entry.sinceMs >= timeoutMs) this.#remove(entry);
    }
  }

  #remove(entry: Entry<User>): void {
    this.#byToken.delete(entry.connectionToken);
    this.#byId.delete(entry.connectionId);
    if (entry.active === undefined) this.#count(entry, -1);
  }

  #count({ address }: Entry<User>, change: 1 | -1): void {
    this.#unused += change;
    const count = this.unusedOf(address) + change;
    if (count === 0) this.#unusedByAddress.delete(address);
    else this.#unusedByAddress.set(address, count);
  }
}
