/**
 * How a hub reaches its clients: whom to send to, groups, and questions that a client answers. Interfaces only; a server implements
 * them (hub/server.ts), on one instance or over many.
 *
 * Names of groups, users and ids are literals; there are no patterns. Sending never waits and never fails for a receiver's sake:
 * whoever has gone gets nothing, and the others are not disturbed.
 */
import type { Parameter } from '../protocol/parameters.ts';

/** Some receivers. */
export interface ClientProxy {
  /**
   * Calls their handlers of `target`. Encoded once for each protocol in use.
   * @throws TypeError when an argument cannot be serialised; then nobody gets it.
   */
  send(target: string, ...args: readonly unknown[]): void;
}

export interface InvokeOptions<Result> {
  /** What the answer must be. Default: `param.any`. */
  readonly result?: Parameter<Result>;
  /** Gives up waiting when aborted: the promise rejects with `Invocation canceled by the server.`. */
  readonly signal?: AbortSignal;
}

/** One receiver. */
export interface SingleClientProxy extends ClientProxy {
  /**
   * Calls the client's handler of `target` and waits for what it answers. Rejects with HubException in the client's words when its handler
   * fails or there is none, with an Error when the connection is unknown (`Connection does not exist.`) or ends meanwhile
   * (`Connection 'ID' disconnected.`). Must not be used in `onConnected` and `onDisconnected`, where no answer can be read.
   */
  invoke<Result = unknown>(target: string, args: readonly unknown[], options?: InvokeOptions<Result>): Promise<Result>;
}

/** Whom to send to. A connection gets an event once, whatever number of ways it is named in one call. */
export interface HubClients {
  readonly all: ClientProxy;
  allExcept(connectionIds: readonly string[]): ClientProxy;
  client(connectionId: string): SingleClientProxy;
  clients(connectionIds: readonly string[]): ClientProxy;
  group(name: string): ClientProxy;
  groups(names: readonly string[]): ClientProxy;
  groupExcept(name: string, connectionIds: readonly string[]): ClientProxy;
  /** Every connection of that user. */
  user(userId: string): ClientProxy;
  users(userIds: readonly string[]): ClientProxy;
}

/** The same, seen from one connection. */
export interface CallerClients extends HubClients {
  readonly caller: SingleClientProxy;
  /** All but the caller. */
  readonly others: ClientProxy;
  /** The group but for the caller, whether it is in it or not. */
  othersInGroup(name: string): ClientProxy;
}

/** Which connections belong together. A connection leaves all its groups when it ends. */
export interface HubGroups {
  /** Adding twice is as adding once; a connection that does not exist is passed over. Resolves when it is in. */
  add(connectionId: string, group: string): Promise<void>;
  /** Removing what is not in is no error. */
  remove(connectionId: string, group: string): Promise<void>;
}

/** What a hub has beside its methods: for code outside of calls (`SignalRServer.context`) and for the life-cycle events. */
export interface HubContext {
  readonly clients: HubClients;
  readonly groups: HubGroups;
}
