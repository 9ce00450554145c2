/**
 * What a connection's messages do: the message switch, and the running of calls. Their order is the call queue's (call-queue.ts), their
 * streams are call-streams.ts.
 *
 * Invariants: a call that fails gets an answer and disturbs nothing else; a call without invocation id never gets one. A handler that
 * returns no promise is answered in the same turn, without a promise of ours.
 */

import { isPromise } from '../endpoint/is-promise.ts';
import { type InboundMessage, type InvocationMessage, messageType } from '../protocol/messages.ts';
import type { MethodEntry, MethodTable } from '../protocol/method-table.ts';
import type { ParameterKind } from '../protocol/parameters.ts';
import type { Binder } from '../protocol/protocol.ts';
import { CallContext, type CallOwner, type PlaceHolder } from './call-context.ts';
import { type CallLimits, CallQueue, takesPlace } from './call-queue.ts';
import { CallStreams, type StreamLimits } from './call-streams.ts';
import type { DispatchTarget } from './dispatch-target.ts';
import { invocationFailed, METHOD_MISSING, notStreaming, onlyStreaming, streamCountDiffers } from './errors.ts';
import type { InvocationContext } from './hub.ts';
import { OutgoingStream } from './outgoing-stream.ts';

export class Dispatcher<User> extends CallQueue<CallLimits & StreamLimits> implements Binder, CallOwner {
  readonly #target: DispatchTarget<User>;
  readonly #table: MethodTable;
  /** Present from the first stream on. */
  #streams: CallStreams<User> | undefined;
  /** Calls that want to know of the connection's end. */
  #watched: Set<{ abort(): void }> | undefined;

  /** Calls wait until `release`. */
  constructor(target: DispatchTarget<User>, table: MethodTable, limits: CallLimits & StreamLimits) {
    super(limits);
    this.#target = target;
    this.#table = table;
  }

  /** Whether nothing more should be read for now: too many calls wait, or items of an upload that its method does not take. */
  override get isFull(): boolean {
    return super.isFull || this.#streams?.isFull === true;
  }

  /** Streams in both directions whose methods have not ended. */
  get streams(): number {
    return this.#streams?.count ?? 0;
  }

  method(target: string): MethodEntry | undefined {
    return this.#table.find(target);
  }

  itemKind(streamId: string): ParameterKind | undefined {
    return this.#streams?.itemKind(streamId);
  }

  resultKind(invocationId: string): ParameterKind | undefined {
    return this.#target.resultKind(invocationId);
  }

  dispatch(message: InboundMessage): void {
    switch (message.type) {
      case messageType.invocation:
      case messageType.streamInvocation:
        if (this.#admits(message)) this.enqueue(message);
        return;
      case messageType.streamItem:
        this.#streams?.onItem(message);
        return;
      case messageType.completion:
        if (this.#streams?.onCompletion(message) !== true) this.#target.onResult(message);
        return;
      case messageType.cancelInvocation:
        this.#cancel(message.invocationId);
        return;
      case messageType.ping:
        this.#target.onPing();
        return;
      case messageType.close:
        this.#target.onClose();
        return;
      case messageType.ack:
      case messageType.sequence:
      case 'ignored':
        // They steer something that does not exist here: legal, and without effect.
        return;
    }
  }

  /** The connection has ended: calls that wait are dropped, those that run get no answer, streams end. */
  override end(): void {
    super.end();
    this.#streams?.end();
    if (this.#watched !== undefined) for (const context of this.#watched) context.abort();
    this.#watched = undefined;
  }

  watch(context: { abort(): void }): void {
    this.#watched ??= new Set();
    this.#watched.add(context);
  }

  yieldPlace(context: PlaceHolder): void {
    if (!context.hasPlace) return;
    context.hasPlace = false;
    this.givePlace(context.overlaps);
  }

  protected override onRoom(): void {
    this.#target.onCallsDone();
  }

  /** Takes in the uploads that a call brings, whose items may come before its turn; false: it was refused for them. */
  #admits(message: InvocationMessage): boolean {
    const { method } = message;
    if (method === undefined || method.uploads.length === 0 || refusalOf(message, false) !== undefined) return true;
    const refusal = this.#openStreams().admit(message, method);
    if (refusal === undefined) return true;
    if (message.invocationId !== undefined) this.#target.fail(message.invocationId, refusal);
    return false;
  }

  #openStreams(): CallStreams<User> {
    this.#streams ??= new CallStreams(this.limits, () => this.#target.onCallsDone());
    return this.#streams;
  }

  protected override run(message: InvocationMessage): void {
    const { method, invocationId } = message;
    const refusal = refusalOf(message, this.#target.detailedErrors);
    if (refusal !== undefined || method === undefined) {
      if (invocationId !== undefined) this.#target.fail(invocationId, refusal ?? '');
      return;
    }
    const context = new CallContext<User>(this.#target, this, invocationId, method);
    if (method.isStreaming && invocationId !== undefined) {
      this.#runStream(message, method, context, invocationId);
      return;
    }
    let result: unknown;
    try {
      result = this.#invoke(message, method, context);
    } catch (error) {
      context.fail(error);
      this.#done(message, context);
      return;
    }
    if (!isPromise(result)) {
      context.complete(result);
      this.#done(message, context);
      return;
    }
    if (takesPlace(method) && !context.hasYielded) {
      context.hasPlace = true;
      this.takePlace(method.overlaps);
    }
    // What only looks like a promise may throw, or answer twice.
    Promise.resolve(result).then(
      (value) => {
        context.complete(value);
        this.#done(message, context);
      },
      (error: unknown) => {
        context.fail(error);
        this.#done(message, context);
      },
    );
  }

  #invoke(message: InvocationMessage, method: MethodEntry, context: CallContext<User>): unknown {
    const invoke = method.invoke as (context: InvocationContext<User>, ...args: readonly unknown[]) => unknown;
    const args = method.uploads.length === 0 ? message.args : this.#openStreams().argumentsOf(message, method);
    return invoke(context, ...args);
  }

  #runStream(message: InvocationMessage, method: MethodEntry, context: CallContext<User>, invocationId: string): void {
    const streams = this.#openStreams();
    const refusal = streams.refusal(invocationId, method.name);
    if (refusal !== undefined) {
      this.#target.fail(invocationId, refusal);
      this.#done(message, context);
      return;
    }
    const stream = new OutgoingStream(this.#target, context, invocationId, method.name);
    const running = streams.run(invocationId, stream, () => this.#invoke(message, method, context));
    // It never rejects: what the method throws goes to the client.
    void running.then(() => this.#done(message, context));
  }

  #done(message: InvocationMessage, context: CallContext<User>): void {
    this.#watched?.delete(context);
    if (message.streamIds.length > 0) this.#streams?.release(message);
    if (!context.hasPlace) return;
    context.hasPlace = false;
    this.givePlace(context.overlaps);
  }

  #cancel(invocationId: string): void {
    const waiting = this.withdraw(invocationId, messageType.streamInvocation);
    if (waiting === undefined) {
      this.#streams?.cancel(invocationId);
      return;
    }
    this.#streams?.release(waiting);
    this.#target.endStream(invocationId);
  }
}

/** Why the call does not reach its method, if so; what only its uploads' table knows is left to that. */
function refusalOf(message: InvocationMessage, detailed: boolean): string | undefined {
  const { method, bindingFailure } = message;
  if (method === undefined) return invocationFailed(message.target, METHOD_MISSING);
  if (bindingFailure !== undefined) {
    return invocationFailed(method.name, detailed ? `InvalidDataException: ${bindingFailure}` : undefined);
  }
  const wantsStream = message.type === messageType.streamInvocation;
  if (wantsStream !== method.isStreaming) return wantsStream ? notStreaming(method.name) : onlyStreaming(method.name);
  if (method.uploads.length === 0 && message.streamIds.length > 0) {
    return streamCountDiffers(method.name, message.streamIds.length, 0);
  }
  return undefined;
}
