/**
 * One connection: from the first byte through handshake, calls and sends to its end, whatever the transport.
 *
 * States: `handshake` → `open` → `closing` → `closed`, each entered at most once; some may be left out.
 * - handshake: only the handshake record is read; nothing can be sent.
 * - open: entered with the answer `{}`; then `onConnected`, then calls. A stateful connection stays open, suspended, while its client
 *   changes the transport (stateful-link.ts); one that ends meanwhile has nothing to close.
 * - closing: the last record is queued; what comes in is dropped; ends with the peer's goodbye or at the close timeout.
 * - closed: nothing is sent or read any more.
 * `onDisconnected` runs once, on leaving `open`, after `onConnected` has settled.
 *
 * Owns no timer: the server's sweep calls `sweep`. Must not import a transport or name a protocol other than the handshake's.
 */

import type { ConnectionRequest } from '../endpoint/connection-request.ts';
import type { ConnectionInfo, OpenConnection, Transport, TransportEnd, TransportName } from '../endpoint/transport.ts';
import {
  HANDSHAKE_ACCEPTED,
  HANDSHAKE_CANCELED,
  handshakeError,
  handshakeRecordEnd,
  readHandshake,
} from '../protocol/handshake.ts';
import type { CloseContent, CompletionMessage } from '../protocol/messages.ts';
import type { ParameterKind } from '../protocol/parameters.ts';
import { type EncodedRecord, InvalidRecordError } from '../protocol/protocol.ts';
import type { CallerClients, HubGroups } from './clients.ts';
import type { Reachable } from './connection-directory.ts';
import type { ConnectionHost } from './connection-host.ts';
import type { DispatchTarget } from './dispatch-target.ts';
import { Dispatcher } from './dispatcher.ts';
import { ConnectionError, type ConnectionFailure, closedWithError, failureOf, RecordTooLarge } from './errors.ts';
import { ClientsOfCaller } from './hub-clients.ts';
import { LifeCycle, type LifeCycleOwner } from './life-cycle.ts';
import { Liveness } from './liveness.ts';
import { RecordReader, type RecordSink } from './record-reader.ts';
import { SendingSide } from './sending-side.ts';
import { type LinkTarget, StatefulLink } from './stateful-link.ts';

/** The version of the hub protocol that has stateful reconnect. */
const STATEFUL_VERSION = 2;

type State = 'handshake' | 'open' | 'closing' | 'closed';

export class Connection<User>
  extends SendingSide
  implements DispatchTarget<User>, OpenConnection<User>, Reachable, RecordSink, LinkTarget, LifeCycleOwner
{
  readonly id: string;
  readonly userId: string | undefined;
  readonly remoteAddress: string;
  readonly #host: ConnectionHost<User>;
  readonly #reader: RecordReader;
  readonly #liveness: Liveness;
  readonly #isStateful: boolean;
  #transport: Transport;
  /** Present from the handshake on if its version and the negotiation allow stateful reconnect. */
  #link: StatefulLink | undefined;
  /** Both are present from the handshake on. */
  #dispatcher: Dispatcher<User> | undefined;
  #lifeCycle: LifeCycle<User> | undefined;
  #state: State = 'handshake';
  #user: User;
  /** When the token runs out, in wall milliseconds. */
  #expiresAtMs: number | undefined;
  /** When the handshake or the closing began. */
  #phaseSinceMs: number;
  #hasSaidGoodbye = false;
  #failure: ConnectionError | undefined;
  #closeWhenIdle: CloseContent | undefined;

  constructor(host: ConnectionHost<User>, info: ConnectionInfo<User>, transport: Transport) {
    const { options } = host.hub;
    super(host, transport, options.maximumOutboundBytes);
    this.id = info.id;
    this.#user = info.user;
    this.#expiresAtMs = info.expiresAtMs;
    this.userId = info.userId;
    this.remoteAddress = info.remoteAddress;
    this.#isStateful = info.isStateful && transport.name === 'WebSockets';
    this.#host = host;
    this.#transport = transport;
    this.#reader = new RecordReader(this, transport, options.maximumReceiveMessageBytes);
    this.#phaseSinceMs = host.nowMs();
    this.#liveness = new Liveness(this.#phaseSinceMs);
  }

  get user(): User {
    return this.#user;
  }

  get transportName(): TransportName {
    return this.#transport.name;
  }

  get request(): ConnectionRequest | undefined {
    return this.#transport.request;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get hasSaidGoodbye(): boolean {
    return this.#hasSaidGoodbye;
  }

  /** Streams in both directions whose methods have not ended. */
  get streams(): number {
    return this.#dispatcher?.streams ?? 0;
  }

  get detailedErrors(): boolean {
    return this.#host.hub.options.enableDetailedErrors;
  }

  get #isSuspended(): boolean {
    return this.#link?.suspendedSinceMs !== undefined;
  }

  onOverflow(failure: ConnectionFailure, message: string): void {
    this.#cut(failure, message);
  }

  /** All that was queued is with the transport. */
  onFlushed(): void {
    if (this.#state === 'closing') {
      this.#transport.close();
      return;
    }
    this.#reader.resume();
  }

  onAuthenticated(user: User, expiresAtMs: number | undefined, isRenewal = false): void {
    // Of two tokens the one that runs out later counts; one that is just shown again is no news.
    const gainedMs = (expiresAtMs ?? Infinity) - (this.#expiresAtMs ?? Infinity);
    if (!(gainedMs > 0) && !(isRenewal && expiresAtMs === this.#expiresAtMs)) return;
    this.#user = user;
    this.#expiresAtMs = expiresAtMs;
    if (this.#state === 'open') this.#lifeCycle?.attempt('onRenewed', () => this.#host.hub.onRenewed?.(this));
  }

  onWritable(): void {
    this.outbound.onWritable();
  }

  onProof(mark: number): void {
    const proven = this.#state === 'open' ? this.outbound.takeProven(mark) : undefined;
    if (proven === undefined) return;
    for (const callback of proven) this.#lifeCycle?.attempt('onAnswered', callback);
    this.#lifeCycle?.attempt('onReceived', () => this.#host.hub.onReceived?.(this, mark));
  }

  // Receiving

  get isReading(): boolean {
    return this.#state === 'handshake' || this.#state === 'open';
  }

  get isSaturated(): boolean {
    return this.outbound.isHalfFull || this.#dispatcher?.isFull === true || this.#closeWhenIdle !== undefined;
  }

  onData(data: Buffer): boolean {
    if (!this.isReading) return false;
    this.#liveness.onData();
    this.#reader.onData(data);
    return true;
  }

  recordEnd(data: Buffer, start: number, from: number): number {
    if (this.protocol === undefined) return handshakeRecordEnd(data, from);
    try {
      return this.protocol.recordEnd(data, start, from);
    } catch (error) {
      this.#onInvalidRecord(error);
      return -1;
    }
  }

  onRecord(data: Buffer, start: number, end: number): void {
    if (this.protocol === undefined) {
      this.#shakeHands(data.toString('utf8', start, end - 1));
      return;
    }
    try {
      const dispatcher = this.#dispatcher;
      if (dispatcher === undefined) return;
      const message = this.protocol.parse(data, start, end, dispatcher);
      if (this.#link === undefined || this.#link.accepts(message)) dispatcher.dispatch(message);
    } catch (error) {
      this.#onInvalidRecord(error);
    }
  }

  #onInvalidRecord(error: unknown): void {
    if (!(error instanceof InvalidRecordError)) throw error;
    this.#closeFailed('invalid-record', error.message, error, true);
  }

  onTooLarge(): void {
    if (this.#state === 'handshake') {
      this.#beginClosing(handshakeError(HANDSHAKE_CANCELED));
      return;
    }
    const error = new RecordTooLarge(this.#host.hub.options.maximumReceiveMessageBytes);
    this.#closeFailed('invalid-record', error.message, error, true);
  }

  onPing(): void {
    this.#liveness.onPing();
  }

  onClose(): void {
    this.#hasSaidGoodbye = true;
    this.close();
  }

  onCallsDone(): void {
    if (this.#closeWhenIdle !== undefined && this.#dispatcher?.isIdle === true) this.close(this.#closeWhenIdle);
    else this.#reader.resume();
  }

  // Clients, as this one's calls see them

  callerClients(onInvoke: () => void): CallerClients {
    return new ClientsOfCaller(this.#host.router, this.id, onInvoke);
  }

  get groups(): HubGroups {
    return this.#host.context.groups;
  }

  resultKind(invocationId: string): ParameterKind | undefined {
    return this.#host.router.resultKind(this.id, invocationId);
  }

  onResult(message: CompletionMessage): void {
    this.#host.router.onResult(this.id, message);
  }

  report(error: unknown, method: string): void {
    this.#host.report(error, method, this.id);
  }

  // Beginning

  #shakeHands(record: string): void {
    const agreed = readHandshake(record, this.#host.protocols, this.detailedErrors, this.#transport.isBinary);
    if (typeof agreed === 'string') {
      this.#beginClosing(handshakeError(agreed));
      return;
    }
    const { protocol, version } = agreed;
    this.protocol = protocol;
    this.#state = 'open';
    this.#dispatcher = new Dispatcher<User>(this, this.#host.hub.table, this.#host.hub.options);
    this.outbound.addUncounted(HANDSHAKE_ACCEPTED[protocol.transferFormat], true);
    if (this.#isStateful && version >= STATEFUL_VERSION) {
      const { statefulReconnectBufferBytes } = this.#host.hub.options;
      this.#link = new StatefulLink(this, protocol, this.#host.acks, statefulReconnectBufferBytes);
      this.outbound.link = this.#link;
    }
    this.#lifeCycle = new LifeCycle<User>(this.#host, this);
    this.#lifeCycle.begin();
  }

  onReady(): void {
    this.#dispatcher?.release();
  }

  onRefused(error: unknown): void {
    this.#closeFailed('not-connected', 'onConnected failed', error, false);
  }

  // Another transport

  get canReattach(): boolean {
    return this.#state === 'open' && this.#link?.canResume === true && this.#closeWhenIdle === undefined;
  }

  reattach(transport: Transport): boolean {
    const link = this.#link;
    if (link === undefined || !this.canReattach) return false;
    if (!this.#isSuspended) this.#suspend(link);
    this.#transport = transport;
    this.#reader.restart(transport);
    this.#liveness.restart(this.#host.nowMs());
    this.outbound.restart(transport, link.resume());
    return true;
  }

  #suspend(link: StatefulLink): void {
    link.suspend(this.#host.nowMs());
    this.#reader.clear();
    this.outbound.suspend();
  }

  // Ending

  close(content: CloseContent = {}): void {
    if (this.protocol === undefined || this.#state !== 'open') return;
    this.#beginClosing(this.protocol.writeClose(content));
  }

  /** As `close`, but the calls that run and wait are answered first, and nothing more is read meanwhile. */
  closeWhenIdle(content: CloseContent): void {
    if (this.#state === 'handshake') this.#beginClosing(handshakeError(HANDSHAKE_CANCELED));
    else if (this.#isSuspended) this.#cut('connection-lost', 'The client was away when the connection was closed');
    else if (this.#dispatcher?.isIdle === true) this.close(content);
    else if (this.#state === 'open') {
      this.#closeWhenIdle = content;
      this.#transport.pause();
    }
  }

  /** Ends the connection at once: the hub is told before this returns, so that whoever closes the server may go on. */
  destroy(): void {
    if (this.#state === 'open') this.#failure ??= failureOf('lost');
    if (this.#state !== 'closed') this.#end();
    this.#transport.destroy();
  }

  onClosed(reason: TransportEnd, isGone: boolean): void {
    if (reason === 'lost' && isGone && this.#link !== undefined && this.canReattach) {
      this.#suspend(this.#link);
      return;
    }
    // A client that says goodbye still reads until it gets the answer to it.
    if ((reason === 'orderly' || reason === 'unexplained') && !isGone) this.outbound.flush();
    if (this.#state === 'open') {
      this.#failure ??= failureOf(reason);
      this.#hasSaidGoodbye = reason === 'orderly';
    }
    if (this.#state !== 'closed') this.#end();
    if (isGone) this.#host.onGone(this.id);
  }

  #closeFailed(failure: ConnectionFailure, message: string, shown: unknown, allowReconnect: boolean): void {
    if (this.protocol === undefined || this.#state !== 'open') return;
    this.#failure = new ConnectionError(failure, message, shown);
    const error = closedWithError(shown, this.detailedErrors);
    this.#beginClosing(this.protocol.writeClose({ error, allowReconnect }));
  }

  #beginClosing(lastRecord: EncodedRecord): void {
    if (this.#isSuspended) {
      this.#end();
      return;
    }
    if (this.outbound.addUncounted(lastRecord, false) === 0) return;
    this.#leave('closing');
    // The peer's goodbye must be seen, however little else is wanted of it.
    this.#transport.resume();
  }

  #cut(failure: ConnectionFailure, message: string): void {
    if (this.#state === 'closed') return;
    this.#failure ??= new ConnectionError(failure, message);
    this.#end();
    this.#transport.destroy();
  }

  #end(): void {
    this.outbound.clear();
    this.#leave('closed');
    // No transport is left that could tell of its end.
    if (this.#isSuspended) this.#host.onGone(this.id);
  }

  #leave(state: 'closing' | 'closed'): void {
    this.#state = state;
    this.#phaseSinceMs = this.#host.nowMs();
    this.#reader.clear();
    // Before the dispatcher: what waits for this client goes on, and finds its connection ended.
    this.#host.router.onEnded(this);
    this.#dispatcher?.end();
    this.outbound.end();
    this.#link?.end();
    this.#lifeCycle?.end(this.#failure);
  }

  /** Looks at every deadline. `closeTimeoutMs`: how long the client may take for its part of the closing. */
  sweep(nowMs: number, closeTimeoutMs = this.#host.hub.options.closeTimeoutMs): void {
    const { options } = this.#host.hub;
    const suspendedSinceMs = this.#link?.suspendedSinceMs;
    if (suspendedSinceMs !== undefined) {
      if (nowMs - suspendedSinceMs < options.statefulReconnectTimeoutMs) return;
      this.#cut('connection-lost', `The client did not come back within ${options.statefulReconnectTimeoutMs} ms`);
      return;
    }
    if (this.#liveness.isStalled(nowMs, options, this.#transport)) {
      this.#cut('send-timeout', `The client took nothing for ${options.sendTimeoutMs} ms`);
      return;
    }
    const phaseMs = nowMs - this.#phaseSinceMs;
    if (this.#state === 'open') this.#sweepOpen(nowMs);
    else if (this.#state === 'handshake') {
      if (phaseMs >= options.handshakeTimeoutMs) this.#beginClosing(handshakeError(HANDSHAKE_CANCELED));
    } else if (phaseMs >= closeTimeoutMs) this.destroy();
  }

  #sweepOpen(nowMs: number): void {
    const { options } = this.#host.hub;
    if (options.closeOnAuthenticationExpiration && this.#host.wallMs() >= (this.#expiresAtMs ?? Infinity)) {
      // As the reference does (transcript 44).
      this.close({ allowReconnect: true });
      return;
    }
    // The ping goes first, so that a client sees it even when its own silence ends the connection now (transcript 64).
    // One that has not taken what it has is not sent more.
    const { isWritable, wantsPings } = this.#transport;
    if (wantsPings && this.#liveness.isPingDue(nowMs, options) && this.protocol !== undefined && isWritable) {
      this.outbound.addUncounted(this.protocol.ping, true);
    }
    // A client that waits for its call may be busy waiting: its silence does not count (nor while it is not read).
    const isExcused = this.#reader.isPaused || this.#dispatcher?.isBlocked === true;
    if (this.#liveness.isSilent(nowMs, options, this.#transport, isExcused)) {
      this.#closeFailed('client-timeout', `The client sent nothing for ${options.clientTimeoutMs} ms`, undefined, true);
    } else if (this.outbound.isUnanswered(nowMs, options.receiptTimeoutMs)) {
      this.#cut('receipt-timeout', `A probe was not answered for ${options.receiptTimeoutMs} ms`);
    }
  }
}
