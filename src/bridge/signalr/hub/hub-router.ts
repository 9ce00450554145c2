/**
 * Brings what is sent, asked and grouped to the connections it is for: those here directly, the others over the backplane, if there is one.
 * What is known to be here does not go over it.
 */
import type { CompletionMessage } from '../protocol/messages.ts';
import type { ParameterKind } from '../protocol/parameters.ts';
import type {
  Audience,
  Backplane,
  BackplaneLink,
  BackplaneMember,
  RemoteAnswer,
  RemoteRequest,
  RemoteSend,
} from './backplane.ts';
import { ClientInvocations, canceled } from './client-invocations.ts';
import { ConnectionDirectory, type Reachable } from './connection-directory.ts';
import { HubException } from './errors.ts';
import { type SharedInvocation, sharedInvocation } from './shared-invocation.ts';

export interface HubRouterOptions {
  /** The server's connections. */
  readonly connections: ReadonlyMap<string, Reachable>;
  readonly maximumClientInvocations: number;
  readonly backplane: Backplane | undefined;
  /** Told of what could not be sent to a connection or another server. Must not throw. */
  readonly onError: (error: unknown, method: string, connectionId: string | undefined) => void;
}

const NEVER = new AbortController().signal;

export class HubRouter implements BackplaneMember {
  readonly #directory: ConnectionDirectory;
  readonly #invocations: ClientInvocations;
  readonly #link: BackplaneLink | undefined;
  readonly #onError: HubRouterOptions['onError'];
  /** What is asked of other servers and not answered yet. */
  #asking = 0;

  constructor({ backplane, connections, maximumClientInvocations, onError }: HubRouterOptions) {
    this.#directory = new ConnectionDirectory(connections);
    this.#invocations = new ClientInvocations(maximumClientInvocations);
    this.#onError = onError;
    this.#link = backplane?.join(this);
  }

  /** Groups that a connection of this server is in. */
  get groups(): number {
    return this.#directory.groups;
  }

  /** Answers of clients that are waited for. */
  get clientInvocations(): number {
    return this.#invocations.count + this.#asking;
  }

  onOpened(connection: Reachable): void {
    this.#directory.onOpened(connection);
  }

  /** The connection takes part in nothing any more. */
  onEnded(connection: Reachable): void {
    this.#invocations.onEnded(connection.id);
    this.#directory.onGone(connection);
  }

  resultKind(connectionId: string, invocationId: string): ParameterKind | undefined {
    return this.#invocations.kindOf(connectionId, invocationId);
  }

  onResult(connectionId: string, message: CompletionMessage): void {
    this.#invocations.onResult(connectionId, message);
  }

  /** @throws TypeError when an argument cannot be serialised for anybody who is here. */
  send(audience: Audience, target: string, args: readonly unknown[]): void {
    this.#deliver(audience, sharedInvocation(target, args));
    if (this.#link === undefined) return;
    const others = this.#elsewhere(audience);
    if (others !== undefined) this.#link.publish({ audience: others, target, args });
  }

  async invoke(
    connectionId: string,
    target: string,
    args: readonly unknown[],
    kind: ParameterKind,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    const connection = this.#directory.get(connectionId);
    if (connection !== undefined) return await this.#invocations.ask(connection, target, args, kind, signal);
    const request = { type: 'invoke', target, args, resultKind: kind } as const;
    const answer = await this.#askElsewhere(connectionId, request, signal ?? NEVER);
    if (answer === undefined) throw new Error('Connection does not exist.');
    return resultOf(answer);
  }

  async #askElsewhere(
    connectionId: string,
    request: RemoteRequest,
    signal: AbortSignal,
  ): Promise<RemoteAnswer | undefined> {
    const isGivenUp = (): boolean => signal.aborted;
    if (isGivenUp()) throw canceled();
    this.#asking += 1;
    try {
      return await this.#link?.ask(connectionId, request, signal);
    } catch (error) {
      throw isGivenUp() ? canceled() : error;
    } finally {
      this.#asking -= 1;
    }
  }

  async changeGroup(type: 'addToGroup' | 'removeFromGroup', connectionId: string, group: string): Promise<void> {
    const connection = this.#directory.get(connectionId);
    if (connection !== undefined) {
      this.#directory[type](connection, group);
      return;
    }
    const answer = await this.#askElsewhere(connectionId, { type, group }, NEVER);
    if (answer !== undefined) resultOf(answer);
  }

  onSend({ args, audience, target }: RemoteSend): void {
    try {
      this.#deliver(audience, sharedInvocation(target, args));
    } catch (error) {
      this.#onError(error, target, undefined);
    }
  }

  onRequest(connectionId: string, request: RemoteRequest, signal: AbortSignal): Promise<RemoteAnswer> | undefined {
    const connection = this.#directory.get(connectionId);
    if (connection === undefined) return undefined;
    if (request.type !== 'invoke') {
      this.#directory[request.type](connection, request.group);
      return Promise.resolve({ ok: true, result: undefined });
    }
    const { args, resultKind, target } = request;
    return this.#invocations.ask(connection, target, args, resultKind, signal).then(
      (result) => ({ ok: true, result }) as const,
      (error: unknown) => failedAnswer(error),
    );
  }

  /** Leaves the backplane. */
  close(): void {
    this.#link?.leave();
  }

  #deliver(audience: Audience, invocation: SharedInvocation): void {
    let failure: { readonly error: unknown } | undefined;
    let count = 0;
    for (const connection of this.#directory.of(audience)) {
      try {
        if (connection.sendShared(invocation) !== 0) count += 1;
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure === undefined) return;
    if (count === 0) throw failure.error;
    // It can be written in the protocol of some only; those have it, and the sender's other receivers must not suffer.
    this.#onError(failure.error, invocation.target, undefined);
  }

  /** Whom of the audience other servers may have. */
  #elsewhere(audience: Audience): Audience | undefined {
    if (audience.to !== 'connections') return audience;
    const ids = audience.ids.filter((id) => this.#directory.get(id) === undefined);
    return ids.length === 0 ? undefined : { to: 'connections', ids };
  }
}

function resultOf(answer: RemoteAnswer): unknown {
  if (answer.ok) return answer.result;
  const { isForClients, message } = answer.error;
  throw isForClients ? new HubException(message) : new Error(message);
}

function failedAnswer(error: unknown): RemoteAnswer {
  const message = error instanceof Error ? error.message : 'The invocation failed.';
  return { ok: false, error: { message, isForClients: error instanceof HubException } };
}
