/** Limits and times of an endpoint and its transports, with their defaults: the reference's where it has one. */
import type { TransportName } from './transport.ts';

/** Milliseconds and bytes as the names say. */
export interface EndpointOptions {
  /** Which transports are offered and let in. Default: all. */
  readonly transports: readonly TransportName[];
  /** Whether clients that ask for it get stateful reconnect (WebSockets only). Default false. */
  readonly allowStatefulReconnect: boolean;
  /** Whether connections keep what their request said (`HubConnection.request`), about 2 kB each. Default false. */
  readonly keepRequest: boolean;
  /** How long the authentication of an upgrade may take. Default 15,000. */
  readonly handshakeTimeoutMs: number;
  /** Largest WebSocket message (it may hold many records). Larger ones end the connection with 1009. Default 1 MiB. */
  readonly maximumFrameBytes: number;
  /** How long to wait for the client's part of the closing handshake before the socket is cut. Default 5,000. */
  readonly closeTimeoutMs: number;
  /** A negotiated id nobody connects with is forgotten after this time. Default 15,000. */
  readonly unusedNegotiationTimeoutMs: number;
  /** Negotiated ids that may be waiting at once; more are refused with 503. Default 10,000. */
  readonly maximumUnusedNegotiations: number;
}

export const defaultEndpointOptions: EndpointOptions = {
  transports: ['WebSockets', 'ServerSentEvents', 'LongPolling'],
  allowStatefulReconnect: false,
  keepRequest: false,
  handshakeTimeoutMs: 15_000,
  maximumFrameBytes: 1_048_576,
  closeTimeoutMs: 5_000,
  unusedNegotiationTimeoutMs: 15_000,
  maximumUnusedNegotiations: 10_000,
};
