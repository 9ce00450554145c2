/** What a hub method is given of its call, and how the call is answered. What most methods do not ask for is made when it is asked for. */
import type { CallerClients, HubGroups } from './clients.ts';
import type { DispatchTarget } from './dispatch-target.ts';
import { methodThrew } from './errors.ts';
import type { InvocationContext } from './hub.ts';

/** What a context needs of the dispatcher. */
export interface CallOwner {
  /** The call's `signal` is in use: `context.abort` is wanted when the connection ends. */
  watch(context: { abort(): void }): void;
  /** The call waits for a client: others need not wait for it. */
  yieldPlace(context: PlaceHolder): void;
}

/** A call that may have a place among those that run. */
export interface PlaceHolder {
  readonly overlaps: boolean;
  hasPlace: boolean;
}

export class CallContext<User> implements InvocationContext<User>, PlaceHolder {
  readonly connection: DispatchTarget<User>;
  readonly overlaps: boolean;
  readonly #owner: CallOwner;
  readonly #invocationId: string | undefined;
  readonly #method: string;
  /** Whether the call has a place among those that run. The dispatcher's. */
  hasPlace = false;
  /** Whether it has waited for a client: from then on it needs no place. */
  hasYielded = false;
  #answered: (() => void)[] | undefined;
  #controller: AbortController | undefined;
  #isAborted = false;
  #clients: CallerClients | undefined;

  constructor(
    connection: DispatchTarget<User>,
    owner: CallOwner,
    invocationId: string | undefined,
    method: { readonly name: string; readonly overlaps: boolean },
  ) {
    this.connection = connection;
    this.#owner = owner;
    this.#invocationId = invocationId;
    this.#method = method.name;
    this.overlaps = method.overlaps;
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

  get clients(): CallerClients {
    this.#clients ??= this.connection.callerClients(() => this.#yield());
    return this.#clients;
  }

  get groups(): HubGroups {
    return this.connection.groups;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#isAborted || !this.connection.isOpen) this.#controller.abort();
      else this.#owner.watch(this);
    }
    return this.#controller.signal;
  }

  /** Nobody waits for the answer any more. */
  abort(): void {
    this.#isAborted = true;
    this.#controller?.abort();
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

  #yield(): void {
    this.hasYielded = true;
    this.#owner.yieldPlace(this);
  }

  #onAnswer(mark: number): void {
    if (mark === 0 || this.#answered === undefined) return;
    for (const callback of this.#answered) this.connection.whenReceived(mark, callback);
  }
}
