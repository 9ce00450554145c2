/**
 * What a connection's messages do: the message switch, and the queue of calls.
 *
 * Invariants: calls of one connection begin in the order of their arrival, the first not before `release`, and run one at a
 * time, but for methods that may overlap; a call that fails gets an answer and disturbs nothing else; a call without
 * invocation id never gets one. A handler that returns no promise is answered in the same turn, without a promise of ours.
 */

import { isPromise } from '../endpoint/is-promise.ts';
import { type InboundMessage, type InvocationMessage, messageType } from '../protocol/messages.ts';
import type { MethodEntry, MethodTable } from '../protocol/method-table.ts';
import type { ParameterKind } from '../protocol/parameters.ts';
import type { Binder } from '../protocol/protocol.ts';
import { invocationFailed, METHOD_MISSING, methodThrew, notStreaming, streamCountDiffers } from './errors.ts';
import type { HubConnection, InvocationContext } from './hub.ts';

/** What the dispatcher needs of its connection. */
export interface DispatchTarget<User> extends HubConnection<User> {
  /** Queues the answer to a call; answers its mark, 0 when the connection is not open. */
  complete(invocationId: string, result: unknown): number;
  fail(invocationId: string, error: string): number;
  /** Calls `callback` when the record with this mark is known to have arrived. */
  whenReceived(mark: number, callback: () => void): void;
  /** The client has sent a Ping. */
  onPing(): void;
  /** The client has sent a Close. */
  onClose(): void;
  /** Calls no longer fill the queue, or none is left. */
  onCallsDone(): void;
  /** An error of the hub's own code. */
  report(error: unknown, method: string): void;
  readonly detailedErrors: boolean;
}

export class Dispatcher<User> implements Binder {
  readonly #target: DispatchTarget<User>;
  readonly #table: MethodTable;
  readonly #maximumWaiting: number;
  #waiting: InvocationMessage[] | undefined;
  /** Calls that run. */
  #running = 0;
  /** A call runs that does not overlap, or the connection is not ready for calls. */
  #isHeld = true;
  #isEnded = false;

  /** Calls wait until `release`. */
  constructor(target: DispatchTarget<User>, table: MethodTable, maximumWaiting: number) {
    this.#target = target;
    this.#table = table;
    this.#maximumWaiting = maximumWaiting;
  }

  /** Whether no more calls should be read for now. */
  get isFull(): boolean {
    return this.#waiting !== undefined && this.#waiting.length >= this.#maximumWaiting;
  }

  /** Whether no call runs or waits. */
  get isIdle(): boolean {
    return !this.#isHeld && this.#running === 0 && this.#waiting === undefined;
  }

  method(target: string): MethodEntry | undefined {
    return this.#table.find(target);
  }

  itemKind(_streamId: string): ParameterKind | undefined {
    return undefined;
  }

  resultKind(_invocationId: string): ParameterKind | undefined {
    return undefined;
  }

  dispatch(message: InboundMessage): void {
    switch (message.type) {
      case messageType.invocation:
      case messageType.streamInvocation:
        if (this.#waiting === undefined && this.#mayRun(message)) this.#run(message);
        else if (this.#waiting === undefined) this.#waiting = [message];
        else this.#waiting.push(message);
        return;
      case messageType.ping:
        this.#target.onPing();
        return;
      case messageType.close:
        this.#target.onClose();
        return;
      case messageType.streamItem:
      case messageType.completion:
      case messageType.cancelInvocation:
      case messageType.ack:
      case messageType.sequence:
      case 'ignored':
        // They answer or steer something that does not exist here: legal, and without effect.
        return;
    }
  }

  /** Lets the calls begin. */
  release(): void {
    this.#isHeld = false;
    this.#next();
  }

  /** The connection has ended: calls that wait are dropped, one that runs gets no answer. */
  end(): void {
    this.#isEnded = true;
    this.#waiting = undefined;
  }

  #mayRun(message: InvocationMessage): boolean {
    if (this.#isHeld) return false;
    if (this.#running === 0) return true;
    return message.method?.overlaps === true && this.#running < this.#maximumWaiting;
  }

  #run(message: InvocationMessage): void {
    const { method, invocationId } = message;
    const refusal = refusalOf(message, this.#target.detailedErrors);
    if (refusal !== undefined || method === undefined) {
      if (invocationId !== undefined) this.#target.fail(invocationId, refusal ?? '');
      return;
    }
    const context = new CallContext(this.#target, invocationId, method.name);
    let result: unknown;
    try {
      const invoke = method.invoke as (context: InvocationContext<User>, ...args: readonly unknown[]) => unknown;
      result = invoke(context, ...message.args);
    } catch (error) {
      context.fail(error);
      return;
    }
    if (!isPromise(result)) {
      context.complete(result);
      return;
    }
    this.#running += 1;
    this.#isHeld = !method.overlaps;
    result.then(
      (value) => {
        context.complete(value);
        this.#done();
      },
      (error: unknown) => {
        context.fail(error);
        this.#done();
      },
    );
  }

  #done(): void {
    this.#running -= 1;
    this.#isHeld = false;
    this.#next();
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
      this.#run(message);
    }
    if (!this.#isEnded && !this.isFull) this.#target.onCallsDone();
  }
}

class CallContext<User> implements InvocationContext<User> {
  readonly connection: DispatchTarget<User>;
  readonly #invocationId: string | undefined;
  readonly #method: string;
  #answered: (() => void)[] | undefined;

  constructor(connection: DispatchTarget<User>, invocationId: string | undefined, method: string) {
    this.connection = connection;
    this.#invocationId = invocationId;
    this.#method = method;
  }

  get connectionId(): string {
    return this.connection.id;
  }

  get user(): User {
    return this.connection.user;
  }

  get userId(): string | undefined {
    return this.connection.userId;
  }

  onAnswered(callback: () => void): void {
    if (this.#invocationId === undefined) return;
    this.#answered ??= [];
    this.#answered.push(callback);
  }

  complete(result: unknown): void {
    if (this.#invocationId === undefined) return;
    try {
      this.#onAnswer(this.connection.complete(this.#invocationId, result));
    } catch (error) {
      // The result cannot be serialised. The reference closes the connection; failing the call is kinder.
      this.fail(error);
    }
  }

  fail(error: unknown): void {
    this.connection.report(error, this.#method);
    if (this.#invocationId === undefined) return;
    const text = methodThrew(this.#method, error, this.connection.detailedErrors);
    this.#onAnswer(this.connection.fail(this.#invocationId, text));
  }

  #onAnswer(mark: number): void {
    if (mark === 0 || this.#answered === undefined) return;
    for (const callback of this.#answered) this.connection.whenReceived(mark, callback);
  }
}

/** Why the call does not reach its method, if so. */
function refusalOf(message: InvocationMessage, detailed: boolean): string | undefined {
  const { method, bindingFailure } = message;
  if (method === undefined) return invocationFailed(message.target, METHOD_MISSING);
  if (bindingFailure !== undefined) {
    return invocationFailed(method.name, detailed ? `InvalidDataException: ${bindingFailure}` : undefined);
  }
  if (message.type === messageType.streamInvocation) return notStreaming(method.name);
  const { length } = message.streamIds;
  if (length !== method.uploads.length) return streamCountDiffers(method.name, length, method.uploads.length);
  return undefined;
}
