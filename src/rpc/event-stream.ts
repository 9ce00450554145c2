/**
 * The downward half of an event stream: a session's events, results, heartbeats and the farewell, through one bounded
 * queue. StreamEvents and Subscribe differ only in the message around the frames.
 *
 * Invariants: `ready` is the first frame; what a stream holds (session, presence, queue, timers) is let go exactly once,
 * however it ends, and does not wait for a client that no longer reads: after the grace its transport is cut.
 */
import { randomUUID } from 'node:crypto';
import { Code, ConnectError } from '@connectrpc/connect';
import type { ConnectionLimits } from '../core/connection-limits.ts';
import { ChatError } from '../core/errors.ts';
import type { ChatEvent, StreamPosition } from '../core/events.ts';
import type { Identity } from '../core/identity.ts';
import type { Metrics } from '../core/metrics.ts';
import { OutboundQueue } from '../core/outbound-queue.ts';
import type { Policy } from '../core/policy.ts';
import type { PresenceTracker } from '../core/presence.ts';
import type { OpenSession, Registry, Watch } from '../core/registry.ts';
import type { EndReason, SessionSink } from '../core/session.ts';
import type { Clock, Timer } from '../time/clock.ts';
import type { Call } from './call.ts';
import { toDuration, toPosition } from './convert.ts';
import { abortError, codeName, toConnectError } from './errors.ts';
import { FRAME_BYTES, toEventFrame } from './event-frames.ts';
import { endError, type Farewell, goingAway, type ServerFrame } from './farewell.ts';
import type { LiveStream, LiveStreams } from './live-streams.ts';
import type { RpcOptions } from './options.ts';

export interface EventStreamDependencies {
  readonly registry: Registry;
  readonly presence: Pick<PresenceTracker, 'connected' | 'disconnected'>;
  readonly policy: Policy;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly streams: LiveStreams;
  readonly limits: Pick<ConnectionLimits, 'acquire'>;
  readonly options: RpcOptions;
}

export interface OpenRequest {
  /** Empty = the caller. */
  readonly userId: string;
  readonly position: StreamPosition | undefined;
  readonly watch: Watch;
}

/** Suggested wait of a client that was too slow. */
const SLOW_RECONNECT_MS = 1000;
/** Longest timer for a token's expiry: the wall clock may be set meanwhile. */
const MAX_EXPIRY_WAIT_MS = 3_600_000;

export class EventStream implements SessionSink, LiveStream {
  /** Names the stream in the log and in presence. */
  readonly connectionId = randomUUID();
  /** Whose events these are. */
  readonly userId: string;
  /** Resolves to true after `ready` was queued, to false if the stream ended before. */
  readonly whenReady: Promise<boolean>;
  readonly #deps: EventStreamDependencies;
  readonly #call: Call;
  readonly #signal: AbortSignal;
  readonly #own: boolean;
  readonly #queue: OutboundQueue<ServerFrame>;
  readonly #session: OpenSession;
  /** Gives back the place among the connections of the user and the address. */
  readonly #leave: () => void;
  readonly #onAbort = (): void => this.fail(abortError(this.#signal));
  #identity: Identity;
  #settleReady: (ready: boolean) => void = () => undefined;
  #ready = false;
  #released = false;
  #farewell: Farewell | undefined;
  #error: ConnectError | undefined;
  /** The newest position that was queued; undefined while undelivered messages are being replayed. */
  #told: StreamPosition | undefined;
  #lastSentMs: number;
  #heartbeat: Timer | undefined;
  #expiry: Timer | undefined;
  #cut: Timer | undefined;

  /**
   * Opens a session for the call's identity. Frames come from `frames`, which must be consumed.
   * @throws ChatError if the identity may not, has too many streams, or the server is shutting down.
   */
  constructor(dependencies: EventStreamDependencies, call: Call, signal: AbortSignal, request: OpenRequest) {
    const { clock, limits, options, policy, presence, registry, streams } = dependencies;
    if (signal.aborted) throw abortError(signal);
    if (call.identity === undefined) throw new ChatError('unauthenticated', 'TOKEN_MISSING', 'Authentication required');
    this.#deps = dependencies;
    this.#call = call;
    this.#signal = signal;
    this.#identity = call.identity;
    this.userId = policy.authorize(call.identity, 'receiveEvents', request.userId);
    this.#own = this.userId === call.identity.userId;
    this.#queue = new OutboundQueue({
      clock,
      maxBytes: options.queueMaxBytes,
      maxAgeMs: options.queueMaxAgeMs,
      onOverflow: () => this.end('slowConsumer', SLOW_RECONNECT_MS),
    });
    this.whenReady = new Promise((resolve) => {
      this.#settleReady = resolve;
    });
    this.#lastSentMs = clock.monotonicMs();
    this.#leave = limits.acquire(this.#own ? this.userId : undefined, call.address());
    const session = {
      userId: this.userId,
      ...(request.position !== undefined && { position: request.position }),
      replayAbove: 'delivered' as const,
      watch: request.watch,
      seesEverybody: policy.seesEverybody(call.identity),
    };
    try {
      streams.add(this);
      this.#session = registry.open(session, this);
    } catch (error) {
      streams.delete(this);
      this.#leave();
      throw error;
    }
    if (this.#own) presence.connected(this.userId, this.connectionId);
    signal.addEventListener('abort', this.#onAbort);
    this.#watchExpiry();
  }

  /** Whose token the stream has now. */
  get identity(): Identity {
    return this.#identity;
  }

  /** True once nothing more is taken. */
  get isOver(): boolean {
    return this.#released;
  }

  /** The frames to send, until the stream ends; then throws why. */
  async *frames(): AsyncGenerator<ServerFrame, never> {
    try {
      for (;;) {
        const next = await this.#queue.next();
        if (next.done) break;
        yield next.value;
      }
      if (this.#farewell !== undefined && this.#ready) yield goingAway(this.#farewell);
      throw this.#error ?? new ConnectError('The call was canceled', Code.Canceled);
    } finally {
      this.#over();
    }
  }

  /** Queues a frame that is not an event. */
  push(frame: ServerFrame, bytes = FRAME_BYTES, paced = false): void {
    this.#lastSentMs = this.#deps.clock.monotonicMs();
    this.#queue.push(frame, bytes, paced);
  }

  /** Chooses whose presence is reported. */
  watch(watch: Watch): void {
    this.#session.watch(watch);
  }

  /**
   * Goes on with a fresh token of the same user.
   * @throws ChatError `permissionDenied` if it is another's, or grants less than the stream needs.
   */
  refresh(identity: Identity): void {
    if (identity.userId !== this.#identity.userId) {
      throw new ChatError('permissionDenied', 'ACCESS_DENIED', 'The token must be of the same user');
    }
    this.#deps.policy.authorize(identity, 'receiveEvents', this.userId);
    this.#identity = identity;
    this.#watchExpiry();
  }

  ready(position: StreamPosition, recovered: boolean): void {
    this.#ready = true;
    this.#told = position.epoch === '' ? undefined : position;
    this.push({
      case: 'ready',
      value: {
        $typeName: 'carepro.chat.v1.Ready',
        connectionId: this.connectionId,
        position: toPosition(position),
        recovered,
        heartbeatInterval: toDuration(this.#deps.options.heartbeatIntervalMs),
      },
    });
    this.#beatIn(this.#deps.options.heartbeatIntervalMs);
    this.#settleReady(true);
  }

  event(event: ChatEvent, position: StreamPosition | undefined, replayed: boolean): void {
    const frame = toEventFrame(event, position, replayed);
    if (position !== undefined) this.#told = position;
    this.push({ case: 'event', value: frame.event }, frame.bytes, replayed);
  }

  caughtUp(position: StreamPosition): void {
    // While live: the stream has lost its continuity, which a second `ready` says in the words of the first.
    if (this.#told !== undefined) {
      this.ready(position, false);
      return;
    }
    this.#told = position;
    this.push({
      case: 'heartbeat',
      value: { $typeName: 'carepro.chat.v1.Heartbeat', position: toPosition(position) },
    });
  }

  drained(): Promise<void> {
    return this.#queue.drained();
  }

  /** Says goodbye and ends; whatever the client does not take within the grace is dropped with its transport. */
  end(reason: EndReason, reconnectAfterMs = 0): void {
    if (this.#released) return;
    this.#farewell = { reason, reconnectAfterMs };
    this.#error = toConnectError(endError(reason, reconnectAfterMs));
    this.#call.endCode = codeName(this.#error.code);
    this.#deps.metrics.count('chat_rpc_streams_ended_total', { reason });
    this.#release();
    this.#queue.finish();
    this.#cut = this.#deps.clock.schedule(this.#deps.options.cutGraceMs, () => this.#call.cut());
  }

  shutDown(reconnectAfterMs: number): void {
    this.end('shuttingDown', reconnectAfterMs);
  }

  /** Ends at once with an error and drops what waits: the client has gone, or what it sent cannot be read. */
  fail(error: ConnectError): void {
    if (!this.#released) {
      this.#error = error;
      this.#release();
    }
    this.#queue.close();
    if (this.#call.isGone()) this.#over();
    else this.#cut ??= this.#deps.clock.schedule(this.#deps.options.cutGraceMs, () => this.#call.cut());
  }

  /** Lets go of everything that feeds the stream. */
  #release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#session.close();
    this.#heartbeat?.cancel();
    this.#expiry?.cancel();
    if (this.#own) this.#deps.presence.disconnected(this.userId, this.connectionId);
    this.#settleReady(false);
  }

  /** Nothing can be sent any more. */
  #over(): void {
    this.#release();
    this.#queue.close();
    this.#cut?.cancel();
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#deps.streams.delete(this);
    this.#leave();
  }

  #beatIn(delayMs: number): void {
    this.#heartbeat?.cancel();
    this.#heartbeat = this.#deps.clock.schedule(delayMs, () => {
      const { clock, options } = this.#deps;
      const leftMs = this.#lastSentMs + options.heartbeatIntervalMs - clock.monotonicMs();
      if (leftMs <= 0) this.#beat();
      if (!this.#released) this.#beatIn(leftMs <= 0 ? options.heartbeatIntervalMs : leftMs);
    });
  }

  #beat(): void {
    const { position } = this.#session.session;
    const { epoch, offset } = this.#told ?? position;
    const moved = this.#told !== undefined && (position.epoch !== epoch || position.offset !== offset);
    if (moved) this.#told = position;
    this.push({
      case: 'heartbeat',
      value: { $typeName: 'carepro.chat.v1.Heartbeat', ...(moved && { position: toPosition(position) }) },
    });
  }

  #watchExpiry(): void {
    // A refreshed token may be verified only when the stream is over.
    if (this.#released) return;
    const { clock, options } = this.#deps;
    this.#expiry?.cancel();
    const leftMs = this.#identity.expiresAtMs + options.expiryToleranceMs - clock.now();
    if (leftMs <= 0) this.end('tokenExpired');
    else this.#expiry = clock.schedule(Math.min(leftMs, MAX_EXPIRY_WAIT_MS), () => this.#watchExpiry());
  }
}
