/**
 * The connections of one server by id, user and group. A connection is in it from the opening of its transport to its end; what is sent
 * to one that is not open is dropped by the connection itself.
 *
 * Costs nothing for what is not used: the index of users is built when a user is first sent to, groups exist while somebody is in them.
 */
import type { Audience } from './backplane.ts';
import type { SharedInvocation } from './shared-invocation.ts';

/** A connection, as far as it is sent to. */
export interface Reachable {
  readonly id: string;
  readonly userId: string | undefined;
  readonly isOpen: boolean;
  sendShared(invocation: SharedInvocation): number;
  /** Sends an invocation that wants an answer; answers its mark, 0 when the connection is not open. Throws TypeError as `send`. */
  ask(invocationId: string, target: string, args: readonly unknown[]): number;
}

export class ConnectionDirectory {
  readonly #byId: ReadonlyMap<string, Reachable>;
  readonly #groups = new Map<string, Set<Reachable>>();
  readonly #groupsOf = new Map<Reachable, Set<string>>();
  #byUser: Map<string, Set<Reachable>> | undefined;

  /** @param byId the server's own map. */
  constructor(byId: ReadonlyMap<string, Reachable>) {
    this.#byId = byId;
  }

  /** Groups that somebody is in. */
  get groups(): number {
    return this.#groups.size;
  }

  get(connectionId: string): Reachable | undefined {
    const connection = this.#byId.get(connectionId);
    return connection?.isOpen === true ? connection : undefined;
  }

  onOpened(connection: Reachable): void {
    if (this.#byUser !== undefined) indexUser(this.#byUser, connection);
  }

  onGone(connection: Reachable): void {
    for (const group of this.#groupsOf.get(connection) ?? []) leave(this.#groups, group, connection);
    this.#groupsOf.delete(connection);
    if (this.#byUser !== undefined && connection.userId !== undefined) {
      leave(this.#byUser, connection.userId, connection);
    }
  }

  addToGroup(connection: Reachable, group: string): void {
    enter(this.#groups, group, connection);
    const groups = this.#groupsOf.get(connection);
    if (groups === undefined) this.#groupsOf.set(connection, new Set([group]));
    else groups.add(group);
  }

  removeFromGroup(connection: Reachable, group: string): void {
    leave(this.#groups, group, connection);
    const groups = this.#groupsOf.get(connection);
    groups?.delete(group);
    if (groups?.size === 0) this.#groupsOf.delete(connection);
  }

  /** The connections of the audience that are here, each once. */
  of(audience: Audience): Iterable<Reachable> {
    switch (audience.to) {
      case 'all':
        return without(this.#byId.values(), audience.except);
      case 'connections':
        return present(audience.ids.map((id) => this.#byId.get(id)));
      case 'groups':
        return without(union(audience.names.map((name) => this.#groups.get(name))), audience.except);
      case 'users': {
        const users = this.#users();
        return union(audience.ids.map((id) => users.get(id)));
      }
    }
  }

  #users(): ReadonlyMap<string, ReadonlySet<Reachable>> {
    if (this.#byUser === undefined) {
      this.#byUser = new Map();
      for (const connection of this.#byId.values()) indexUser(this.#byUser, connection);
    }
    return this.#byUser;
  }
}

type Index = Map<string, Set<Reachable>>;

function indexUser(index: Index, connection: Reachable): void {
  if (connection.userId !== undefined) enter(index, connection.userId, connection);
}

function enter(index: Index, key: string, connection: Reachable): void {
  const set = index.get(key);
  if (set === undefined) index.set(key, new Set([connection]));
  else set.add(connection);
}

function leave(index: Index, key: string, connection: Reachable): void {
  const set = index.get(key);
  if (set?.delete(connection) === true && set.size === 0) index.delete(key);
}

function union(sets: readonly (ReadonlySet<Reachable> | undefined)[]): Iterable<Reachable> {
  if (sets.length === 1) return sets[0] ?? [];
  const all = new Set<Reachable>();
  for (const set of sets) for (const connection of set ?? []) all.add(connection);
  return all;
}

function present(connections: readonly (Reachable | undefined)[]): Set<Reachable> {
  return new Set(connections.filter((connection) => connection !== undefined));
}

function without(connections: Iterable<Reachable>, ids: readonly string[]): Iterable<Reachable> {
  return ids.length === 0 ? connections : sieve(connections, ids);
}

function* sieve(connections: Iterable<Reachable>, ids: readonly string[]): Iterable<Reachable> {
  const excluded = new Set(ids);
  for (const connection of connections) if (!excluded.has(connection.id)) yield connection;
}
