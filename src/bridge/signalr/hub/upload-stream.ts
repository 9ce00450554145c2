/**
 * A stream of items that the client sends to a method, which iterates it once.
 *
 * Bounded: when as many items wait as may, it is full and the connection reads nothing more until the method takes one. What the method
 * does not want any more (it left the iteration, or has ended) is dropped.
 */

/** What an upload needs of its owner. */
export interface UploadOwner {
  /** There is room again, or none is needed any more. */
  onRoom(): void;
}

type Outcome = { readonly error: Error } | 'complete';
const DONE: IteratorResult<unknown> = { done: true, value: undefined };

export class UploadStream implements AsyncIterable<unknown>, AsyncIterator<unknown> {
  readonly #owner: UploadOwner;
  readonly #maximumItems: number;
  #items: unknown[] = [];
  #outcome: Outcome | undefined;
  #waiting: PromiseWithResolvers<IteratorResult<unknown>>[] = [];
  #isTaken = false;
  #isUnwanted = false;

  constructor(owner: UploadOwner, maximumItems: number) {
    this.#owner = owner;
    this.#maximumItems = maximumItems;
  }

  get isFull(): boolean {
    return this.#items.length >= this.#maximumItems;
  }

  /** @throws TypeError the second time: the items are gone. */
  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    if (this.#isTaken) throw new TypeError('An upload stream can be iterated only once');
    this.#isTaken = true;
    return this;
  }

  /** An item has come. */
  add(item: unknown): void {
    if (this.#outcome !== undefined || this.#isUnwanted) return;
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#items.push(item);
    else waiting.resolve({ done: false, value: item });
  }

  /** Nothing more comes. With an error, the method gets it after the items that wait. */
  end(error?: Error): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = error === undefined ? 'complete' : { error };
    const [first, ...others] = this.#waiting;
    this.#waiting = [];
    if (first !== undefined) this.#settle(first);
    for (const other of others) other.resolve(DONE);
  }

  /** The method has ended. */
  discard(): void {
    this.#isUnwanted = true;
    const wasFull = this.isFull;
    this.#items = [];
    this.end();
    if (wasFull) this.#owner.onRoom();
  }

  next(): Promise<IteratorResult<unknown>> {
    if (this.#items.length > 0) {
      const wasFull = this.isFull;
      const value = this.#items.shift();
      if (wasFull) this.#owner.onRoom();
      return Promise.resolve({ done: false, value });
    }
    const next = Promise.withResolvers<IteratorResult<unknown>>();
    if (this.#outcome === undefined) this.#waiting.push(next);
    else this.#settle(next);
    return next.promise;
  }

  /** The method has left the iteration. */
  return(): Promise<IteratorResult<unknown>> {
    this.discard();
    return Promise.resolve(DONE);
  }

  #settle(next: PromiseWithResolvers<IteratorResult<unknown>>): void {
    const outcome = this.#outcome;
    // An error is told once; then the stream is at its end.
    this.#outcome = 'complete';
    if (outcome === undefined || outcome === 'complete') next.resolve(DONE);
    else next.reject(outcome.error);
  }
}
