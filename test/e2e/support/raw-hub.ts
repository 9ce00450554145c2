/** A hub connection on a bare WebSocket, for what the stock client hides: the records themselves. */

const SEPARATOR = '\u001e';

export interface HubRecord {
  readonly type?: number;
  readonly target?: string;
  readonly arguments?: readonly unknown[];
  readonly error?: string;
  readonly allowReconnect?: boolean;
}

export class RawHub implements Disposable {
  readonly records: HubRecord[] = [];
  /** Resolves with the close code of the WebSocket. */
  readonly closed: Promise<number>;
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => socket.addEventListener('close', ({ code }) => resolve(code)));
    socket.addEventListener('message', ({ data }) => {
      for (const record of String(data).split(SEPARATOR)) {
        if (record !== '') this.records.push(JSON.parse(record) as HubRecord);
      }
    });
  }

  /** Resolves when the handshake has been answered. */
  static async open(url: string, token: string): Promise<RawHub> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/chathub?access_token=${token}`);
    const hub = new RawHub(socket);
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener('open', () => socket.send(`{"protocol":"json","version":1}${SEPARATOR}`));
      socket.addEventListener('message', () => resolve(), { once: true });
      socket.addEventListener('close', () => reject(new Error('The hub was closed')));
      socket.addEventListener('error', () => reject(new Error('The hub refused')));
    });
    return hub;
  }

  /** Closes as a page that is left or reloaded does: a close frame with a code. (Scripts may not give 1001.) */
  leave(): void {
    this.#socket.close(1000);
  }

  /** Closes with a frame that has no code, as a script does that gives none. */
  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
