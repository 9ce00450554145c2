/**
 * What clients of ServerSentEvents and LongPolling send: the bodies of POST requests, handed on whole and in the order in which they
 * were complete. A POST is answered when its data is taken; while the connection is paused it waits, which holds up its client.
 *
 * Bounded: so many requests of a connection at once, their bodies together no larger than the largest one may be, the bodies of all
 * connections together, and the time that each may take to arrive.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Refusal, textRefusal, UNKNOWN_CONNECTION } from './access.ts';
import { writeAnswer, writeEarlyAnswer } from './http-answer.ts';

const TAKEN = textRefusal(200, '');
const TOO_MANY = textRefusal(429, 'Too many requests of this connection at once');
const BUSY = textRefusal(503, 'Too much is being sent to this server at once');
const LATE = textRefusal(408, 'The request took too long to arrive');
/** Clients send one POST after the other; a few may overlap. */
const MAXIMUM_REQUESTS = 16;

export interface PostLimits {
  /** Largest body; a larger one is answered 413 and nothing of it is handed on. */
  readonly maximumBytes: number;
  /** What the bodies of all connections may hold together, in bytes; one for which there is no room is answered 503. */
  readonly maximumTotalBytes: number;
  /** How long a body may take to arrive; one that takes longer is answered 408. */
  readonly timeoutMs: number;
  /** Whole milliseconds of the monotonic clock. */
  readonly nowMs: () => number;
}

/** What the posts of all connections of an endpoint share: their memory, and who watches their time. */
export class SharedPosts {
  readonly limits: PostLimits;
  #leftBytes: number;
  /** Since when each body that is not whole is on its way, and what to do when it is late. Oldest first. */
  readonly #arriving = new Map<Post, { readonly sinceMs: number; readonly onLate: () => void }>();

  constructor(limits: PostLimits) {
    this.limits = limits;
    this.#leftBytes = limits.maximumTotalBytes;
  }

  /** Whether there was room for so many bytes more. */
  take(bytes: number): boolean {
    if (bytes > this.#leftBytes) return false;
    this.#leftBytes -= bytes;
    return true;
  }

  give(bytes: number): void {
    this.#leftBytes += bytes;
  }

  arriving(post: Post, onLate: () => void): void {
    this.#arriving.set(post, { sinceMs: this.limits.nowMs(), onLate });
  }

  /** It is whole, or not waited for any more. */
  arrived(post: Post): void {
    this.#arriving.delete(post);
  }

  /** Ends what is late. `nowMs`: whole milliseconds of the monotonic clock. */
  sweep(nowMs: number): void {
    for (const { onLate, sinceMs } of this.#arriving.values()) {
      if (nowMs - sinceMs < this.limits.timeoutMs) return;
      onLate();
    }
  }
}

/** A POST whose data has not been taken. */
export interface Post {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  body: Buffer;
  /** How much of `body` is filled. */
  bytes: number;
}

export class PostedData {
  readonly #shared: SharedPosts;
  readonly #onData: (data: Buffer) => boolean;
  /** Requests that are not answered yet. */
  readonly #open = new Set<Post>();
  /** Those of them that are whole. */
  readonly #waiting = new Set<Post>();
  #heldBytes = 0;
  #isPaused = false;
  #isEnded = false;

  /** @param onData answers whether the data is wanted; else its client is told that there is no such connection any more. */
  constructor(shared: SharedPosts, onData: (data: Buffer) => boolean) {
    this.#shared = shared;
    this.#onData = onData;
  }

  /** Takes a request whose response is not gone. */
  accept(request: IncomingMessage, response: ServerResponse): void {
    const { maximumBytes } = this.#shared.limits;
    const announced = Number(request.headers['content-length'] ?? 0);
    if (this.#isEnded) writeAnswer(request, response, UNKNOWN_CONNECTION);
    else if (this.#open.size >= MAXIMUM_REQUESTS) writeAnswer(request, response, TOO_MANY);
    else if (announced > maximumBytes) writeAnswer(request, response, tooLarge(maximumBytes));
    else this.#read({ request, response, body: Buffer.alloc(0), bytes: 0 });
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
    for (const post of this.#open) this.#answer(post, UNKNOWN_CONNECTION);
  }

  #read(post: Post): void {
    const { request, response } = post;
    this.#open.add(post);
    this.#shared.arriving(post, () => this.#answer(post, LATE));
    response.once('close', () => this.#drop(post));
    request.on('data', (chunk: Buffer) => {
      if (!this.#open.has(post)) return;
      const refusal = this.#hold(post, chunk);
      if (refusal !== undefined) this.#answer(post, refusal);
    });
    // A request that is broken off does not end, or says that it was aborted; nothing of it counts.
    request.on('end', () => {
      if (!this.#open.has(post) || isAborted(request)) return;
      this.#shared.arrived(post);
      this.#waiting.add(post);
      this.#next();
    });
  }

  /** Keeps a piece of a body; answers why it cannot. */
  #hold(post: Post, chunk: Buffer): Refusal | undefined {
    const { maximumBytes } = this.#shared.limits;
    const bytes = post.bytes + chunk.length;
    if (bytes > maximumBytes) return tooLarge(maximumBytes);
    if (this.#heldBytes + chunk.length > maximumBytes) return TOO_MANY;
    if (!this.#shared.take(chunk.length)) return BUSY;
    this.#heldBytes += chunk.length;
    if (post.bytes === 0) post.body = chunk;
    else {
      // A buffer for each of many small pieces would cost far more than what is in them.
      if (bytes > post.body.length) {
        const larger = Buffer.allocUnsafe(Math.min(maximumBytes, bytes * 2));
        post.body.copy(larger, 0, 0, post.bytes);
        post.body = larger;
      }
      chunk.copy(post.body, post.bytes);
    }
    post.bytes = bytes;
    return undefined;
  }

  #next(): void {
    for (const post of this.#waiting) {
      if (this.#isPaused) return;
      const data = post.body.subarray(0, post.bytes);
      // What the data does to the connection, even its end, does not concern the post any more.
      this.#drop(post);
      const isTaken = data.length === 0 || this.#onData(data);
      writeAnswer(post.request, post.response, isTaken ? TAKEN : UNKNOWN_CONNECTION);
    }
  }

  #answer(post: Post, answer: Refusal): void {
    const write = this.#waiting.has(post) ? writeAnswer : writeEarlyAnswer;
    this.#drop(post);
    write(post.request, post.response, answer);
  }

  #drop(post: Post): void {
    if (!this.#open.delete(post)) return;
    this.#waiting.delete(post);
    this.#shared.arrived(post);
    this.#heldBytes -= post.bytes;
    this.#shared.give(post.bytes);
    post.body = Buffer.alloc(0);
    post.bytes = 0;
  }
}

/** Over HTTP/2 the body of a request that was reset without an error ends like any other. */
function isAborted(request: IncomingMessage): boolean {
  return (request as { readonly stream?: { readonly aborted: boolean } }).stream?.aborted === true;
}

function tooLarge(maximumBytes: number): Refusal {
  return textRefusal(413, `A request may hold ${maximumBytes} bytes at most`);
}
