/**
 * The LongPolling transport (TransportProtocols.md, "Long Polling"): the client asks again and again, each poll is answered as soon as
 * there is something, POST requests carry what it sends, DELETE ends it. No timer: the endpoint's sweep looks at the deadlines.
 *
 * A poll is evidence that the answer to the one before it has arrived, for a client asks again when it has the answer. It may also ask
 * again because its patience ran out while the answer lay in a dead connection; that is ruled out by time, or because the poll came
 * over the very HTTP/1.1 connection that carried the answer, which a client that gave up has closed. (One that comes over HTTP/2 or
 * through a proxy goes on using the connection.) Where it cannot be ruled out, something may be lost, and the connection ends.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { NOT_CACHEABLE, textRefusal, UNKNOWN_CONNECTION_GET } from './access.ts';
import type { Batch, Chunk } from './batch.ts';
import type { ConnectionRequest } from './connection-request.ts';
import { dropBody, whenOut, writeAnswer } from './http-answer.ts';
import { PostedData, type SharedPosts } from './posted-data.ts';
import type { Transport, TransportEnd, TransportObserver } from './transport.ts';

const DATA_HEADERS = { 'Content-Type': 'application/octet-stream', ...NOT_CACHEABLE };
/** The first poll only shows that the transport works. */
const FIRST = { status: 200, headers: DATA_HEADERS, body: '' };
const NOTHING_YET = textRefusal(200, '', false);
/** The connection has ended, or another poll has taken over. */
const ENDED = textRefusal(204, '', false);

export interface LongPollingOptions {
  /** An unanswered poll is answered empty after this time. */
  readonly pollTimeoutMs: number;
  /** Without a poll for this long the client is gone. */
  readonly disconnectTimeoutMs: number;
  readonly posts: SharedPosts;
  /** Whole milliseconds of the monotonic clock. */
  readonly nowMs: () => number;
}

interface Poll {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly sinceMs: number;
  /** The connection that is its client's own and carries one request at a time; undefined: there is none. */
  readonly socket: Duplex | undefined;
  /** Whether all of its answer is with the operating system. */
  isOut: boolean;
}

/** Whoever forwards requests adds one of these. */
const PROXY_HEADERS = ['x-forwarded-for', 'forwarded', 'via', 'x-real-ip'];
/** How much longer than a poll may take the clients wait for its answer, at least: the stock ones 100 s in all. */
const PATIENCE_MS = 5_000;

export class LongPollingTransport implements Transport {
  readonly name = 'LongPolling';
  readonly isBinary = true;
  readonly canProve = true;
  readonly wantsPings = false;
  readonly #options: LongPollingOptions;
  readonly #posted: PostedData;
  #observer: TransportObserver | undefined;
  #request: ConnectionRequest | undefined;
  #hasBegun = false;
  /** The poll that waits for something. */
  #poll: Poll | undefined;
  /** The last poll that was answered with something, until the next one proves that it arrived. */
  #carrier: Poll | undefined;
  /** A poll that came before all of the answer was out, as far as the operating system has said. */
  #early: Poll | undefined;
  #writtenBytes = 0;
  /** What was written while no poll waited. */
  #pending: Buffer[] = [];
  #probedMark = 0;
  /** Since when no poll waits. */
  #absentSinceMs: number;
  #isClosing = false;
  #isGone = false;

  constructor(options: LongPollingOptions) {
    this.#options = options;
    this.#absentSinceMs = options.nowMs();
    this.#posted = new PostedData(options.posts, (data) => this.#observer?.onData(data) === true);
  }

  start(observer: TransportObserver): void {
    this.#observer = observer;
  }

  get request(): ConnectionRequest | undefined {
    return this.#request;
  }

  /** Answers the poll, now or when there is something. `kept`: what the request said, if that is kept. */
  poll(request: IncomingMessage, response: ServerResponse, kept?: ConnectionRequest): void {
    const { nowMs } = this.#options;
    dropBody(request);
    this.#request = kept;
    this.#absentSinceMs = nowMs();
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      writeAnswer(request, response, FIRST);
      return;
    }
    const poll: Poll = { request, response, sinceMs: nowMs(), socket: ownSocketOf(request), isOut: false };
    response.once('close', () => this.#onPollClosed(poll));
    if (this.#carrier === undefined || this.#carrier.isOut) {
      this.#take(poll);
      return;
    }
    const before = this.#early;
    this.#early = poll;
    answerTo(before, ENDED);
  }

  #take(poll: Poll): void {
    if (!this.#provesCarrier(poll)) {
      // An error, so that the client comes back; 204 would be the end.
      answerTo(poll, UNKNOWN_CONNECTION_GET);
      this.#gone('lost');
      return;
    }
    this.#carrier = undefined;
    this.#answerPoll(ENDED);
    this.#prove();
    if (this.#isGone || (this.#isClosing && this.#pending.length === 0)) {
      answerTo(poll, ENDED);
      this.#gone('orderly');
      return;
    }
    this.#poll = poll;
    if (this.#pending.length > 0) this.#carry(Buffer.concat(this.#pending.splice(0)));
    else this.#observer?.onWritable();
  }

  /** Takes the data of a POST and answers it. */
  post(request: IncomingMessage, response: ServerResponse): void {
    this.#posted.accept(request, response);
  }

  /** The client ends the connection by DELETE. */
  leave(): void {
    if (this.#isGone) return;
    this.#observer?.onClosed('orderly', false);
    this.#isClosing = true;
    this.#answerPoll(ENDED);
    this.#gone('orderly');
  }

  /** Looks at the deadlines. `nowMs`: whole milliseconds of the monotonic clock. */
  sweep(nowMs: number): void {
    const { disconnectTimeoutMs, pollTimeoutMs } = this.#options;
    if (this.#poll !== undefined) {
      if (nowMs - this.#poll.sinceMs < pollTimeoutMs) return;
      this.#absentSinceMs = nowMs;
      this.#answerPoll(NOTHING_YET);
    } else if (this.bufferedBytes > 0) {
      // It takes what it asked for; that it goes on doing so is looked after elsewhere.
      this.#absentSinceMs = nowMs;
    } else if (nowMs - this.#absentSinceMs >= disconnectTimeoutMs) this.#gone('lost');
  }

  get isWritable(): boolean {
    return this.#poll !== undefined && !this.#isClosing;
  }

  get bufferedBytes(): number {
    return this.#carrier?.response.writableLength ?? 0;
  }

  get takenBytes(): number {
    return this.#writtenBytes - this.bufferedBytes;
  }

  write(batch: Batch): void {
    if (this.#isClosing) return;
    const bytes = batch.framed(plainBytes);
    if (this.#poll === undefined) this.#pending.push(bytes);
    else this.#carry(bytes);
  }

  pause(): void {
    this.#posted.pause();
  }

  resume(): void {
    this.#posted.resume();
  }

  close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    if (this.#poll === undefined) return;
    this.#answerPoll(ENDED);
    this.#gone('orderly');
  }

  destroy(): void {
    this.#isClosing = true;
    const polls = [this.#poll, this.#early, this.#carrier?.isOut === false ? this.#carrier : undefined];
    this.#poll = undefined;
    this.#early = undefined;
    for (const poll of polls) poll?.response.destroy();
    this.#gone('lost');
  }

  abandon(): void {
    this.#observer = undefined;
    this.destroy();
  }

  probe(mark: number): void {
    this.#probedMark = mark;
    if (this.#carrier === undefined) queueMicrotask(() => this.#prove());
  }

  #prove(): void {
    const mark = this.#probedMark;
    if (mark === 0 || this.#carrier !== undefined || this.#pending.length > 0) return;
    this.#probedMark = 0;
    this.#observer?.onProof(mark);
  }

  /** Whether the client asks because it has what was carried last. */
  #provesCarrier({ socket }: Poll): boolean {
    const carrier = this.#carrier;
    if (carrier === undefined || (socket !== undefined && carrier.socket === socket)) return true;
    return this.#options.nowMs() - carrier.sinceMs < this.#options.pollTimeoutMs + PATIENCE_MS;
  }

  #carry(bytes: Buffer): void {
    const poll = this.#poll;
    if (poll === undefined) return;
    this.#poll = undefined;
    this.#carrier = poll;
    this.#absentSinceMs = this.#options.nowMs();
    this.#writtenBytes += bytes.length;
    whenOut(poll.response, (isOut) => this.#onCarried(poll, isOut));
    poll.response.writeHead(200, { ...DATA_HEADERS, 'Content-Length': String(bytes.length) });
    poll.response.end(bytes);
  }

  #answerPoll(answer: typeof ENDED): void {
    const poll = this.#poll;
    this.#poll = undefined;
    answerTo(poll, answer);
  }

  #onCarried(poll: Poll, isOut: boolean): void {
    poll.isOut = isOut;
    if (this.#carrier !== poll) return;
    // What it carried is lost, and nobody can tell how much of it.
    if (!isOut) this.#gone('lost');
    else {
      this.#absentSinceMs = this.#options.nowMs();
      const next = this.#early;
      this.#early = undefined;
      if (next !== undefined) this.#take(next);
    }
  }

  #onPollClosed(poll: Poll): void {
    if (this.#early === poll) this.#early = undefined;
    if (this.#poll !== poll) return;
    this.#poll = undefined;
    this.#absentSinceMs = this.#options.nowMs();
  }

  #gone(reason: TransportEnd): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#isClosing = true;
    this.#pending = [];
    this.#answerPoll(ENDED);
    answerTo(this.#early, reason === 'lost' ? UNKNOWN_CONNECTION_GET : ENDED);
    this.#early = undefined;
    this.#posted.end();
    const observer = this.#observer;
    this.#observer = undefined;
    observer?.onClosed(reason, true);
  }
}

function answerTo(poll: Poll | undefined, answer: typeof ENDED): void {
  if (poll !== undefined) writeAnswer(poll.request, poll.response, answer);
}

function ownSocketOf(request: IncomingMessage): Duplex | undefined {
  const { headers, httpVersionMajor, socket } = request;
  return httpVersionMajor === 1 && !PROXY_HEADERS.some((name) => name in headers) ? socket : undefined;
}

function plainBytes(content: Chunk): Buffer {
  return typeof content === 'string' ? Buffer.from(content) : content;
}
