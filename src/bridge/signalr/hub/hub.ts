/**
 * How a hub is defined. A hub is a table of methods that clients call and a few events of its connections; the server it
 * is mounted on (server.ts) does the rest.
 *
 * ```ts
 * const echoHub = hub<MyUser>({
 *   methods: {
 *     Echo: method([param.string], (_context, text) => text),
 *     History: method([param.string, param.optional(param.int, 50)], (context, id, take) => load(context.user, id, take)),
 *   },
 *   onConnected: (connection) => { connection.send('Welcome', [connection.id]); },
 * });
 * ```
 */
import type { ConnectionRequest } from '../endpoint/connection-request.ts';
import type { TransportName } from '../endpoint/transport.ts';
import type { CloseContent } from '../protocol/messages.ts';
import { MethodTable } from '../protocol/method-table.ts';
import type { ArgumentsOf, Parameter } from '../protocol/parameters.ts';
import type { CallerClients, HubContext, HubGroups } from './clients.ts';
import type { ConnectionError } from './errors.ts';
import { type HubOptions, hubOptions } from './options.ts';
import type { SharedInvocation } from './shared-invocation.ts';

export interface SendOptions {
  /** Ask for evidence that this record reaches the client's process; `onReceived` tells it. Default false. */
  readonly receipt?: boolean;
  /**
   * The sender waits for `drained` between pages, so the record does not count against `maximumOutboundBytes`: a page of
   * large records is not mistaken for a slow client. Default false.
   */
  readonly paced?: boolean;
}

/** One client's connection, as a hub sees it. */
export interface HubConnection<User> {
  /** Public id: 22 characters of base64url. It opens nothing, unless its client negotiated by version 0, which has one id for both purposes. */
  readonly id: string;
  /** What `authenticate` gave, last; of one user always. */
  readonly user: User;
  /** undefined: the token was good but named no user. */
  readonly userId: string | undefined;
  readonly remoteAddress: string;
  readonly transportName: TransportName;
  /** What the connection's request said; undefined unless the hub's option `keepRequest` is on. */
  readonly request: ConnectionRequest | undefined;
  /** Whether the handshake is done and the connection has not begun to close. */
  readonly isOpen: boolean;
  /**
   * Whether the client ended the connection and said so: a Close record, or a close frame with a code (a page that is left
   * or reloaded sends 1001). False for every other end, also for a close frame without a code: a client that has heard
   * nothing for its server timeout closes like that, and then comes back.
   */
  readonly hasSaidGoodbye: boolean;
  /**
   * Calls the client's handlers of `target`. The record is queued and leaves with all others of this turn of the event loop.
   * Answers its mark: its place in what this connection was ever sent, 1, 2, 3…; 0 when the connection is not open.
   * Never waits and never throws for the connection's sake. Throws TypeError when an argument cannot be serialised.
   */
  send(target: string, args: readonly unknown[], options?: SendOptions): number;
  /** As `send`, for an invocation made once for many receivers with `sharedInvocation`. */
  sendShared(invocation: SharedInvocation, options?: SendOptions): number;
  /** Resolves when all that was sent is with the transport; rejects when the connection ends before that. */
  drained(): Promise<void>;
  /**
   * Ends the connection: Close record, closing handshake, end. What is queued still goes out before it, calls that still
   * run get no answer. Without `allowReconnect` the stock clients do not come back. Idempotent.
   */
  close(content?: CloseContent): void;
}

/** Given to each call of a method. */
export interface InvocationContext<User> {
  readonly connection: HubConnection<User>;
  readonly connectionId: string;
  readonly user: User;
  readonly userId: string | undefined;
  /** Everybody, seen from the caller. While the call waits for a client's answer through it, the caller's next calls may begin. */
  readonly clients: CallerClients;
  readonly groups: HubGroups;
  /** Aborted when nobody waits for the answer any more: the client cancelled the stream, or the connection has ended. */
  readonly signal: AbortSignal;
  /**
   * Calls `callback` once when there is proof that the answer to this call has reached the client's process, and never
   * otherwise: not when the client wanted no answer, nor when the connection ends first (`onDisconnected` tells that).
   */
  onAnswered(callback: () => void): void;
}

/** A method with its parameter types; make it with `method`. */
export interface HubMethod<User> {
  readonly parameters: readonly Parameter[];
  readonly invoke: (context: InvocationContext<User>, ...args: never[]) => unknown;
  /** Whether it answers a stream; see `stream`. */
  readonly isStreaming: boolean;
  /** See `MethodOptions`. */
  readonly overlaps: boolean;
}

export interface MethodOptions {
  /**
   * Whether a call may begin while earlier calls of the same connection to overlapping methods still run. They begin in the
   * order of their arrival; a method may say so if its effects keep that order. Other methods wait for all before them, and
   * all behind wait for them. Default false: one call at a time.
   */
  readonly overlaps?: boolean;
}

/**
 * Declares a method. `handler` gets arguments that fit `parameters`; what it returns, or its promise gives, is the answer
 * (undefined is sent as null). A `HubException` it throws is shown to the client, any other error is not.
 */
export function method<User, const Parameters extends readonly Parameter[]>(
  parameters: Parameters,
  handler: (context: InvocationContext<User>, ...args: ArgumentsOf<Parameters>) => unknown,
  options: MethodOptions = {},
): HubMethod<User> {
  const invoke = handler as HubMethod<User>['invoke'];
  return { parameters, invoke, isStreaming: false, overlaps: options.overlaps ?? false };
}

/**
 * Declares a method that answers a stream: its items go to the client as they come, at the pace the client takes them. A stream holds up
 * no other call. The iteration is ended (`return`) when the client cancels or the connection ends; `context.signal` tells it earlier.
 */
export function stream<User, const Parameters extends readonly Parameter[]>(
  parameters: Parameters,
  handler: (
    context: InvocationContext<User>,
    ...args: ArgumentsOf<Parameters>
  ) => AsyncIterable<unknown> | Iterable<unknown> | Promise<AsyncIterable<unknown> | Iterable<unknown>>,
): HubMethod<User> {
  return { parameters, invoke: handler as HubMethod<User>['invoke'], isStreaming: true, overlaps: false };
}

export interface HubDefinition<User> {
  /** By the name that clients call, in any letter case, and that error texts quote. */
  readonly methods: Readonly<Record<string, HubMethod<User>>>;
  /**
   * After the handshake and before the first call. While its promise is pending, calls wait. An error closes the
   * connection, without leave to reconnect; `onDisconnected` still runs. `context` cannot `invoke`: no answer is read yet.
   */
  readonly onConnected?: (connection: HubConnection<User>, context: HubContext) => unknown;
  /** Exactly once for each connection whose handshake was good, after `onConnected` has settled. `error` is undefined after an end in good order. */
  readonly onDisconnected?: (
    connection: HubConnection<User>,
    error: ConnectionError | undefined,
    context: HubContext,
  ) => unknown;
  /**
   * The client has shown a token of the same user that runs out later than the one before, with a request of its transport or to renew
   * it; `connection.user` is of that token.
   */
  readonly onRenewed?: (connection: HubConnection<User>) => void;
  /** Everything sent to the connection up to `mark` has reached the client's process. Marks only grow. */
  readonly onReceived?: (connection: HubConnection<User>, mark: number) => void;
  readonly options?: Partial<HubOptions>;
}

/** A checked definition, ready to be mounted. */
export interface Hub<User> {
  readonly table: MethodTable;
  readonly options: HubOptions;
  readonly onConnected: HubDefinition<User>['onConnected'] | undefined;
  readonly onDisconnected: HubDefinition<User>['onDisconnected'] | undefined;
  readonly onRenewed: HubDefinition<User>['onRenewed'] | undefined;
  readonly onReceived: HubDefinition<User>['onReceived'] | undefined;
}

/** Checks a definition. Throws TypeError for bad method tables and RangeError for bad options. */
export function hub<User>(definition: HubDefinition<User>): Hub<User> {
  return {
    table: new MethodTable(definition.methods),
    options: hubOptions(definition.options),
    onConnected: definition.onConnected,
    onDisconnected: definition.onDisconnected,
    onRenewed: definition.onRenewed,
    onReceived: definition.onReceived,
  };
}
