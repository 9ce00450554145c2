/**
 * Hub sends without a client id whose answer is not known to have reached the page: the page will repeat them by REST, and
 * the repetition must find the first message.
 *
 * A send is in flight, then committed or refused. It is forgotten when its answer is proven to have arrived (a refused one
 * is kept, for the page repeats those it has heard of too), when a REST send was matched with it, or with age.
 */
import type { SendResult } from '../core/chat.ts';
import type { Clock } from '../time/clock.ts';
import { DEFAULT_RECENT_SENDS, type RecentSend, RecentSends, type RecentSendsOptions } from './recent-sends.ts';

/** What a sender is told of a message. */
export type SendAnswer = Pick<SendResult, 'message' | 'warning'>;

/** A hub send. */
export interface UnansweredSend extends RecentSend {
  /** Undefined while in flight; `refused` is also every failure. */
  outcome: SendAnswer | 'refused' | undefined;
  /** Told of the outcome once. */
  waiting: ((answer: SendAnswer | undefined) => void)[] | undefined;
}

export class UnansweredSends {
  readonly #clock: Clock;
  readonly #sends: RecentSends<UnansweredSend>;

  constructor(clock: Clock, options: RecentSendsOptions = DEFAULT_RECENT_SENDS) {
    this.#clock = clock;
    this.#sends = new RecentSends(clock, options);
  }

  /** Sends remembered. */
  get size(): number {
    return this.#sends.size;
  }

  /** A hub send is being processed. */
  begin(senderId: string, receiverId: string, text: string): UnansweredSend {
    const sinceMs = this.#clock.monotonicMs();
    const send: UnansweredSend = { senderId, receiverId, text, sinceMs, outcome: undefined, waiting: undefined };
    this.#sends.add(send);
    return send;
  }

  committed(send: UnansweredSend, answer: SendAnswer): void {
    settle(send, answer);
  }

  /** It failed, for whatever reason: there is no message. */
  refused(send: UnansweredSend): void {
    settle(send, 'refused');
  }

  /** The answer has reached the page. */
  answered(send: UnansweredSend): void {
    this.#sends.delete(send);
  }

  /**
   * Takes a hub send like this one out of the memory: each is matched at most once. A refused one is surely repeated, so
   * it goes before one whose answer may have arrived after all; else the oldest.
   */
  take(senderId: string, receiverId: string, text: string): UnansweredSend | undefined {
    const send =
      this.#sends.find(senderId, receiverId, text, ({ outcome }) => outcome === 'refused') ??
      this.#sends.find(senderId, receiverId, text);
    if (send !== undefined) this.#sends.delete(send);
    return send;
  }

  /** The message of a send, as soon as it is known; undefined if it was refused. */
  outcomeOf(send: UnansweredSend): Promise<SendAnswer | undefined> {
    const { outcome } = send;
    if (outcome !== undefined) return Promise.resolve(outcome === 'refused' ? undefined : outcome);
    return new Promise((resolve) => {
      send.waiting ??= [];
      send.waiting.push(resolve);
    });
  }
}

function settle(send: UnansweredSend, outcome: SendAnswer | 'refused'): void {
  send.outcome = outcome;
  if (send.waiting === undefined) return;
  for (const resolve of send.waiting) resolve(outcome === 'refused' ? undefined : outcome);
  send.waiting = undefined;
}
