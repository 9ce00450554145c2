/** Limits and times of an endpoint and its transports, with their defaults: the reference's where it has one. */
import type { TransportName } from './transport.ts';

/** Milliseconds and bytes as the names say. */
export interface EndpointOptions {
  /** Which transports are offered and let in. Default: all. */
  readonly transports: readonly TransportName[];
  /** Whether clients that ask for it get stateful reconnect (WebSockets only). Default false. */
  readonly allowStatefulReconnect: boolean;
  /**
   * Whether a WebSocket with an id that was not negotiated here begins a connection of its own, instead of being refused: for instances
   * behind a load balancer that may send negotiation and connection to different ones. A stateful connection would be begun anew by it
   * instead of resumed, so not together with `allowStatefulReconnect`. Default false.
   */
  readonly acceptForeignIds: boolean;
  /** Whether connections keep what their request said (`HubConnection.request`), about 2 kB each. Default false. */
  readonly keepRequest: boolean;
  /** How long the authentication of an upgrade may take; then its owner's handshake. Default 15,000. */
  readonly handshakeTimeoutMs: number;
  /**
   * Largest WebSocket message or POST (it may hold many records). A larger message ends the connection with 1009, a larger POST is
   * answered 413. Default 1 MiB.
   */
  readonly maximumFrameBytes: number;
  /** What the bodies of POST requests may hold in memory together, in bytes; beyond that they are answered 503. Default 64 MiB. */
  readonly maximumPostedBytes: number;
  /** How long the body of a POST may take to arrive; then it is answered 408. Default 30,000. */
  readonly postTimeoutMs: number;
  /** How long to wait for the client's part of the closing handshake before the socket is cut. Default 5,000. */
  readonly closeTimeoutMs: number;
  /** A negotiated id nobody connects with is forgotten after this time. Default 15,000. */
  readonly unusedNegotiationTimeoutMs: number;
  /** The same for those of one address; more are refused with 429. Default 1,000. */
  readonly maximumNegotiationsPerAddress: number;
  /** A poll with nothing to tell is answered empty after this time. Default 90,000; the stock clients wait 100 s. */
  readonly pollTimeoutMs: number;
  /** A long polling client that does not poll for this long is gone. Default 15,000. */
  readonly disconnectTimeoutMs: number;
  /**
   * Whether clients may renew the token of a running connection (POST {path}/refresh), and are told at negotiation how long theirs lives.
   * Default false.
   */
  readonly allowTokenRenewal: boolean;
  /** Whether a connection is closed, with leave to reconnect, when its token runs out and was not renewed. Default false. */
  readonly closeOnAuthenticationExpiration: boolean;
  /**
   * Negotiations below this version are refused. The stock clients ask for 1; in version 0 the id that everybody may see also opens the
   * connection, for the same user. Default 0: all pass.
   */
  readonly minimumNegotiateVersion: number;
  /** Negotiated ids that may be waiting at once; more are refused with 503. Default 10,000. */
  readonly maximumUnusedNegotiations: number;
}

export const defaultEndpointOptions: EndpointOptions = {
  transports: ['WebSockets', 'ServerSentEvents', 'LongPolling'],
  allowStatefulReconnect: false,
  acceptForeignIds: false,
  keepRequest: false,
  handshakeTimeoutMs: 15_000,
  maximumFrameBytes: 1_048_576,
  maximumPostedBytes: 67_108_864,
  postTimeoutMs: 30_000,
  closeTimeoutMs: 5_000,
  unusedNegotiationTimeoutMs: 15_000,
  minimumNegotiateVersion: 0,
  maximumUnusedNegotiations: 10_000,
  maximumNegotiationsPerAddress: 1_000,
  pollTimeoutMs: 90_000,
  disconnectTimeoutMs: 15_000,
  allowTokenRenewal: false,
  closeOnAuthenticationExpiration: false,
};
