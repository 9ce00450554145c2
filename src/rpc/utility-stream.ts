/** A stream that is not an event stream (health, reflection): ends with its call or with the server. */
import { toConnectError } from './errors.ts';
import { type LiveStream, type LiveStreams, shuttingDown } from './live-streams.ts';

export class UtilityStream implements LiveStream, Disposable {
  readonly #streams: LiveStreams;
  readonly #callSignal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #onAbort = (): void => this.#controller.abort(this.#callSignal.reason);

  /** @throws ChatError `unavailable` while the server drains. */
  constructor(streams: LiveStreams, callSignal: AbortSignal) {
    this.#streams = streams;
    this.#callSignal = callSignal;
    streams.add(this);
    if (callSignal.aborted) this.#onAbort();
    else callSignal.addEventListener('abort', this.#onAbort);
  }

  /** Aborted when the call is, or when the server drains. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  shutDown(reconnectAfterMs: number): void {
    this.#controller.abort(toConnectError(shuttingDown(reconnectAfterMs)));
  }

  [Symbol.dispose](): void {
    this.#callSignal.removeEventListener('abort', this.#onAbort);
    this.#streams.delete(this);
  }
}
