/**
 * SignalR clients over HTTP that only listen: server-sent events and long polling, JSON protocol. All share one agent, whose
 * spare sockets can be dropped, so that a server is left with one socket for each client.
 */
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';
import { type HubAddress, handshakeRecord, RECORD_SEPARATOR } from './hub-connection.ts';

export type HttpTransport = 'ServerSentEvents' | 'LongPolling';

const OK = 200;
const REQUEST_WITHIN_MS = 30_000;
const agent = new Agent({ keepAlive: true });

/** Closes the sockets that no request uses now. */
export function dropSpareSockets(): void {
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
}

export class HttpReceiver {
  /** Gets whatever text arrives, cut anywhere. Replaceable at any time. */
  onText: (text: string) => void = () => undefined;
  readonly #address: HubAddress;
  readonly #token: string;
  #path = '';
  #reading: ClientRequest | undefined;
  #ended = false;

  constructor(address: HubAddress, token: string) {
    this.#address = address;
    this.#token = token;
  }

  /** Negotiates, connects and shakes hands. Rejects if the server refuses. */
  static async open(address: HubAddress, token: string, transport: HttpTransport): Promise<HttpReceiver> {
    const receiver = new HttpReceiver(address, token);
    const negotiated: unknown = JSON.parse(await receiver.#ask('POST', '/chathub/negotiate?negotiateVersion=1'));
    const id = (negotiated as { readonly connectionToken: string }).connectionToken;
    receiver.#path = `/chathub?id=${encodeURIComponent(id)}`;
    const shaken = receiver.#handshakeAnswer();
    if (transport === 'LongPolling') {
      // The first poll only says that the client is there.
      await receiver.#ask('GET', receiver.#path);
      receiver.#poll();
    } else {
      await receiver.#stream();
    }
    await receiver.#ask('POST', receiver.#path, handshakeRecord('json'));
    await shaken;
    return receiver;
  }

  get ended(): boolean {
    return this.#ended;
  }

  close(): void {
    this.#ended = true;
    this.#reading?.destroy();
  }

  #handshakeAnswer(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.close();
        reject(new Error('the hub did not answer the handshake in time'));
      }, REQUEST_WITHIN_MS);
      this.onText = (text) => {
        if (!text.includes(`{}${RECORD_SEPARATOR}`)) return;
        clearTimeout(timer);
        this.onText = () => undefined;
        resolve();
      };
    });
  }

  /** Resolves when the server has answered: only then is there a connection to post to. */
  #stream(): Promise<void> {
    return new Promise((resolve, reject) => {
      const reading = this.#send('GET', this.#path, { Accept: 'text/event-stream' }, (response) => {
        if (response.statusCode === OK) resolve();
        else reject(new Error(`the server answered ${response.statusCode}`));
        response.on('data', (chunk: string) => this.onText(chunk));
        response.on('close', () => this.#onGone());
      });
      reading.on('error', (error) => {
        this.#onGone();
        reject(error);
      });
      this.#reading = reading;
    });
  }

  #poll(): void {
    if (this.#ended) return;
    this.#reading = this.#send('GET', this.#path, {}, (response) => {
      if (response.statusCode !== OK) this.#onGone();
      response.on('data', (chunk: string) => this.onText(chunk));
      response.on('end', () => this.#poll());
    });
    this.#reading.on('error', () => this.#onGone());
  }

  #onGone(): void {
    this.#ended = true;
  }

  /** The body of the answer; rejects unless it is 200. */
  #ask(method: string, path: string, body?: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const asked = this.#send(method, path, {}, (response) => {
        let text = '';
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => {
          if (response.statusCode === OK) resolve(text);
          else reject(new Error(`the server answered ${response.statusCode}: ${text}`));
        });
      });
      asked.setTimeout(REQUEST_WITHIN_MS, () => asked.destroy(new Error('no answer in time')));
      asked.on('error', reject);
      if (body !== undefined) asked.write(body);
      asked.end();
    });
  }

  #send(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    onResponse: (response: IncomingMessage) => void,
  ): ClientRequest {
    const { host, port } = this.#address;
    const sent = request(
      { host, port, agent, method, path, headers: { ...headers, Authorization: `Bearer ${this.#token}` } },
      (response) => {
        response.setEncoding('latin1');
        onResponse(response);
      },
    );
    if (method === 'GET') sent.end();
    return sent;
  }
}
