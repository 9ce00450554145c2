/** The existing web page as a client: the stock SignalR client with the page's settings, and the page's REST calls. */
import { HttpTransportType, type HubConnection, HubConnectionBuilder, LogLevel } from '@microsoft/signalr';
import { MessagePackHubProtocol } from '@microsoft/signalr-protocol-msgpack';

/** Every event the server sends to a page. */
export const EVENTS = [
  'ReceiveMessage',
  'MessageStatusChanged',
  'MessageDelivered',
  'MessageRead',
  'AllMessagesRead',
  'MessageDeleted',
  'MessageRedacted',
  'UserStatusChanged',
] as const;

export type PageEvent = (typeof EVENTS)[number];

export interface PageWay {
  readonly transport: 'WebSockets' | 'ServerSentEvents' | 'LongPolling';
  readonly protocol: 'json' | 'messagepack';
}

export interface PageOptions {
  readonly url: string;
  readonly token: string;
  /** False: the older build, which negotiates. Default true. */
  readonly skipNegotiation?: boolean;
  /** How to connect when negotiating. Default: the client chooses, and JSON. */
  readonly way?: PageWay;
  /** Whether to reconnect by itself, quickly. Default false. */
  readonly reconnects?: boolean;
}

/** Quick at first, then once a second, for as long as a restart may take on a busy machine. */
const RECONNECT_DELAYS_MS = [50, 100, 200, 400, 800, ...Array<number>(60).fill(1000)];

export class Page implements AsyncDisposable {
  readonly hub: HubConnection;
  readonly events: { readonly name: PageEvent; readonly args: readonly unknown[] }[] = [];
  readonly #options: PageOptions;
  #waiting: { readonly done: () => boolean; readonly resolve: () => void }[] = [];

  constructor(options: PageOptions) {
    this.#options = options;
    const { token, url, skipNegotiation = true, way } = options;
    const builder = new HubConnectionBuilder()
      .withUrl(`${url}/chathub`, {
        accessTokenFactory: () => token,
        ...(way !== undefined && { transport: HttpTransportType[way.transport] }),
        ...(skipNegotiation && { transport: HttpTransportType.WebSockets, skipNegotiation: true }),
      })
      .configureLogging(LogLevel.None);
    if (way?.protocol === 'messagepack') builder.withHubProtocol(new MessagePackHubProtocol());
    if (options.reconnects) builder.withAutomaticReconnect(RECONNECT_DELAYS_MS);
    this.hub = builder.build();
    for (const name of EVENTS) {
      this.hub.on(name, (...args: unknown[]) => {
        this.events.push({ name, args });
        for (const item of this.#waiting.filter((waiting) => waiting.done())) item.resolve();
        this.#waiting = this.#waiting.filter((waiting) => !waiting.done());
      });
    }
  }

  static async open(options: PageOptions): Promise<Page> {
    const page = new Page(options);
    await page.hub.start();
    return page;
  }

  /** Arguments of every event of this name so far. */
  all(name: PageEvent): (readonly unknown[])[] {
    return this.events.filter((event) => event.name === name).map((event) => event.args);
  }

  /** Ids of the messages received so far, in order. */
  get received(): string[] {
    return this.all('ReceiveMessage').map((args) => String(args[2]));
  }

  /** Texts of the messages received so far, in order. */
  get texts(): string[] {
    return this.all('ReceiveMessage').map((args) => String(args[1]));
  }

  /** Texts as the page shows them: it drops a message whose id it has shown already. */
  get shown(): string[] {
    const byId = new Map<string, string>();
    for (const [, text, id] of this.all('ReceiveMessage'))
      if (!byId.has(String(id))) byId.set(String(id), String(text));
    return [...byId.values()];
  }

  /** Resolves once `done` holds; it is asked again after every event. */
  until(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      if (done()) resolve();
      else this.#waiting.push({ done, resolve });
    });
  }

  /** Sends by the hub as the page does. @returns the message id. */
  send(senderId: string, receiverId: string, text: string, ...more: string[]): Promise<string> {
    return this.hub.invoke<string>('SendMessage', senderId, receiverId, text, ...more);
  }

  /** A REST call with the page's token. */
  async rest(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
    const response = await fetch(`${this.#options.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#options.token}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.hub.stop();
  }
}
