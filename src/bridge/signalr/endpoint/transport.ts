/**
 * The two sides of a transport: what a connection needs of it, and what it tells the connection. A transport moves bytes;
 * it knows nothing of records, protocols or hubs.
 */
import type { Batch } from './batch.ts';
import type { ConnectionRequest } from './connection-request.ts';

/** As negotiate names them. */
export type TransportName = 'WebSockets' | 'ServerSentEvents' | 'LongPolling';

export interface Transport {
  readonly name: TransportName;
  /** Whether it carries bytes; else only text. */
  readonly isBinary: boolean;
  /** Whether its peer can be asked for proof of receipt (`probe`), and must answer. */
  readonly canProve: boolean;
  /** Whether keep-alive pings make sense on it: long polling has polls instead (transcript 65). */
  readonly wantsPings: boolean;
  /** The request that opened it, or the latest poll; undefined unless the endpoint keeps requests. */
  readonly request: ConnectionRequest | undefined;
  /** Whether `write` makes sense now; when it turns true again the transport calls `onWritable`. */
  readonly isWritable: boolean;
  /** Bytes handed over by `write` that the peer's side has not taken. */
  readonly bufferedBytes: number;
  /** Bytes taken so far; it stands still while the peer takes nothing. */
  readonly takenBytes: number;
  /** Who is told. Must be called once, in the turn in which the transport was made. */
  start(observer: TransportObserver): void;
  /** Sends the batch as one unit: a text message if its chunks are text, else a binary one. */
  write(batch: Batch): void;
  /** Stops and starts reading. */
  pause(): void;
  resume(): void;
  /** Ends in good order after all that was written. `onClosed` follows. */
  close(): void;
  /** Ends at once; unsent bytes are dropped. `onClosed` follows. */
  destroy(): void;
  /** As `close`, for a transport that another one has replaced: nothing is told to the observer any more. */
  abandon(): void;
  /** Asks the peer for proof that it has all that was written. `onProof` follows with the same `mark`, or nothing ever. */
  probe(mark: number): void;
}

/** Implemented by the connection. */
export interface TransportObserver {
  /** Bytes of any cut. The buffer is only valid during the call. Answers whether they are wanted: an observer that is closing takes nothing. */
  onData(data: Buffer): boolean;
  onWritable(): void;
  onProof(mark: number): void;
  /**
   * The peer has left or the transport has ended. May come twice, first when the peer announces the end and then when the
   * transport is gone (`isGone`).
   */
  onClosed(reason: TransportEnd, isGone: boolean): void;
}

/**
 * `orderly`: the peer said that it leaves. `unexplained`: it closed in good order without saying why; a client that gives
 * up on a server it no longer hears does that, too.
 */
export type TransportEnd = 'orderly' | 'unexplained' | 'lost' | 'violation';

/** Who is connected, and what was agreed on. */
export interface ConnectionInfo<User> {
  /** Public id: 22 characters of base64url. It opens nothing, unless it was negotiated by version 0, which has one id for both purposes. */
  readonly id: string;
  readonly user: User;
  readonly userId: string | undefined;
  readonly remoteAddress: string;
  /** Whether negotiation agreed on stateful reconnect; only WebSockets have it. */
  readonly isStateful: boolean;
  /** When the token runs out, in wall milliseconds; undefined = never, or not known. */
  readonly expiresAtMs?: number | undefined;
}

/** A connection as its endpoint sees it. */
export interface OpenConnection<User> extends TransportObserver {
  /**
   * The client has shown a token of the same user again: with a request of its transport, or on purpose to renew it. Requests may
   * overtake each other, so an older token may come after a newer one.
   */
  onAuthenticated?(user: User, expiresAtMs: number | undefined, isRenewal?: boolean): void;
  /** Whether the client of a stateful connection may come back with a new transport now; if not it must begin anew. */
  readonly canReattach?: boolean;
  /**
   * The client comes back with a new transport, whether the old one is gone or not; the endpoint abandons that. False: it
   * cannot go on.
   */
  reattach?(transport: Transport): boolean;
}

/** Who owns the connections of an endpoint: a hub server, or anything else that speaks over the same transports. */
export interface ConnectionOwner<User> {
  /**
   * A connection begins; answers who is told of it. When it is over, the owner calls the endpoint's `forget` with its id: once, and not
   * before its transport is gone.
   */
  open(info: ConnectionInfo<User>, transport: Transport): OpenConnection<User>;
}
