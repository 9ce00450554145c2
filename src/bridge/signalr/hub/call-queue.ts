/**
 * Which calls of a connection may run, and which wait.
 *
 * Invariants: calls begin in the order of their arrival, the first not before `release`. As many run as may run in parallel, by default
 * one; a method that overlaps also runs beside others of its kind. Calls with streams take no place: they wait only for what stands
 * before them, and nothing waits for them. Bounded: when as many wait as may, the connection reads no more.
 */
import type { InvocationMessage } from '../protocol/messages.ts';

export interface CallLimits {
  readonly maximumWaitingInvocations: number;
  readonly maximumParallelInvocations: number;
}

/** A base class and no part, for every connection has one: a part of its own would cost each of them an object more. */
export abstract class CallQueue<Limits extends CallLimits> {
  protected readonly limits: Limits;
  #waiting: InvocationMessage[] | undefined;
  /** Calls that have a place. */
  #running = 0;
  /** Those of them that do not overlap. */
  #alone = 0;
  #isReleased = false;
  #isEnded = false;

  constructor(limits: Limits) {
    this.limits = limits;
  }

  /** Runs the call. One that takes time takes its place with `takePlace` before this returns. */
  protected abstract run(message: InvocationMessage): void;
  /** There is room again, or nothing runs and waits any more. */
  protected abstract onRoom(): void;

  get isFull(): boolean {
    return this.#waiting !== undefined && this.#waiting.length >= this.limits.maximumWaitingInvocations;
  }

  /** Whether no call has a place or waits for one. Streams and calls that wait for the client do not count: they may never end by themselves. */
  get isIdle(): boolean {
    return this.#isReleased && this.#running === 0 && this.#waiting === undefined;
  }

  /** Whether calls wait because one runs and only one may: what else the client has to say cannot be expected of it. */
  get isBlocked(): boolean {
    return this.#running > 0 && this.limits.maximumParallelInvocations === 1;
  }

  /** Runs the call now, or when its turn comes. */
  protected enqueue(message: InvocationMessage): void {
    if (this.#waiting === undefined && this.#mayRun(message)) this.run(message);
    else if (this.#waiting === undefined) this.#waiting = [message];
    else this.#waiting.push(message);
  }

  /** Lets the calls begin. */
  release(): void {
    this.#isReleased = true;
    this.#next();
  }

  /** The call that runs takes its place. */
  protected takePlace(overlaps: boolean): void {
    this.#running += 1;
    if (!overlaps) this.#alone += 1;
  }

  /** It gives its place back. */
  protected givePlace(overlaps: boolean): void {
    this.#running -= 1;
    if (!overlaps) this.#alone -= 1;
    this.#next();
  }

  /** Takes a stream call that waits out of the queue, if it is there. */
  protected withdraw(invocationId: string, type: InvocationMessage['type']): InvocationMessage | undefined {
    const waiting = this.#waiting;
    const index = waiting?.findIndex((call) => call.invocationId === invocationId && call.type === type) ?? -1;
    if (waiting === undefined || index === -1) return undefined;
    const [message] = waiting.splice(index, 1);
    this.#next();
    return message;
  }

  /** Nothing begins any more. */
  end(): void {
    this.#isEnded = true;
    this.#waiting = undefined;
  }

  #mayRun({ method }: InvocationMessage): boolean {
    if (!this.#isReleased) return false;
    if (this.#running === 0) return true;
    if (method !== undefined && !takesPlace(method)) return true;
    const { maximumParallelInvocations, maximumWaitingInvocations } = this.limits;
    if (this.#running < maximumParallelInvocations) return true;
    return method?.overlaps === true && this.#alone === 0 && this.#running < maximumWaitingInvocations;
  }

  #next(): void {
    // Calls that are answered at once are many turns of this loop, not a recursion.
    while (this.#waiting !== undefined) {
      const message = this.#waiting[0];
      if (message === undefined) {
        this.#waiting = undefined;
        break;
      }
      if (!this.#mayRun(message)) break;
      this.#waiting.shift();
      this.run(message);
    }
    if (!this.#isEnded && !this.isFull) this.onRoom();
  }
}

/** Whether a call of the method counts among those that run in parallel. */
export function takesPlace(method: {
  readonly isStreaming: boolean;
  readonly uploads: { readonly length: number };
}): boolean {
  return !method.isStreaming && method.uploads.length === 0;
}
