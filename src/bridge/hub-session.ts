/**
 * One hub connection as the sink of a core session: events go out as invocations, and what the transport proves to have
 * arrived is told to the core.
 *
 * Invariants: everything is sent in the order in which the session gives it; the presence of the user is reported once
 * when the session begins and once when it ends. Sending never waits; the connection itself bounds what lies in its queue,
 * and a replay waits for `drained` between its pages.
 */
import type { Chat } from '../core/chat.ts';
import type { ChatEvent, MessageSent, StreamPosition } from '../core/events.ts';
import type { EndReason, SessionSink } from '../core/session.ts';
import type { Clock } from '../time/clock.ts';
import { DeliveryTrail } from './delivery-trail.ts';
import { AUTHENTICATION_REQUIRED } from './error-texts.ts';
import { type EventEncoder, isForUser } from './event-map.ts';
import { COMMIT_MARGIN_MS, type Gap } from './gap.ts';
import { ReceiptLog } from './receipt-log.ts';
import { closedWithError, HubException } from './signalr/hub/errors.ts';
import type { HubConnection, SendOptions } from './signalr/hub/hub.ts';

const LIVE_MESSAGE: SendOptions = { receipt: true };
const REPLAYED_MESSAGE: SendOptions = { receipt: true, paced: true };

/** The part of a connection that a session uses. */
export type SessionConnection = Pick<HubConnection<unknown>, 'id' | 'sendShared' | 'drained' | 'close'>;

export interface HubSessionDependencies {
  readonly chat: Pick<Chat, 'noteReceived'>;
  readonly encoder: EventEncoder;
  readonly clock: Clock;
  /** Told when evidence of receipt could not be stored: the messages will be repeated. */
  readonly onError: (error: unknown) => void;
}

export class HubSession implements SessionSink {
  readonly userId: string;
  /** In the clock's monotonic milliseconds. */
  readonly connectedAtMs: number;
  readonly #deps: HubSessionDependencies;
  readonly #connection: SessionConnection;
  readonly #receipts = new ReceiptLog();
  readonly #trail = new DeliveryTrail();
  /** Nothing older is owed to this connection, in wall milliseconds. */
  readonly #owedSinceMs: number;
  /** What the client is proven to have of the replay; undefined once the replay is over. */
  #toSkip: ReadonlySet<string> | undefined;

  /** @param gap what this client may lack, if it had connections before. The core is to replay it. */
  constructor(dependencies: HubSessionDependencies, connection: SessionConnection, userId: string, gap?: Gap) {
    const { clock } = dependencies;
    this.#deps = dependencies;
    this.#connection = connection;
    this.userId = userId;
    this.connectedAtMs = clock.monotonicMs();
    this.#owedSinceMs = gap?.sinceMs ?? clock.now() - COMMIT_MARGIN_MS;
    this.#toSkip = gap?.except ?? new Set();
  }

  /** The page has no word for it. An empty epoch means that a replay comes first. */
  ready(position: StreamPosition): void {
    if (position.epoch !== '') this.#toSkip = undefined;
  }

  /** As `ready`: there is no position to give. */
  caughtUp(): void {
    this.#toSkip = undefined;
  }

  /** What the client may lack when the connection ends now. */
  gapAtEnd(): Gap {
    if (this.#toSkip !== undefined) return this.#wholeGap(this.#toSkip);
    // Also what was about to be sent to it.
    const lastMs = this.#deps.clock.now() - COMMIT_MARGIN_MS;
    return this.#gapSince(Math.min(lastMs, this.#trail.oldestUnprovenMs ?? lastMs));
  }

  /** What the client may lack while the connection is open; undefined if it is proven to have everything. */
  gapWhileOpen(): Gap | undefined {
    if (this.#toSkip !== undefined) return this.#wholeGap(this.#toSkip);
    const { oldestUnprovenMs } = this.#trail;
    return oldestUnprovenMs === undefined ? undefined : this.#gapSince(oldestUnprovenMs);
  }

  /** The replay is not over: all of it may be missing. */
  #wholeGap(except: ReadonlySet<string>): Gap {
    return { sinceMs: this.#owedSinceMs, except };
  }

  #gapSince(timeMs: number): Gap {
    const sinceMs = Math.max(timeMs, this.#owedSinceMs);
    return { sinceMs, except: this.#trail.provenSince(sinceMs) };
  }

  event(event: ChatEvent, _position: unknown, replayed: boolean): void {
    if (event.type === 'messageSent') {
      this.#sendMessage(event, replayed);
      return;
    }
    if (event.type === 'statusAdvanced' && event.readerId === this.userId) {
      this.#receipts.acknowledged(event.senderId, event.upToSeq);
    }
    if (!isForUser(event, this.userId)) return;
    for (const invocation of this.#deps.encoder.encode(event)) this.#connection.sendShared(invocation);
  }

  drained(): Promise<void> {
    return this.#connection.drained();
  }

  end(reason: EndReason): void {
    // A revoked user must not come back; for everybody else the page's few attempts are worth something.
    if (reason === 'revoked') {
      this.#connection.close({ error: closedWithError(new HubException(AUTHENTICATION_REQUIRED), false) });
    } else {
      this.#connection.close({ allowReconnect: true });
    }
  }

  /** Everything sent up to `mark` has reached the client's process. */
  received(mark: number): void {
    this.#trail.proven(mark);
    const proven = this.#receipts.proven(mark);
    if (proven === undefined) return;
    for (const [otherId, seq] of proven) {
      this.#deps.chat.noteReceived(this.userId, otherId, seq).catch(this.#deps.onError);
    }
  }

  #sendMessage(event: MessageSent, replayed: boolean): void {
    if (!isForUser(event, this.userId)) return;
    const { id, senderId, sentAtMs, seq } = event.message;
    if (replayed && this.#toSkip?.has(id) === true) return;
    const options = replayed ? REPLAYED_MESSAGE : LIVE_MESSAGE;
    for (const invocation of this.#deps.encoder.encode(event)) {
      const mark = this.#connection.sendShared(invocation, options);
      if (mark === 0) continue;
      this.#receipts.sent(mark, senderId, seq);
      this.#trail.sent(mark, id, sentAtMs);
    }
  }
}
