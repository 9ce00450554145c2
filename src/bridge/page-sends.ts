/**
 * Sending for a page that repeats itself without saying so. It sends through the hub; what fails, loses its connection or
 * is not answered in 10 s it repeats by REST, and once more by REST with the same timestamp. None of it has an id, and
 * none of it may become a second message. So:
 *
 * 1. REST sends of equal sender, receiver, text and timestamp share a client id derived from these, and the store's own
 *    idempotency makes them one message, for ever and on every instance.
 * 2. A REST send like a hub send that is in flight, or whose answer is not known to have arrived, is that message
 *    (unanswered-sends.ts). The derived id is bound to it, so that the next retry finds it too.
 * 3. The other way round: a hub send that was stuck on its way (a frozen connection) and arrives after its repetition is
 *    that message, if the connection is old enough for the page to have given up waiting on it.
 * 4. After a crash the memory is gone. The store is asked for sends without id of the time just before it.
 *
 * The memory is this process's; only rule 1 reaches across instances.
 */
import { createHash } from 'node:crypto';
import type { Chat } from '../core/chat.ts';
import type { Identity } from '../core/identity.ts';
import type { Message } from '../core/message.ts';
import { callerId } from '../core/policy.ts';
import type { MessagePolicy, MessageStore } from '../core/ports.ts';
import type { Clock } from '../time/clock.ts';
import { DEFAULT_RECENT_SENDS, type RecentSend, RecentSends, type RecentSendsOptions } from './recent-sends.ts';
import { type SendAnswer, UnansweredSends } from './unanswered-sends.ts';

export interface PageSendsDependencies {
  readonly chat: Pick<Chat, 'send' | 'bindClientId'>;
  readonly store: Pick<MessageStore, 'findSendWithoutId'>;
  /** The one the core uses: a lost send is found by the text as it was stored. */
  readonly messagePolicy: MessagePolicy;
  readonly clock: Clock;
  /** When this process began to take sends, milliseconds since the Unix epoch. */
  readonly startedAtMs: number;
  /** The last sign of life of a process before this one, milliseconds since the Unix epoch; undefined = there was none. */
  readonly previousSignOfLifeMs: number | undefined;
  /** Told of a derived id that could not be bound; the send itself is answered. */
  readonly onError: (error: unknown) => void;
  readonly memory?: RecentSendsOptions;
}

export interface PageSendRequest {
  readonly receiverId: string;
  readonly text: string;
  /** Undefined or empty = none, which is the page's way. */
  readonly clientMessageId?: string | undefined;
}

export interface RestSendRequest extends PageSendRequest {
  /** The page's own time of the message, as it wrote it; undefined = none, and then the send has no identity. */
  readonly timestamp?: string | undefined;
}

/** The hub call that carries a send. */
export interface HubCall {
  /** See `InvocationContext.onAnswered`. */
  onAnswered(callback: () => void): void;
}

/** A REST send with a timestamp, remembered under its derived id. */
interface RestSend extends RecentSend {
  readonly derivedId: string;
  readonly answer: Promise<SendAnswer>;
  /** Whether a hub send has been found that it repeats. */
  isMatched: boolean;
  hasFailed: boolean;
}

/** How long the page waits for the hub's answer before it repeats by REST, less what clocks and networks may differ. */
const PAGE_PATIENCE_MS = 9500;
/** How long after a message's commit a process still may have shown signs of life and its answer be lost. */
const CRASH_MARGIN_MS = 15_000;
const MAX_LOST_LOOKUPS = 10;

export class PageSends {
  readonly #deps: PageSendsDependencies;
  readonly #maxAgeMs: number;
  readonly #unanswered: UnansweredSends;
  readonly #restSends: RecentSends<RestSend>;
  /** Messages of before the start that a REST send was answered with. */
  readonly #claimed = new Set<string>();

  constructor(dependencies: PageSendsDependencies) {
    const memory = dependencies.memory ?? DEFAULT_RECENT_SENDS;
    this.#deps = dependencies;
    this.#maxAgeMs = memory.maxAgeMs;
    this.#unanswered = new UnansweredSends(dependencies.clock, memory);
    this.#restSends = new RecentSends(dependencies.clock, memory);
  }

  /** Hub sends that a REST send could still repeat. */
  get unanswered(): number {
    return this.#unanswered.size;
  }

  /**
   * Sends for the hub.
   * @param connectedAtMs when the call's connection began, in the clock's monotonic milliseconds.
   * @throws ChatError as `Chat.send`.
   */
  async sendFromHub(
    identity: Identity,
    request: PageSendRequest,
    call: HubCall,
    connectedAtMs: number,
  ): Promise<SendAnswer> {
    const { receiverId, text } = request;
    if (request.clientMessageId) return this.#send(identity, request, request.clientMessageId);
    const senderId = callerId(identity);
    const repetition = this.#takeRepetition(senderId, request, connectedAtMs);
    if (repetition !== undefined) {
      const answer = await repetition.answer.catch(() => undefined);
      if (answer !== undefined) return answer;
      // The repetition failed after all: this send is still to be done.
    }
    // No await before this on the usual way: a REST send of the same turn must find it.
    const send = this.#unanswered.begin(senderId, receiverId, text);
    try {
      const answer = await this.#deps.chat.send(identity, { receiverId, text, withoutId: true });
      this.#unanswered.committed(send, answer);
      call.onAnswered(() => this.#unanswered.answered(send));
      return answer;
    } catch (error) {
      this.#unanswered.refused(send);
      throw error;
    }
  }

  /** Sends for the REST door. @throws ChatError as `Chat.send`. */
  async sendFromRest(identity: Identity, request: RestSendRequest): Promise<SendAnswer> {
    const { timestamp } = request;
    const asked = { ...request, text: request.text.toWellFormed() };
    if (request.clientMessageId) return this.#send(identity, asked, request.clientMessageId);
    const senderId = callerId(identity);
    if (timestamp === undefined) return this.#repeatOrSend(identity, senderId, asked, undefined, undefined);
    const derivedId = deriveId(senderId, asked, timestamp);
    const known = this.#restSends.find(senderId, asked.receiverId, asked.text, (send) => send.derivedId === derivedId);
    if (known !== undefined && !known.hasFailed) return known.answer;
    if (known !== undefined) this.#restSends.delete(known);
    return this.#remember(identity, senderId, asked, derivedId, known?.isMatched === true);
  }

  /** Has every send with this derived id wait for the same answer. After one that failed the next tries again. */
  #remember(
    identity: Identity,
    senderId: string,
    asked: PageSendRequest,
    derivedId: string,
    isMatched: boolean,
  ): Promise<SendAnswer> {
    const { promise: answer, resolve, reject } = Promise.withResolvers<SendAnswer>();
    const sinceMs = this.#deps.clock.monotonicMs();
    const { receiverId, text } = asked;
    const send: RestSend = { senderId, receiverId, text, sinceMs, derivedId, answer, isMatched, hasFailed: false };
    this.#restSends.add(send);
    this.#repeatOrSend(identity, senderId, asked, derivedId, send).then(resolve, (error: unknown) => {
      send.hasFailed = true;
      reject(error);
    });
    return answer;
  }

  async #repeatOrSend(
    identity: Identity,
    senderId: string,
    asked: PageSendRequest,
    derivedId: string | undefined,
    own: RestSend | undefined,
  ): Promise<SendAnswer> {
    const first = this.#unanswered.take(senderId, asked.receiverId, asked.text);
    if (first !== undefined && own !== undefined) own.isMatched = true;
    const answer =
      first === undefined ? await this.#findLost(senderId, asked) : await this.#unanswered.outcomeOf(first);
    if (answer === undefined) return this.#send(identity, asked, derivedId);
    if (own !== undefined) own.isMatched = true;
    if (derivedId !== undefined) await this.#bind(answer.message, derivedId, asked.text);
    return answer;
  }

  #send(identity: Identity, asked: PageSendRequest, clientMessageId: string | undefined): Promise<SendAnswer> {
    const { receiverId, text } = asked;
    return this.#deps.chat.send(identity, {
      receiverId,
      text,
      ...(clientMessageId !== undefined && { clientMessageId }),
    });
  }

  /** The REST send that repeated this hub send before it arrived. */
  #takeRepetition(senderId: string, asked: PageSendRequest, connectedAtMs: number): RestSend | undefined {
    const repetition = this.#restSends.find(
      senderId,
      asked.receiverId,
      asked.text,
      (send) => !send.isMatched && !send.hasFailed && send.sinceMs - connectedAtMs >= PAGE_PATIENCE_MS,
    );
    if (repetition !== undefined) repetition.isMatched = true;
    return repetition;
  }

  /** A hub send that was committed shortly before a crash and that nobody was matched with yet. */
  async #findLost(senderId: string, asked: PageSendRequest): Promise<SendAnswer | undefined> {
    const { clock, messagePolicy, previousSignOfLifeMs, startedAtMs, store } = this.#deps;
    if (previousSignOfLifeMs === undefined) return undefined;
    const fromMs = Math.max(previousSignOfLifeMs - CRASH_MARGIN_MS, clock.now() - this.#maxAgeMs);
    if (fromMs > startedAtMs) return undefined;
    const { receiverId } = asked;
    const { text, warning } = messagePolicy.review({ senderId, receiverId, text: asked.text });
    // A message of this process can stand in the very millisecond of the start.
    let toMs = startedAtMs - 1;
    for (let lookup = 0; lookup < MAX_LOST_LOOKUPS && toMs >= fromMs; lookup += 1) {
      const message = await store.findSendWithoutId({ senderId, receiverId, text, fromMs, toMs });
      if (message === undefined) return undefined;
      if (!this.#claimed.has(message.id)) {
        this.#claimed.add(message.id);
        return { message, ...(warning !== undefined && { warning }) };
      }
      toMs = message.sentAtMs - 1;
    }
    return undefined;
  }

  async #bind(message: Message, derivedId: string, text: string): Promise<void> {
    try {
      await this.#deps.chat.bindClientId(message, derivedId, text);
    } catch (error) {
      // The message exists and this process remembers the match: only a retry after a restart would not find it.
      this.#deps.onError(error);
    }
  }
}

/** The client id of a REST send; the prefix keeps it apart from the ids that clients make. */
function deriveId(senderId: string, asked: PageSendRequest, timestamp: string): string {
  const digest = createHash('sha256');
  for (const part of [senderId, asked.receiverId, timestamp]) digest.update(part).update('\0');
  return `rest:${digest.update(asked.text).digest('base64url')}`;
}
