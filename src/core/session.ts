/**
 * One subscriber's delivery state: buffer → recover → merge → live, with detection of gaps.
 *
 * Invariants: a session hands on every event of its user's stream in order and without gaps, or makes up for a gap from
 * the history or the store before it goes on; it never answers "recovered" unless nothing is missing. It knows no
 * transport: the sink of a door encodes, queues and bounds.
 */
import type { Clock, Timer } from '../time/clock.ts';
import type { ChatEvent, StreamEvent, StreamPosition, TransientEvent } from './events.ts';
import type { CursorKind, Message } from './message.ts';
import type { Broker, History, MessageStore, ReplayCursor, StreamEntry } from './ports.ts';
import { Replayed } from './replayed.ts';

/** Why the core ends a session. Every reason allows the client to come back. */
export type EndReason = 'slowConsumer' | 'tokenExpired' | 'revoked' | 'shuttingDown';

/** The door's side of a session. Calls come in order; none may throw. */
export interface SessionSink {
  /** The session has begun. `position` has an empty epoch while undelivered messages are still being replayed. */
  ready(position: StreamPosition, recovered: boolean): void;
  /** `position` is absent for transient events and for messages replayed from the store. */
  event(event: ChatEvent, position: StreamPosition | undefined, replayed: boolean): void;
  /**
   * The store brought the client up to date and the session stands here. Not called if `ready` already said so.
   * While live it means that the stream lost its continuity: events other than messages may be missing before it.
   */
  caughtUp(position: StreamPosition): void;
  /** Resolves when the sink has handed on enough of what it holds to take another page; rejects when it is closed. */
  drained(): Promise<void>;
  end(reason: EndReason): void;
}

export interface SessionOptions {
  readonly userId: string;
  /** Where the client says it stands; absent or with an empty epoch = nowhere. */
  readonly position?: StreamPosition;
  /**
   * What the store replays when the position proves nothing: messages above this cursor. `received` for clients that
   * may never acknowledge, `delivered` for those that do.
   */
  readonly replayAbove: Extract<CursorKind, 'received' | 'delivered'>;
  /**
   * If set, the first replay from the store also brings every message that was sent since then, in wall milliseconds: for
   * a client that may have missed messages which another device of the user moved the cursor over.
   */
  readonly replaySinceMs?: number | undefined;
}

export interface SessionDependencies {
  readonly store: Pick<MessageStore, 'listPending' | 'findMessage'>;
  readonly broker: Pick<Broker, 'readSince' | 'top'>;
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
}

export const NOWHERE: StreamPosition = { epoch: '', offset: 0 };

const PAGE = 100;
/** Most messages of the last minute that are read at one stroke; beyond it they are paged too. */
const YOUNG_PAGE = 2000;
const HISTORY_LIMIT = 10_000;
const MAX_BUFFERED = 10_000;
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 2000;
/** How long after the time it was given a message may be committed. */
const OVERLAP_MS = 60_000;

type State = 'recovering' | 'live' | 'closed';

export class Session {
  readonly userId: string;
  readonly sink: SessionSink;
  readonly #deps: SessionDependencies;
  readonly #replayAbove: 'received' | 'delivered';
  /** Undefined once a replay is complete: the client has it all. */
  #replaySinceMs: number | undefined;
  #state: State = 'recovering';
  #position: StreamPosition;
  #announced = false;
  #doubted = false;
  #buffer: StreamEntry[] = [];
  /** How many of the buffered entries had come before the latest answer of the broker was asked for. */
  #covered = 0;
  /** True if the history may not be asked: an entry of another epoch came, only the store can tell. */
  #unproven = false;
  /** What the store replayed and the stream may bring again; undefined when there was nothing. */
  #replayed: Replayed | undefined;
  #retry: Timer | undefined;

  constructor(dependencies: SessionDependencies, options: SessionOptions, sink: SessionSink) {
    this.#deps = dependencies;
    this.userId = options.userId;
    this.sink = sink;
    this.#replayAbove = options.replayAbove;
    this.#replaySinceMs = options.replaySinceMs;
    this.#position = options.position ?? NOWHERE;
  }

  /** Where the session stands. */
  get position(): StreamPosition {
    return this.#position;
  }

  /** Begins to recover. The subscription to the user's stream must be live, so that nothing falls in between. */
  start(): void {
    if (this.#state === 'closed') return;
    void this.#recover(FIRST_RETRY_MS);
  }

  /** Next event of the stream. */
  onEntry(entry: StreamEntry): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'recovering') this.#hold(entry);
    else if (!this.#pass(entry)) this.#heal(entry);
  }

  /**
   * An event that is not kept. Before `ready` it is dropped: what the client asks for afterwards includes it. Presence
   * is handed on while recovering too, since nobody would repeat it; it has no order to keep with messages.
   */
  onTransient(event: TransientEvent): void {
    const heard = this.#state === 'live' || (this.#announced && event.type === 'presenceChanged');
    if (heard && this.#state !== 'closed') this.sink.event(event, undefined, false);
  }

  /** The stream may have lost something: read again from the last position. */
  onDoubt(): void {
    if (this.#state === 'live') this.#heal(undefined);
    else this.#doubted = true;
  }

  /** Ends the session. Idempotent. */
  end(reason: EndReason): void {
    if (this.#state === 'closed') return;
    this.close();
    this.sink.end(reason);
  }

  /** Forgets everything; the door has gone. Idempotent. */
  close(): void {
    this.#state = 'closed';
    this.#buffer = [];
    this.#replayed = undefined;
    this.#retry?.cancel();
  }

  #hold(entry: StreamEntry): void {
    if (this.#buffer.length >= MAX_BUFFERED) this.end('slowConsumer');
    else this.#buffer.push(entry);
  }

  /** Hands on an entry that follows the position. @returns false if there is a gap before it. */
  #pass(entry: StreamEntry, replayed = false): boolean {
    const { epoch, offset } = entry.position;
    if (epoch !== this.#position.epoch) return false;
    if (offset <= this.#position.offset) return true;
    if (offset !== this.#position.offset + 1) return false;
    this.#position = entry.position;
    if (!this.#wasReplayed(entry.event)) this.sink.event(entry.event, entry.position, replayed);
    return true;
  }

  #heal(entry: StreamEntry | undefined): void {
    this.#state = 'recovering';
    this.#buffer = entry === undefined ? [] : [entry];
    void this.#recover(FIRST_RETRY_MS);
  }

  async #recover(retryMs: number): Promise<void> {
    try {
      this.#doubted = false;
      const fromHistory = !this.#unproven && (await this.#recoverFromHistory());
      if (!fromHistory) await this.#recoverFromStore();
      this.#goLive(fromHistory, retryMs);
    } catch (error) {
      if (this.#state === 'closed') return;
      this.#deps.onError(error);
      this.#announce(NOWHERE, false);
      this.#recoverIn(retryMs);
    }
  }

  /** @returns false if the history does not prove that nothing is missing. */
  async #recoverFromHistory(): Promise<boolean> {
    if (this.#position.epoch === '') return false;
    this.#covered = this.#buffer.length;
    const history = await this.#deps.broker.readSince(this.userId, this.#position, HISTORY_LIMIT);
    if (this.#isClosed()) return true;
    if (!provesAll(history, this.#position)) return false;
    this.#announce(this.#position, true);
    let sent = 0;
    for (const entry of history.entries) {
      if (this.#isClosed()) return true;
      this.#pass(entry, true);
      sent += 1;
      if (sent % PAGE === 0) await this.#room();
    }
    return true;
  }

  /**
   * Brings the client up to date from the store: everything pending, in order, before the first live event.
   *
   * A message that is committed between two pages may sort before what was handed on already (same time, another
   * sender; a clock that went back) and then comes through the stream, while its successor sorts behind and would come
   * from the next page: too early. So whatever is young enough for that is read at one stroke.
   */
  async #recoverFromStore(): Promise<void> {
    this.#covered = this.#buffer.length;
    const top = await this.#deps.broker.top(this.userId);
    const recentMs = this.#deps.clock.now() - OVERLAP_MS;
    let told = false;
    let limit = PAGE;
    let after: ReplayCursor | undefined;
    let sinceRoom = 0;
    const handOn = async (messages: readonly Message[]): Promise<void> => {
      for (const message of messages) {
        if (this.#isClosed()) return;
        this.#replayed ??= new Replayed();
        this.#replayed.add(message);
        this.sink.event({ type: 'messageSent', message }, undefined, true);
        sinceRoom += 1;
      }
      if (sinceRoom < PAGE) return;
      sinceRoom = 0;
      await this.#room();
    };
    for (let more = true; more; ) {
      let page = await this.#listPending(limit, after);
      if (this.#isClosed()) return;
      if (!this.#announced && page.length === 0) told = true;
      this.#announce(told ? top : NOWHERE, false);
      more = page.length === limit;
      if (more && limit === PAGE && page.some((message) => message.sentAtMs >= recentMs)) {
        limit = YOUNG_PAGE;
        page = page.filter((message) => message.sentAtMs < recentMs);
      }
      const end = page.at(-1);
      const rest = page.slice(PAGE).map((message) => message.id);
      page = page.slice(0, PAGE);
      await handOn(page);
      for (let from = 0; from < rest.length; from += PAGE) {
        if (this.#isClosed()) return;
        await handOn(await this.#readAgain(rest.slice(from, from + PAGE)));
      }
      if (end !== undefined) after = placeOf(end);
    }
    if (this.#isClosed()) return;
    this.#position = top;
    this.#replaySinceMs = undefined;
    this.#unproven = false;
    if (!told) this.sink.caughtUp(top);
  }

  /**
   * Messages of one stroke that fit no page any more. Until their turn they are kept as ids: a client that stalls must
   * not hold more texts in memory than those of a page. What was deleted meanwhile is told by the stream.
   */
  async #readAgain(ids: readonly string[]): Promise<Message[]> {
    const found = await Promise.all(ids.map((id) => this.#deps.store.findMessage(id)));
    return found.flatMap((message) => (message === undefined || message.deletedAtMs !== undefined ? [] : [message]));
  }

  #listPending(limit: number, after: ReplayCursor | undefined): Promise<Message[]> {
    const orSentSinceMs = this.#replaySinceMs;
    return this.#deps.store.listPending(this.userId, {
      above: this.#replayAbove,
      limit,
      ...(orSentSinceMs !== undefined && { orSentSinceMs }),
      ...(after !== undefined && { after }),
    });
  }

  #goLive(fromHistory: boolean, retryMs: number): void {
    const held = this.#buffer;
    this.#buffer = [];
    for (const [index, entry] of held.entries()) {
      if (this.#isClosed()) return;
      if (this.#pass(entry)) continue;
      const covered = index < this.#covered;
      const foreign = entry.position.epoch !== this.#position.epoch;
      // It had come before the broker named the present epoch and the store was read: its stream has ended, its message
      // was in the store.
      if (covered && foreign && !fromHistory) continue;
      this.#buffer = held.slice(index);
      this.#unproven = foreign;
      // A history that does not reach an entry that had come before is one that lags: no hot loop.
      if (covered && !foreign) this.#recoverIn(retryMs);
      else void this.#recover(FIRST_RETRY_MS);
      return;
    }
    if (this.#isClosed()) return;
    if (this.#doubted) void this.#recover(FIRST_RETRY_MS);
    else this.#state = 'live';
  }

  #recoverIn(retryMs: number): void {
    this.#retry = this.#deps.clock.schedule(retryMs, () => void this.#recover(Math.min(retryMs * 2, MAX_RETRY_MS)));
  }

  #announce(position: StreamPosition, recovered: boolean): void {
    if (this.#announced) return;
    this.#announced = true;
    this.sink.ready(position, recovered);
  }

  /** A message that is published after its replay comes from the store and from the stream: the second is dropped. */
  #wasReplayed(event: StreamEvent): boolean {
    if (this.#replayed === undefined || event.type !== 'messageSent') return false;
    const wasReplayed = this.#replayed.has(event.message);
    if (this.#replayed.senders === 0) this.#replayed = undefined;
    return wasReplayed;
  }

  async #room(): Promise<void> {
    await this.sink.drained();
    if (this.#isClosed()) throw new Error('The session was closed');
  }

  #isClosed(): boolean {
    return this.#state === 'closed';
  }
}

function placeOf({ senderId, sentAtMs, seq }: Message): ReplayCursor {
  return { sentAtMs, senderId, seq };
}

/** Whether nothing can be missing between `position` and the top. A broker promises it; `recovered` rests on it. */
function provesAll({ complete, entries, top }: History, position: StreamPosition): boolean {
  return (
    complete &&
    top.epoch === position.epoch &&
    top.offset === position.offset + entries.length &&
    entries.every(({ position: { epoch, offset } }, index) => {
      return epoch === position.epoch && offset === position.offset + index + 1;
    })
  );
}
