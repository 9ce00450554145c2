/** An event stream as an app reads it: keeps every frame and the newest position, and tells how it ended. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Client, ConnectError } from '@connectrpc/connect';
import type {
  ChatService,
  GoingAway,
  Ready,
  Result,
  StreamEventsRequestSchema,
  StreamEventsResponse,
} from '../../../gen/carepro/chat/v1/chat_service_pb.ts';
import type { Event } from '../../../gen/carepro/chat/v1/events_pb.ts';
import type { Message, StreamPosition } from '../../../gen/carepro/chat/v1/types_pb.ts';

export type Frame = StreamEventsResponse['frame'];
type ClientFrame = NonNullable<MessageInitShape<typeof StreamEventsRequestSchema>['frame']>;
/** Whose events, from where. */
export interface OpenRequest {
  readonly userId?: string;
  readonly position?: StreamPosition;
}
/** How to read: `StreamEvents` or `Subscribe`. */
export type FeedKind = 'streamEvents' | 'subscribe';

export class EventFeed implements AsyncDisposable {
  readonly frames: Frame[] = [];
  /** Resolves when the stream is over: with its error, or undefined if it had none. */
  readonly ended: Promise<ConnectError | undefined>;
  /** The newest position that can be resumed from. */
  position: StreamPosition | undefined;
  /** Called with each frame, before it counts as read. Resolves when the next one may be read. */
  onFrame: (frame: Frame) => Promise<void> | void = () => undefined;
  readonly #controller = new AbortController();
  readonly #outgoing: { requestId: string; frame: ClientFrame }[] = [];
  readonly #results = new Map<string, (result: Result) => void>();
  #requests = 0;
  #isOver = false;
  #wake: () => void = () => undefined;
  #waiting: { readonly done: () => boolean; readonly resolve: () => void; readonly reject: (e: Error) => void }[] = [];

  constructor(
    chat: Client<typeof ChatService>,
    kind: FeedKind,
    open: OpenRequest = {},
    watchEverybody = false,
    onFrame?: (frame: Frame) => Promise<void> | void,
  ) {
    if (onFrame !== undefined) this.onFrame = onFrame;
    const { signal } = this.#controller;
    if (kind === 'streamEvents') {
      this.#outgoing.push({ requestId: '', frame: { case: 'open', value: open } });
      if (watchEverybody) {
        this.#outgoing.push({ requestId: '', frame: { case: 'watchPresence', value: { everyone: true } } });
      }
      this.ended = this.#read(chat.streamEvents(this.#upward(), { signal }));
    } else {
      const watch = watchEverybody ? { watchPresence: { everyone: true } } : {};
      this.ended = this.#read(chat.subscribe({ ...open, ...watch }, { signal }));
    }
  }

  /** Opens a stream and waits until it has begun. */
  static async open(
    chat: Client<typeof ChatService>,
    kind: FeedKind,
    open: OpenRequest = {},
    watchEverybody = false,
  ): Promise<EventFeed> {
    const feed = new EventFeed(chat, kind, open, watchEverybody);
    await feed.until(() => feed.readies.length > 0);
    return feed;
  }

  get readies(): Ready[] {
    return this.frames.flatMap((frame) => (frame.case === 'ready' ? [frame.value] : []));
  }

  get events(): Event[] {
    return this.frames.flatMap((frame) => (frame.case === 'event' ? [frame.value] : []));
  }

  /** The messages so far, in order. */
  get messages(): Message[] {
    return this.events.flatMap(({ event }) =>
      event.case === 'messageSent' && event.value.message !== undefined ? [event.value.message] : [],
    );
  }

  get texts(): string[] {
    return this.messages.map((message) => message.text);
  }

  get goingAway(): GoingAway | undefined {
    return this.frames.flatMap((frame) => (frame.case === 'goingAway' ? [frame.value] : [])).at(-1);
  }

  /** The first frame, which says how the stream began. */
  get ready(): Ready {
    const [ready] = this.readies;
    if (ready === undefined) throw new Error('The stream is not ready');
    return ready;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Resolves once `done` holds; it is asked again after every frame. Rejects if the stream ends before. */
  until(done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      if (done()) resolve();
      else if (this.#isOver) reject(new Error('The stream is over'));
      else this.#waiting.push({ done, resolve, reject });
    });
  }

  /** Sends a frame upwards. @returns its result. */
  request(frame: ClientFrame): Promise<Result> {
    this.#requests += 1;
    const requestId = `request ${this.#requests}`;
    this.#outgoing.push({ requestId, frame });
    this.#wake();
    return new Promise((resolve) => this.#results.set(requestId, resolve));
  }

  /** Hangs up. */
  cancel(): void {
    this.#controller.abort();
    this.#wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
    await this.ended;
  }

  async #read(responses: AsyncIterable<{ frame: Frame }>): Promise<ConnectError | undefined> {
    let error: ConnectError | undefined;
    try {
      for await (const { frame } of responses) {
        await this.onFrame(frame);
        this.#take(frame);
      }
    } catch (thrown) {
      error = ConnectError.from(thrown);
    }
    this.#isOver = true;
    this.#wake();
    for (const item of this.#waiting) item.reject(error ?? new Error('The stream ended without an error'));
    this.#waiting = [];
    return error;
  }

  #take(frame: Frame): void {
    this.frames.push(frame);
    const position =
      frame.case === 'ready' || frame.case === 'event' || frame.case === 'heartbeat' ? frame.value.position : undefined;
    if (position !== undefined && position.epoch !== '') this.position = position;
    if (frame.case === 'result') this.#results.get(frame.value.requestId)?.(frame.value);
    for (const item of this.#waiting.filter((waiting) => waiting.done())) item.resolve();
    this.#waiting = this.#waiting.filter((waiting) => !waiting.done());
  }

  async *#upward(): AsyncGenerator<{ requestId: string; frame: ClientFrame }> {
    while (!this.#isOver && !this.#controller.signal.aborted) {
      const next = this.#outgoing.shift();
      if (next !== undefined) {
        yield next;
        continue;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
