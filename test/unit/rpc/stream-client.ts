/** An event stream as a client drives it: frames out at will, frames in one by one. */

import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Client, ConnectError } from '@connectrpc/connect';
import type {
  ChatService,
  StreamEventsRequestSchema,
  StreamEventsResponse,
} from '../../../gen/carepro/chat/v1/chat_service_pb.ts';

type ClientFrame = MessageInitShape<typeof StreamEventsRequestSchema>;
type Inside = NonNullable<ClientFrame['frame']>;
export type Frame = StreamEventsResponse['frame'];
type FrameCase = NonNullable<Frame['case']>;
type ValueOf<C extends FrameCase> = Extract<Frame, { case: C }>['value'];

const WAIT_MS = 10_000;

export class StreamClient {
  readonly #controller = new AbortController();
  readonly #responses: AsyncIterator<StreamEventsResponse>;
  readonly #outgoing: ClientFrame[] = [];
  #wake: () => void = () => undefined;
  #ended = false;

  constructor(client: Client<typeof ChatService>, options: { timeoutMs?: number } = {}) {
    const { signal } = this.#controller;
    this.#responses = client.streamEvents(this.#requests(), { signal, ...options })[Symbol.asyncIterator]();
  }

  /** Opens a stream and takes its `ready`. */
  static async open(
    client: Client<typeof ChatService>,
    open: Extract<Inside, { case: 'open' }>['value'] = {},
  ): Promise<{ stream: StreamClient; ready: ValueOf<'ready'> }> {
    const stream = new StreamClient(client);
    stream.send({ case: 'open', value: open });
    return { stream, ready: await stream.take('ready') };
  }

  send(frame: Inside | undefined, requestId = ''): void {
    this.#outgoing.push(frame === undefined ? { requestId } : { requestId, frame });
    this.#wake();
  }

  /** Sends no more; goes on receiving. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  cancel(): void {
    this.#controller.abort();
    this.end();
  }

  async next(): Promise<Frame> {
    const next = await within(this.#responses.next(), 'a frame');
    if (next.done) throw new Error('The stream ended without an error');
    return next.value.frame;
  }

  /** The next frame, which must be of this kind. */
  async take<C extends FrameCase>(kind: C): Promise<ValueOf<C>> {
    const frame = await this.next();
    if (frame.case !== kind) throw new Error(`Expected ${kind}, got ${JSON.stringify(frame, bigints)}`);
    return frame.value as ValueOf<C>;
  }

  /** The next event, which must be of this kind. */
  async event<C extends string>(kind: C): Promise<ValueOf<'event'>> {
    const event = await this.take('event');
    if (event.event.case !== kind) throw new Error(`Expected ${kind}, got ${JSON.stringify(event, bigints)}`);
    return event;
  }

  /** Skips events until the next result. */
  async result(): Promise<ValueOf<'result'>> {
    for (;;) {
      const frame = await this.next();
      if (frame.case === 'result') return frame.value;
      if (frame.case !== 'event') throw new Error(`Expected a result, got ${frame.case}`);
    }
  }

  /** The text of the next event, which must be a message. */
  async text(): Promise<string | undefined> {
    const { event } = await this.event('messageSent');
    return event.case === 'messageSent' ? event.value.message?.text : undefined;
  }

  /** Skips frames until the stream ends; the error it ends with. */
  async failure(): Promise<ConnectError> {
    for (;;) {
      try {
        const next = await within(this.#responses.next(), 'the end of the stream');
        if (next.done) throw new Error('The stream ended without an error');
      } catch (error) {
        if (error instanceof ConnectError) return error;
        throw error;
      }
    }
  }

  async *#requests(): AsyncGenerator<ClientFrame> {
    for (;;) {
      const frame = this.#outgoing.shift();
      if (frame !== undefined) yield frame;
      else if (this.#ended) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited in vain for ${what}`)), WAIT_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function bigints(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}` : value;
}
