/**
 * The LongPolling transport (TransportProtocols.md, "Long Polling"): the client asks again and again, each poll is answered as soon as
 * there is something, POST requests carry what it sends, DELETE ends it. No timer: the endpoint's sweep looks at the deadlines.
 *
 * A poll is evidence that the answer to the one before it has arrived, for a client asks again when it has the answer. It may also ask
 * again because its patience ran out while the answer lay in a dead connection; that is ruled out by time, or because the poll came
 * over the connection that carried the answer. Where it cannot be ruled out, something may be lost, and the connection ends.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { NOT_CACHEABLE, textRefusal, UNKNOWN_CONNECTION_GET } from './access.ts';
import type { Batch, Chunk } from './batch.ts';
import type { ConnectionRequest } from './connection-request.ts';
import { writeAnswer } from './http-answer.ts';
import { PostedData } from './posted-data.ts';
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
  /** Largest body of a POST. */
  readonly maximumPostBytes: number;
  /** Whole milliseconds of the monotonic clock. */
  readonly nowMs: () => number;
}

interface Poll {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly sinceMs: number;
  /** Whether its answer is with the operating system. */
  isFinished: boolean;
}

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
    this.#posted = new PostedData(options.maximumPostBytes, (data) => this.#observer?.onData(data));
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
    request.resume();
    this.#request = kept;
    this.#absentSinceMs = nowMs();
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      writeAnswer(request, response, FIRST);
      return;
    }
    if (!this.#provesCarrier(request)) {
      // An error, so that the client comes back; 204 would be the end.
      writeAnswer(request, response, UNKNOWN_CONNECTION_GET);
      this.#gone('lost');
      return;
    }
    this.#carrier = undefined;
    this.#answerPoll(ENDED);
    this.#prove();
    if (this.#isGone || (this.#isClosing && this.#pending.length === 0)) {
      writeAnswer(request, response, ENDED);
      this.#gone('orderly');
      return;
    }
    const poll: Poll = { request, response, sinceMs: nowMs(), isFinished: false };
    this.#poll = poll;
    response.once('finish', () => {
      poll.isFinished = true;
    });
    response.once('close', () => this.#onPollClosed(poll));
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
    this.#poll?.response.destroy();
    this.#poll = undefined;
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
    if (mark === 0 || this.#carrier !== undefined) return;
    this.#probedMark = 0;
    this.#observer?.onProof(mark);
  }

  /** Whether the client asks because it has what was carried last. */
  #provesCarrier(request: IncomingMessage): boolean {
    const carrier = this.#carrier;
    if (carrier === undefined || carrier.request.socket === request.socket) return true;
    return this.#options.nowMs() - carrier.sinceMs < this.#options.pollTimeoutMs + PATIENCE_MS;
  }

  #carry(bytes: Buffer): void {
    const poll = this.#poll;
    if (poll === undefined) return;
    this.#poll = undefined;
    this.#carrier = poll;
    this.#absentSinceMs = this.#options.nowMs();
    this.#writtenBytes += bytes.length;
    poll.response.writeHead(200, { ...DATA_HEADERS, 'Content-Length': String(bytes.length) });
    poll.response.end(bytes);
  }

  #answerPoll(answer: typeof ENDED): void {
    const poll = this.#poll;
    if (poll === undefined) return;
    this.#poll = undefined;
    writeAnswer(poll.request, poll.response, answer);
  }

  #onPollClosed(poll: Poll): void {
    if (this.#poll === poll) {
      this.#poll = undefined;
      this.#absentSinceMs = this.#options.nowMs();
    } else if (this.#carrier === poll && !poll.isFinished) {
      // What it carried is lost, and nobody can tell how much of it.
      this.#gone('lost');
    }
  }

  #gone(reason: TransportEnd): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#isClosing = true;
    this.#pending = [];
    this.#answerPoll(ENDED);
    this.#posted.end();
    const observer = this.#observer;
    this.#observer = undefined;
    observer?.onClosed(reason, true);
  }
}

function plainBytes(content: Chunk): Buffer {
  return typeof content === 'string' ? Buffer.from(content) : content;
}
