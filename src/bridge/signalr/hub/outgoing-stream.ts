/**
 * A stream that a method answers, on its way to the client: items as they come, at the pace the client takes them, then one completion.
 *
 * Ends once, by itself, by an error, by the client's cancellation or with the connection. The iteration's `return` is called unless it ended
 * by itself; it may take its time, which nobody waits for.
 */
import type { CallContext } from './call-context.ts';
import type { DispatchTarget } from './dispatch-target.ts';
import { notAStream, streamFailed } from './errors.ts';

type Source = Iterator<unknown> | AsyncIterator<unknown>;

export class OutgoingStream<User> {
  readonly #target: DispatchTarget<User>;
  readonly #context: CallContext<User>;
  readonly #invocationId: string;
  readonly #method: string;
  #source: Source | undefined;
  #isEnded = false;

  constructor(target: DispatchTarget<User>, context: CallContext<User>, invocationId: string, method: string) {
    this.#target = target;
    this.#context = context;
    this.#invocationId = invocationId;
    this.#method = method;
  }

  /** Sends what the method answers. Resolves when no code of the method runs any more; never rejects. */
  async run(answer: () => unknown): Promise<void> {
    try {
      this.#source = sourceOf(await answer());
    } catch (error) {
      if (this.#isEnded) this.#target.report(error, this.#method);
      else this.#end(() => this.#context.fail(error));
      return;
    }
    if (this.#source === undefined) {
      this.#end(() => this.#target.fail(this.#invocationId, notAStream(this.#method)));
      return;
    }
    await this.#pump(this.#source);
  }

  /** The client wants no more. */
  cancel(): void {
    if (!this.#end(() => this.#target.endStream(this.#invocationId))) return;
    this.#context.abort();
    this.#return();
  }

  /** The connection has ended. */
  abandon(): void {
    if (!this.#end(() => undefined)) return;
    this.#context.abort();
    this.#return();
  }

  async #pump(source: Source): Promise<void> {
    try {
      // A stream that was cancelled while its method was still preparing it is not begun.
      if (this.#isEnded) {
        await source.return?.();
        return;
      }
      for (;;) {
        const { done, value } = await source.next();
        if (this.#isEnded) return;
        if (done === true) {
          this.#end(() => this.#target.endStream(this.#invocationId));
          return;
        }
        if (!this.#send(source, value)) return;
        if (this.#target.isCongested && !(await this.#drained())) return;
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #send(source: Source, item: unknown): boolean {
    try {
      return this.#target.sendItem(this.#invocationId, item) !== 0;
    } catch (error) {
      this.#fail(error);
      this.#returnOf(source);
      return false;
    }
  }

  /** Whether the stream goes on after the client has taken what it has. */
  async #drained(): Promise<boolean> {
    try {
      await this.#target.drained();
    } catch {
      // The connection has ended, and with it the stream: `abandon` has seen to the rest.
    }
    return !this.#isEnded;
  }

  #fail(error: unknown): void {
    const wasRunning = this.#end(() => {
      this.#target.fail(this.#invocationId, streamFailed(error, this.#target.detailedErrors));
    });
    // What a stream throws because it was cancelled is how it ends.
    if (wasRunning) this.#target.report(error, this.#method);
  }

  /** Ends it if it has not ended; answers whether it was this that ended it. */
  #end(last: () => void): boolean {
    if (this.#isEnded) return false;
    this.#isEnded = true;
    last();
    return true;
  }

  #return(): void {
    if (this.#source !== undefined) this.#returnOf(this.#source);
  }

  #returnOf(source: Source): void {
    const onError = (error: unknown): void => this.#target.report(error, this.#method);
    try {
      Promise.resolve(source.return?.()).then(undefined, onError);
    } catch (error) {
      onError(error);
    }
  }
}

/** Throws what the value throws when it is iterated, for example because somebody reads it already. */
function sourceOf(value: unknown): Source | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (Symbol.asyncIterator in value) return (value as AsyncIterable<unknown>)[Symbol.asyncIterator]();
  if (Symbol.iterator in value) return (value as Iterable<unknown>)[Symbol.iterator]();
  return undefined;
}
