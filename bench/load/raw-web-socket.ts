/** A WebSocket reduced to what costs least: raw socket, one write for each frame. Answers pings. Trusts the server. */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { binaryFrame, FrameReader, pongFrame, textFrame } from './frames.ts';

export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

/** Payload of each frame as text; ASCII is assumed (other bytes stand for themselves, as in latin1). */
export type FrameHandler = (text: string) => void;

const HEAD_END = '\r\n\r\n';
const CONNECT_WITHIN_MS = 30_000;

export class RawWebSocket {
  /** Replaceable at any time. */
  onFrame: FrameHandler = () => undefined;
  /** Called once when the connection is gone; replaceable. */
  onEnd: (why: string) => void = () => undefined;
  readonly #socket: Socket;
  #ended = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Connects and upgrades. Rejects if the server refuses, or says nothing for 30 s. */
  static open(address: ServerAddress, path: string): Promise<RawWebSocket> {
    return new Promise((resolve, reject) => {
      const socket = connect(address);
      const webSocket = new RawWebSocket(socket);
      const timer = setTimeout(() => socket.destroy(new Error('no answer in time')), CONNECT_WITHIN_MS);
      let why = 'the server closed the connection';
      webSocket.onEnd = (reason) => reject(new Error(reason));
      socket.setNoDelay(true);
      socket.on('error', (error) => {
        why = error.message;
      });
      socket.on('close', () => {
        clearTimeout(timer);
        webSocket.#ended = true;
        webSocket.onEnd(why);
      });
      webSocket.#upgrade(address, path, () => {
        clearTimeout(timer);
        webSocket.onEnd = () => undefined;
        resolve(webSocket);
      });
    });
  }

  /** Sends a text, which must be ASCII. */
  sendText(text: string): void {
    this.#socket.write(textFrame(text));
  }

  sendBytes(bytes: Buffer): void {
    this.#socket.write(binaryFrame(bytes));
  }

  /** Whether the server has closed it, or it was closed. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Ends the connection without ceremony, as a closed browser tab does. */
  close(): void {
    this.#socket.destroy();
  }

  #upgrade({ host, port }: ServerAddress, path: string, onOpen: () => void): void {
    const socket = this.#socket;
    socket.write(
      [
        `GET ${path} HTTP/1.1`,
        `Host: ${host}:${port}`,
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
      onData: (payload) => this.onFrame(payload.toString('latin1')),
      onPing: (payload) => socket.write(pongFrame(payload)),
      onClose: () => socket.destroy(),
    });
    const onHead = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf(HEAD_END);
      if (end < 0) return;
      if (!head.toString('latin1', 0, end).startsWith('HTTP/1.1 101')) {
        const status = head.toString('latin1', 0, head.indexOf('\r\n'));
        socket.destroy(new Error(`the server refused the upgrade: ${status}`));
        return;
      }
      socket.off('data', onHead);
      socket.on('data', (data: Buffer) => frames.push(data));
      onOpen();
      if (head.length > end + HEAD_END.length) frames.push(head.subarray(end + HEAD_END.length));
    };
    socket.on('data', onHead);
  }
}
