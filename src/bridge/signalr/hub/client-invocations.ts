/**
 * Invocations that wait for a client's answer. Ids are unique over all instances. Bounded per connection. Only the connection that was
 * asked can answer; when it ends, whoever waits is told.
 */
import { randomBytes } from 'node:crypto';
import type { CompletionMessage } from '../protocol/messages.ts';
import type { ParameterKind } from '../protocol/parameters.ts';
import type { Reachable } from './connection-directory.ts';
import { HubException, NO_RESULT } from './errors.ts';

/** Of this instance. */
const INSTANCE = randomBytes(6).toString('base64url');
let lastNumber = 0;

interface Pending {
  readonly kind: ParameterKind;
  readonly settle: PromiseWithResolvers<unknown>;
}

export class ClientInvocations {
  readonly #maximum: number;
  readonly #pending = new Map<string, Map<string, Pending>>();

  /** @param maximum answers of one connection that may be waited for at the same time. */
  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  /** Answers that are waited for. */
  get count(): number {
    let count = 0;
    for (const ofConnection of this.#pending.values()) count += ofConnection.size;
    return count;
  }

  /** Asks the client. Rejects as `SingleClientProxy.invoke` says. */
  async ask(
    connection: Reachable,
    target: string,
    args: readonly unknown[],
    kind: ParameterKind,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    if (signal?.aborted === true) throw canceled();
    const ofConnection = this.#pending.get(connection.id) ?? new Map<string, Pending>();
    if (ofConnection.size >= this.#maximum) throw new Error(`The client already owes ${this.#maximum} answers.`);
    lastNumber += 1;
    const invocationId = `s${lastNumber}-${INSTANCE}`;
    const settle = Promise.withResolvers<unknown>();
    const onAbort = (): void => settle.reject(canceled());
    ofConnection.set(invocationId, { kind, settle });
    this.#pending.set(connection.id, ofConnection);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      // A question that is too much for the client ends its connection at once, which has rejected the promise already.
      if (connection.ask(invocationId, target, args) === 0) settle.reject(disconnected(connection.id));
      return await settle.promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      ofConnection.delete(invocationId);
      if (ofConnection.size === 0 && this.#pending.get(connection.id) === ofConnection) {
        this.#pending.delete(connection.id);
      }
    }
  }

  /** What the answer must be; undefined: that connection owes no such answer. */
  kindOf(connectionId: string, invocationId: string): ParameterKind | undefined {
    return this.#pending.get(connectionId)?.get(invocationId)?.kind;
  }

  /** The connection has answered something. */
  onResult(connectionId: string, message: CompletionMessage): void {
    const { bindingFailure, error, hasResult, invocationId, result } = message;
    const settle = this.#pending.get(connectionId)?.get(invocationId)?.settle;
    if (settle === undefined) return;
    const failure = error ?? bindingFailure ?? (hasResult ? undefined : NO_RESULT);
    if (failure === undefined) settle.resolve(result);
    else settle.reject(new HubException(failure));
  }

  /** The connection has ended. */
  onEnded(connectionId: string): void {
    const ofConnection = this.#pending.get(connectionId);
    if (ofConnection === undefined) return;
    this.#pending.delete(connectionId);
    for (const { settle } of ofConnection.values()) settle.reject(disconnected(connectionId));
  }
}

/** Somebody gave up waiting. */
export function canceled(): Error {
  return new Error('Invocation canceled by the server.');
}

function disconnected(connectionId: string): Error {
  return new Error(`Connection '${connectionId}' disconnected.`);
}
