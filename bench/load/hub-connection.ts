/**
 * A SignalR client on a raw WebSocket: one frame and one write for each record, as separate browsers would. Sends no hub
 * pings (a client that never pings is never timed out).
 */
import { openEach } from './open-each.ts';
import { type FrameHandler, RawWebSocket, type ServerAddress } from './raw-web-socket.ts';

export type HubAddress = ServerAddress;
export type ProtocolName = 'json' | 'messagepack';

export const RECORD_SEPARATOR = '\u001e';
const SHAKE_HANDS_WITHIN_MS = 30_000;

export interface HubPlace {
  /** Default `/chathub`. */
  readonly path?: string;
  /** Default JSON. */
  readonly protocol?: ProtocolName;
}

/** First record of a client. */
export function handshakeRecord(protocol: ProtocolName): string {
  return `{"protocol":"${protocol}","version":1}${RECORD_SEPARATOR}`;
}

export class HubConnection {
  readonly #webSocket: RawWebSocket;

  constructor(webSocket: RawWebSocket) {
    this.#webSocket = webSocket;
  }

  /** Connects and shakes hands. Rejects if the server refuses. */
  static async open(address: HubAddress, token: string, place: HubPlace = {}): Promise<HubConnection> {
    const { path = '/chathub', protocol = 'json' } = place;
    const webSocket = await RawWebSocket.open(address, `${path}?access_token=${token}`);
    await new Promise<void>((resolve, reject) => {
      const settle = (problem?: string): void => {
        clearTimeout(timer);
        webSocket.onFrame = () => undefined;
        webSocket.onEnd = () => undefined;
        if (problem === undefined) resolve();
        else {
          webSocket.close();
          reject(new Error(problem));
        }
      };
      const timer = setTimeout(() => settle('the hub did not answer the handshake in time'), SHAKE_HANDS_WITHIN_MS);
      webSocket.onEnd = settle;
      webSocket.onFrame = (text) =>
        settle(text.startsWith(`{}${RECORD_SEPARATOR}`) ? undefined : `the hub refused the handshake: ${text}`);
      const record = handshakeRecord(protocol);
      if (protocol === 'json') webSocket.sendText(record);
      else webSocket.sendBytes(Buffer.from(record));
    });
    return new HubConnection(webSocket);
  }

  /** Replaceable at any time. Gets the text of each frame's records, separators included. */
  set onFrame(handler: FrameHandler) {
    this.#webSocket.onFrame = handler;
  }

  /** Sends a JSON record; the separator is added. */
  send(record: string): void {
    this.#webSocket.sendText(record + RECORD_SEPARATOR);
  }

  /** Whether the server has closed it, or it was closed. */
  get ended(): boolean {
    return this.#webSocket.ended;
  }

  /** Ends the connection without ceremony, as a closed browser tab does. */
  close(): void {
    this.#webSocket.close();
  }
}

/** Opens connections for all tokens, at most `concurrency` handshakes at a time. */
export function openAll(
  address: HubAddress,
  tokens: readonly string[],
  concurrency = 50,
  place?: HubPlace,
): Promise<HubConnection[]> {
  return openEach(tokens, concurrency, (token) => HubConnection.open(address, token, place));
}
