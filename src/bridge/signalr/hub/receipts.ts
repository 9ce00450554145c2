/**
 * Evidence of receipt. A record written to a socket has reached nobody yet; only an answer of the peer to something sent
 * after it proves that it arrived. So a probe (a WebSocket ping that carries the mark of the last record before it) follows
 * records that want a receipt, and its answer proves every record up to that mark.
 *
 * Pace: the first probe comes shortly after the record, then at most one in each interval while more are written, and always
 * a last one; never two at a time. Nothing is allocated for a connection that asks for no receipt.
 */
import type { Clock } from '../../../time/clock.ts';
import { DelayQueue } from './delay-queue.ts';

/** What the tracker needs of its connection. */
export interface ProbeTarget {
  /** Writes what can be written now; answers the mark of the last record that the transport has, 0 if that is not known. */
  flushedMark(): number;
  /** Sends the probe. Nothing happens when the connection is not open. */
  probe(mark: number): void;
}

/** The shared timers of all trackers of a server. */
export class ProbePacer {
  readonly clock: Clock;
  readonly #soon: DelayQueue<ReceiptTracker>;
  readonly #later: DelayQueue<ReceiptTracker>;

  constructor(clock: Clock, delayMs: number, intervalMs: number) {
    this.clock = clock;
    this.#soon = new DelayQueue(clock, delayMs, (tracker) => tracker.onDue());
    this.#later = new DelayQueue(clock, intervalMs, (tracker) => tracker.onIntervalOver());
  }

  soon(tracker: ReceiptTracker): void {
    this.#soon.add(tracker);
  }

  later(tracker: ReceiptTracker): void {
    this.#later.add(tracker);
  }

  close(): void {
    this.#soon.clear();
    this.#later.clear();
  }
}

interface Waiter {
  readonly mark: number;
  readonly callback: () => void;
}

/** The receipts of one connection. */
export class ReceiptTracker {
  readonly #pacer: ProbePacer;
  readonly #target: ProbeTarget;
  #wantedMark = 0;
  #receivedMark = 0;
  /** Mark of the probe that is not answered yet; 0 = none. */
  #probingMark = 0;
  #probedAtMs = 0;
  #isDueSoon = false;
  #isInInterval = false;
  #isEnded = false;
  #waiters: Waiter[] | undefined;

  constructor(pacer: ProbePacer, target: ProbeTarget) {
    this.#pacer = pacer;
    this.#target = target;
  }

  /** Asks for proof of the record with this mark; `callback` is called when it is there. Marks must not shrink. */
  want(mark: number, callback?: () => void): void {
    if (callback !== undefined) {
      this.#waiters ??= [];
      this.#waiters.push({ mark, callback });
    }
    this.#wantedMark = mark;
    if (this.#isDueSoon || this.#isInInterval || this.#probingMark !== 0) return;
    this.#isDueSoon = true;
    this.#pacer.soon(this);
  }

  /** The probe of `mark` was answered. Answers whether that is news; callbacks run on the way. */
  onProof(mark: number): boolean {
    if (mark === 0 || mark !== this.#probingMark || this.#isEnded) return false;
    this.#probingMark = 0;
    this.#receivedMark = mark;
    if (!this.#isInInterval && this.#wantedMark > mark) this.#probe();
    return true;
  }

  /** Takes the callbacks whose records are proven. */
  takeProven(): (() => void)[] {
    const waiters = this.#waiters;
    if (waiters === undefined) return [];
    const proven = waiters.filter(({ mark }) => mark <= this.#receivedMark);
    const rest = waiters.slice(proven.length);
    this.#waiters = rest.length === 0 ? undefined : rest;
    return proven.map(({ callback }) => callback);
  }

  /** Since when a probe waits for its answer, in the clock's monotonic time; undefined = none does. */
  get unansweredSinceMs(): number | undefined {
    return this.#probingMark === 0 ? undefined : this.#probedAtMs;
  }

  /** The transport is gone, and with it the probe that waits: its answer will not come, or is no proof any more. */
  forgetProbe(): void {
    this.#probingMark = 0;
    // Somebody must look again when there is a transport.
    if (this.#wantedMark > this.#receivedMark && !this.#isDueSoon && !this.#isInInterval) {
      this.#isDueSoon = true;
      this.#pacer.soon(this);
    }
  }

  /** The connection has ended: no probe, no callback from now on. */
  end(): void {
    this.#isEnded = true;
    this.#waiters = undefined;
  }

  onDue(): void {
    this.#isDueSoon = false;
    this.#probe();
  }

  onIntervalOver(): void {
    this.#isInInterval = false;
    // With a probe still out, its answer brings the next one.
    if (this.#probingMark === 0 && this.#wantedMark > this.#receivedMark) this.#probe();
  }

  #probe(): void {
    if (this.#isEnded) return;
    const mark = this.#target.flushedMark();
    this.#isInInterval = true;
    this.#pacer.later(this);
    // Nothing new has been written yet (the peer is slow): look again after the interval.
    if (mark <= this.#receivedMark) return;
    this.#probingMark = mark;
    this.#probedAtMs = this.#pacer.clock.monotonicMs();
    this.#target.probe(mark);
  }
}
