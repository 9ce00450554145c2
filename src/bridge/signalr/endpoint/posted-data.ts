/**
 * What clients of ServerSentEvents and LongPolling send: the bodies of POST requests, handed on whole and in the order in which they
 * were complete. A POST is answered when its data is taken; while the connection is paused it waits, which holds up its client.
 *
 * Bounded: so many requests at once, each with so many bytes.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Refusal, textRefusal, UNKNOWN_CONNECTION } from './access.ts';
import { writeAnswer } from './http-answer.ts';

const TAKEN = textRefusal(200, '');
const TOO_MANY = textRefusal(429, 'Too many requests of this connection at once');
/** Clients send one POST after the other; a few may overlap. */
const MAXIMUM_REQUESTS = 16;

interface Posted {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: Buffer;
}

export class PostedData {
  readonly #maximumBytes: number;
  readonly #onData: (data: Buffer) => void;
  /** Requests that are not answered yet. */
  readonly #open = new Map<ServerResponse, IncomingMessage>();
  #waiting: Posted[] = [];
  #isPaused = false;
  #isEnded = false;

  /** @param maximumBytes of one body; a larger one is answered 413 and nothing of it is handed on. */
  constructor(maximumBytes: number, onData: (data: Buffer) => void) {
    this.#maximumBytes = maximumBytes;
    this.#onData = onData;
  }

  accept(request: IncomingMessage, response: ServerResponse): void {
    if (this.#isEnded || this.#open.size >= MAXIMUM_REQUESTS) {
      writeAnswer(request, response, this.#isEnded ? UNKNOWN_CONNECTION : TOO_MANY);
      return;
    }
    this.#open.set(response, request);
    response.once('close', () => this.#open.delete(response));
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= this.#maximumBytes) chunks.push(chunk);
      else if (this.#open.has(response)) this.#answer(request, response, tooLarge(this.#maximumBytes));
    });
    // A request that is broken off never ends, and nothing of it counts.
    request.on('end', () => {
      if (!this.#open.has(response)) return;
      this.#waiting.push({ request, response, body: Buffer.concat(chunks, length) });
      this.#next();
    });
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#next();
  }

  /** The connection is over: whoever waits is told so. */
  end(): void {
    this.#isEnded = true;
    this.#waiting = [];
    for (const [response, request] of this.#open) this.#answer(request, response, UNKNOWN_CONNECTION);
  }

  #next(): void {
    while (!this.#isPaused) {
      const posted = this.#waiting.shift();
      if (posted === undefined) return;
      if (!this.#open.has(posted.response)) continue;
      this.#answer(posted.request, posted.response, TAKEN);
      if (posted.body.length > 0) this.#onData(posted.body);
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse, answer: Refusal): void {
    this.#open.delete(response);
    writeAnswer(request, response, answer);
  }
}

function tooLarge(maximumBytes: number): Refusal {
  return textRefusal(413, `A request may hold ${maximumBytes} bytes at most`);
}
