/**
 * A SignalR client reduced to what costs least: raw socket, JSON protocol, one frame and one write for each record, as
 * separate browsers would. Answers WebSocket pings, sends no hub pings (a client that never pings is never timed out).
 */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { FrameReader, pongFrame, textFrame } from './frames.ts';

export interface HubAddress {
  readonly host: string;
  readonly port: number;
}

const RECORD_SEPARATOR = '\u001e';
const HEAD_END = '\r\n\r\n';
const CONNECT_WITHIN_MS = 30_000;

/** Text of each frame's records, separators included; ASCII is assumed. */
export type FrameHandler = (text: string) => void;

export class HubConnection {
  /** Replaceable at any time. */
  onFrame: FrameHandler = () => undefined;
  readonly #socket: Socket;
  #ended = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Connects and shakes hands. Rejects if the server refuses. */
  static open(address: HubAddress, token: string): Promise<HubConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(address);
      const connection = new HubConnection(socket);
      const fail = (why: string): void => {
        clearTimeout(timer);
        socket.destroy();
        reject(new Error(why));
      };
      const timer = setTimeout(() => fail('the hub did not answer the handshake in time'), CONNECT_WITHIN_MS);
      socket.setNoDelay(true);
      socket.on('error', (error) => fail(error.message));
      socket.on('close', () => {
        connection.#ended = true;
        fail('the hub closed the connection');
      });
      connection.onFrame = (text) => {
        if (!text.startsWith(`{}${RECORD_SEPARATOR}`)) {
          fail(`the hub refused the handshake: ${text}`);
          return;
        }
        clearTimeout(timer);
        connection.onFrame = () => undefined;
        resolve(connection);
      };
      connection.#upgrade(address, token, fail);
    });
  }

  /** Sends a record; the separator is added. */
  send(record: string): void {
    this.#socket.write(textFrame(record + RECORD_SEPARATOR));
  }

  /** Whether the server has closed it, or it was closed. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Ends the connection without ceremony, as a closed browser tab does. */
  close(): void {
    this.#socket.destroy();
  }

  #upgrade(address: HubAddress, token: string, fail: (why: string) => void): void {
    this.#socket.write(
      [
        `GET /chathub?access_token=${token} HTTP/1.1`,
        `Host: ${address.host}:${address.port}`,
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
        '',
        '',
      ].join('\r\n'),
    );
    let head = Buffer.alloc(0);
    const frames = new FrameReader({
      onText: (payload) => this.onFrame(payload.toString('latin1')),
      onPing: (payload) => this.#socket.write(pongFrame(payload)),
      onClose: () => this.#socket.destroy(),
    });
    const onHead = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf(HEAD_END);
      if (end < 0) return;
      if (!head.toString('latin1', 0, end).startsWith('HTTP/1.1 101')) {
        fail(`the hub refused the upgrade: ${head.toString('latin1', 0, head.indexOf('\r\n'))}`);
        return;
      }
      this.#socket.off('data', onHead);
      this.#socket.on('data', (data: Buffer) => frames.push(data));
      this.send('{"protocol":"json","version":1}');
      if (head.length > end + HEAD_END.length) frames.push(head.subarray(end + HEAD_END.length));
    };
    this.#socket.on('data', onHead);
  }
}

/** Opens connections for all tokens, at most `concurrency` handshakes at a time. */
export async function openAll(
  address: HubAddress,
  tokens: readonly string[],
  concurrency = 50,
): Promise<HubConnection[]> {
  const connections: HubConnection[] = new Array(tokens.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < tokens.length) {
      const index = next++;
      const token = tokens[index];
      if (token !== undefined) connections[index] = await HubConnection.open(address, token);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return connections;
}
