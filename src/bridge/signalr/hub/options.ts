/**
 * Limits and times of a hub, their defaults, and the check that refuses senseless ones at start.
 * Defaults are the reference's where it has one.
 */
import { defaultEndpointOptions, type EndpointOptions } from '../endpoint/options.ts';
import { type MemberNaming, memberNamings } from '../protocol/member-names.ts';
import { type ProtocolName, protocolNames } from '../protocol/protocols.ts';

/** Limits and times. Milliseconds and bytes as the names say. */
export interface HubOptions extends EndpointOptions {
  /** Protocols that clients may choose; at least one. Default: `json` and `messagepack`. */
  readonly protocols: readonly ProtocolName[];
  /** How members of objects are named when they are written, in every protocol: `as-written` or `camelCase`. Default `as-written`. */
  readonly memberNaming: MemberNaming;
  /** A Ping goes to every client this often, whatever else is sent. Default 15,000 (half the stock client's patience). */
  readonly keepAliveIntervalMs: number;
  /**
   * A client that has sent a hub Ping is closed when nothing comes from it for this long. Default 30,000. One that never
   * pings is timed out only with `timesOutSilentClients`; WebSocket pings do not count.
   */
  readonly clientTimeoutMs: number;
  /**
   * Whether a client that has never sent a hub Ping is closed, too, when nothing at all comes from it for `clientTimeoutMs`, no poll
   * either. The stock clients ping, or poll; the reference spares whoever does not. Default false.
   */
  readonly timesOutSilentClients: boolean;
  /** The handshake, and before it the authentication, must each be done in this time. Default 15,000. */
  readonly handshakeTimeoutMs: number;
  /** Largest record a client may send, its separator included. Default 32,768, at least 256. */
  readonly maximumReceiveMessageBytes: number;
  /** A client that takes nothing of what is written to it for this long is cut. Default 10,000. */
  readonly sendTimeoutMs: number;
  /**
   * How much may wait in memory for one client, in characters of encoded records. Default 1 MiB. At the bound the client is
   * cut as a slow consumer.
   */
  readonly maximumOutboundBytes: number;
  /**
   * Stateful connections: how much that the client has not acknowledged is kept for a replay, in bytes of encoded records, of text in
   * characters. Default 100,000. Past it a client that loses its transport must begin anew.
   */
  readonly statefulReconnectBufferBytes: number;
  /** Stateful connections: how long one lives on without a transport. Default 15,000. */
  readonly statefulReconnectTimeoutMs: number;
  /** Calls of one client that may wait for their turn. When as many wait, nothing more is read from it. Default 100. */
  readonly maximumWaitingInvocations: number;
  /**
   * Calls of one client that may run at the same time. Default 1: each waits for the one before it. Streams, calls with uploads and calls
   * that wait for a client's answer do not count; methods may say that they overlap (`MethodOptions`).
   */
  readonly maximumParallelInvocations: number;
  /** Streams of one client, in both directions together. Default 100. A call for one more fails. */
  readonly maximumStreamsPerConnection: number;
  /** Items of one upload stream that may wait for its method. Default 10. When as many wait, nothing more is read from the client. */
  readonly uploadBufferItems: number;
  /** Answers of one client that may be waited for at the same time. Default 100. One more fails. */
  readonly maximumClientInvocations: number;
  /** Whether clients see the messages of all errors. For development: messages may hold secrets. Default false. */
  readonly enableDetailedErrors: boolean;
  /** From a record that wants a receipt to the probe that asks for it. Default 20. */
  readonly receiptProbeDelayMs: number;
  /** Shortest time between two probes of one connection. Default 1,000. */
  readonly receiptProbeIntervalMs: number;
  /** A probe unanswered for this long shows a half-open connection, which is cut. Default 30,000. */
  readonly receiptTimeoutMs: number;
}

export const defaultHubOptions: HubOptions = {
  ...defaultEndpointOptions,
  protocols: protocolNames,
  memberNaming: 'as-written',
  keepAliveIntervalMs: 15_000,
  clientTimeoutMs: 30_000,
  timesOutSilentClients: false,
  maximumReceiveMessageBytes: 32_768,
  sendTimeoutMs: 10_000,
  maximumOutboundBytes: 1_048_576,
  statefulReconnectBufferBytes: 100_000,
  statefulReconnectTimeoutMs: 15_000,
  maximumWaitingInvocations: 100,
  maximumParallelInvocations: 1,
  maximumStreamsPerConnection: 100,
  uploadBufferItems: 10,
  maximumClientInvocations: 100,
  enableDetailedErrors: false,
  receiptProbeDelayMs: 20,
  receiptProbeIntervalMs: 1_000,
  receiptTimeoutMs: 30_000,
};

/** What options that are a name, or a list of names, may name. */
const NAMES: Readonly<Record<string, readonly unknown[]>> = {
  transports: defaultEndpointOptions.transports,
  protocols: protocolNames,
  memberNaming: memberNamings,
};
/** Least values that are not 1. */
const LEAST: Readonly<Record<string, number>> = { minimumNegotiateVersion: 0, maximumReceiveMessageBytes: 256 };

/** The options with defaults filled in, also where undefined is given; frozen. Throws RangeError naming everything that makes no sense. */
export function hubOptions(given: Partial<HubOptions> = {}): HubOptions {
  const chosen = Object.entries(given).filter(([, value]) => value !== undefined);
  const options: HubOptions = Object.freeze({ ...defaultHubOptions, ...Object.fromEntries(chosen) });
  const problems = chosen.flatMap(([name, value]) => valueProblems(name, value));
  // What follows looks at values of the right kind only.
  if (problems.length === 0) problems.push(...conflicts(options));
  if (problems.length > 0) throw new RangeError(problems.join('; '));
  return options;
}

/** What is wrong with one value alone. */
function valueProblems(name: string, value: unknown): string[] {
  if (!Object.hasOwn(defaultHubOptions, name)) return [`there is no option '${name}'`];
  const byDefault: unknown = defaultHubOptions[name as keyof HubOptions];
  if (typeof byDefault === 'number') {
    const least = LEAST[name] ?? 1;
    const isFine = Number.isSafeInteger(value) && Number(value) >= least;
    return isFine ? [] : [`${name} must be a whole number from ${least}, not ${String(value)}`];
  }
  if (typeof byDefault === 'boolean') {
    return typeof value === 'boolean' ? [] : [`${name} must be true or false, not ${String(value)}`];
  }
  if (Array.isArray(byDefault) && !(Array.isArray(value) && value.length > 0))
    return [`${name} must name at least one`];
  const names: readonly unknown[] = Array.isArray(value) ? value : [value];
  const strangers = names.filter((one) => NAMES[name]?.includes(one) !== true);
  return strangers.map((one) => `${name}: there is no '${String(one)}'`);
}

/** What is wrong with values beside others. */
function conflicts(options: HubOptions): string[] {
  const { maximumFrameBytes, maximumPostedBytes, maximumReceiveMessageBytes } = options;
  const problems: string[] = [];
  if (maximumFrameBytes < maximumReceiveMessageBytes) {
    problems.push('maximumFrameBytes must not be below maximumReceiveMessageBytes');
  }
  if (maximumPostedBytes < maximumFrameBytes) problems.push('maximumPostedBytes must not be below maximumFrameBytes');
  if (options.acceptForeignIds && options.allowStatefulReconnect) {
    problems.push('acceptForeignIds and allowStatefulReconnect exclude each other');
  }
  return problems;
}

/** How often the shared timer looks at the connections: once a second, or often enough for the shortest time configured. */
export function sweepIntervalMs(options: HubOptions): number {
  const shortest = Math.min(
    options.keepAliveIntervalMs,
    options.clientTimeoutMs,
    options.handshakeTimeoutMs,
    options.closeTimeoutMs,
    options.sendTimeoutMs,
    options.receiptTimeoutMs,
    options.statefulReconnectTimeoutMs,
    options.unusedNegotiationTimeoutMs,
    options.postTimeoutMs,
    options.pollTimeoutMs,
    options.disconnectTimeoutMs,
  );
  return Math.max(10, Math.min(1_000, Math.floor(shortest / 4)));
}
