/** An app that keeps its event stream alive: it reconnects with its newest position and shows every message once. */
import type { StreamPosition } from '../../../gen/carepro/chat/v1/types_pb.ts';
import { EventFeed, type FeedKind, type Frame } from './event-feed.ts';
import { type TransportName, typedClient } from './rpc-clients.ts';

export interface ResumingClientOptions {
  readonly url: string;
  readonly token: string;
  readonly kind: FeedKind;
  readonly transport?: TransportName;
  /** Where it stood before. */
  readonly position?: StreamPosition;
  /** Called with each frame before it counts as read. */
  readonly onFrame?: (frame: Frame) => Promise<void> | void;
  /** Called when a stream has ended, also when it could not begin. */
  readonly onEnd?: () => void;
}

/** Wait before the next attempt, so that a server that is down is not asked in a hot loop. */
const RETRY_MS = 20;

export class ResumingClient implements AsyncDisposable {
  /** Ids of the messages in the order in which they first came. */
  readonly ids: string[] = [];
  readonly texts: string[] = [];
  /** Every stream so far. */
  readonly feeds: EventFeed[] = [];
  readonly #options: ResumingClientOptions;
  readonly #seen = new Set<string>();
  readonly #running: Promise<void>;
  #stopped = false;
  #waiting: { readonly done: () => boolean; readonly resolve: () => void }[] = [];

  constructor(options: ResumingClientOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** Resolves once `done` holds; it is asked again after every frame and every end of a stream. */
  until(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      if (done()) resolve();
      else this.#waiting.push({ done, resolve });
    });
  }

  /** The stream that is open, or the last one. */
  get feed(): EventFeed | undefined {
    return this.feeds.at(-1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.feed?.cancel();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { kind, token, transport, url } = this.#options;
    let { position } = this.#options;
    while (!this.#stopped) {
      using client = typedClient(url, token, transport);
      const feed = new EventFeed(client.chat, kind, position === undefined ? {} : { position }, false, (frame) =>
        this.#take(frame),
      );
      this.feeds.push(feed);
      await feed.ended;
      this.#options.onEnd?.();
      position = feed.position ?? position;
      this.#look();
      if (!this.#stopped) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  async #take(frame: Frame): Promise<void> {
    await this.#options.onFrame?.(frame);
    if (frame.case === 'event' && frame.value.event.case === 'messageSent') {
      const { message } = frame.value.event.value;
      if (message !== undefined && !this.#seen.has(message.id)) {
        this.#seen.add(message.id);
        this.ids.push(message.id);
        this.texts.push(message.text);
      }
    }
    // After the feed has noted the frame's position.
    setImmediate(() => this.#look());
  }

  #look(): void {
    for (const item of this.#waiting.filter((waiting) => waiting.done())) item.resolve();
    this.#waiting = this.#waiting.filter((waiting) => !waiting.done());
  }
}
