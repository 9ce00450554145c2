/**
 * The ServerSentEvents transport: a response that does not end carries text to the client, POST requests carry what it sends
 * (TransportProtocols.md, "Server-Sent Events"). Each write is one event; whatever stands behind a line break becomes a `data:` line.
 *
 * Nothing tells whether an event has arrived: what was written is no evidence.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Batch, Chunk } from './batch.ts';
import type { ConnectionRequest } from './connection-request.ts';
import { isGone } from './http-answer.ts';
import { PostedData, type SharedPosts } from './posted-data.ts';
import type { Transport, TransportObserver } from './transport.ts';

const HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-cache,no-store',
  // Nothing on the way may compress it, for that buffers; the second line is nginx's word for it.
  'Content-Encoding': 'identity',
  Pragma: 'no-cache',
  'X-Accel-Buffering': 'no',
};
/** A comment: what makes proxies and browsers believe that the stream has begun. */
const BEGINNING = ':\r\n';

export class ServerSentEventsTransport implements Transport {
  readonly name = 'ServerSentEvents';
  readonly isBinary = false;
  readonly canProve = false;
  readonly wantsPings = true;
  readonly request: ConnectionRequest | undefined;
  readonly #response: ServerResponse;
  readonly #posted: PostedData;
  #observer: TransportObserver | undefined;
  #writtenBytes = 0;
  #needsDrain = false;
  #isClosing = false;

  /** `response` must not be gone. */
  constructor(response: ServerResponse, posts: SharedPosts, kept: ConnectionRequest | undefined) {
    this.#response = response;
    this.request = kept;
    this.#posted = new PostedData(posts, (data) => this.#observer?.onData(data) === true);
  }

  start(observer: TransportObserver): void {
    this.#observer = observer;
    const response = this.#response;
    response.on('close', () => this.#onGone());
    response.on('drain', () => {
      this.#needsDrain = false;
      this.#observer?.onWritable();
    });
    response.writeHead(200, HEADERS);
    this.#send(Buffer.from(BEGINNING));
  }

  /** Takes the data of a POST and answers it. */
  post(request: IncomingMessage, response: ServerResponse): void {
    this.#posted.accept(request, response);
  }

  get isWritable(): boolean {
    return !this.#needsDrain;
  }

  get bufferedBytes(): number {
    return this.#response.writableLength;
  }

  get takenBytes(): number {
    return this.#writtenBytes - this.#response.writableLength;
  }

  write(batch: Batch): void {
    if (!this.#isClosing) this.#send(batch.framed(eventFrame));
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
    this.#response.end();
  }

  destroy(): void {
    this.#isClosing = true;
    this.#response.destroy();
  }

  abandon(): void {
    this.#observer = undefined;
    this.close();
  }

  probe(): void {}

  #send(bytes: Buffer): void {
    if (isGone(this.#response) || this.#response.writableEnded) return;
    this.#writtenBytes += bytes.length;
    if (!this.#response.write(bytes)) this.#needsDrain = true;
  }

  #onGone(): void {
    this.#isClosing = true;
    this.#posted.end();
    const observer = this.#observer;
    this.#observer = undefined;
    observer?.onClosed('lost', true);
  }
}

/** One event (HTML standard, section 9.2.6). */
export function eventFrame(content: Chunk): Buffer {
  const text = content.toString();
  const lines = /[\r\n]/.test(text) ? text.replace(/\r\n|\r|\n/g, '\r\ndata: ') : text;
  return Buffer.from(`data: ${lines}\r\n\r\n`);
}
