/**
 * A client that writes raw HTTP and raw WebSocket frames on a TCP socket, also broken ones, and notes what comes back.
 */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { eventRecords } from './event-stream.ts';
import { binaryRecords } from './messagepack-records.ts';

/** Something the server sent. */
export type Observed =
  | {
      readonly kind: 'http';
      readonly status: number;
      readonly headers: ReadonlyMap<string, string>;
      readonly body: string;
    }
  | { readonly kind: 'record'; readonly text: string; readonly opcode: number }
  | { readonly kind: 'ping' | 'pong'; readonly payload: string }
  | { readonly kind: 'close-frame'; readonly code: number; readonly reason: string }
  | { readonly kind: 'end' };

export interface FrameOptions {
  readonly isFinal?: boolean;
  readonly isMasked?: boolean;
}

export const opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export class RawClient {
  readonly #socket: Socket;
  readonly #onObserved: (observed: Observed) => void;
  readonly #isIgnored: ((observed: Observed) => boolean) | undefined;
  #request = '';
  #data: Buffer = Buffer.alloc(0);
  #isWebSocket = false;
  #isHead = false;
  #stream: 'none' | 'open' | 'over' = 'none';
  #streamText = '';
  #message: Buffer[] = [];
  #messageOpcode = 0;
  #rest = '';
  #binaryRest: Buffer = Buffer.alloc(0);
  #isEnded = false;

  /** @param isIgnored a poll that brings nothing but such records is repeated, as if it had not been answered. */
  constructor(port: number, onObserved: (observed: Observed) => void, isIgnored?: (observed: Observed) => boolean) {
    this.#onObserved = onObserved;
    this.#isIgnored = isIgnored;
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('data', (chunk) => this.#onData(chunk as Buffer));
    this.#socket.on('end', () => this.#end());
    this.#socket.on('close', () => this.#end());
    this.#socket.on('error', () => this.#end());
  }

  /** Whether it got a stream of events. */
  get isStreaming(): boolean {
    return this.#stream !== 'none';
  }

  /** Whether the connection is one of its own, and no mere request. */
  get isConnection(): boolean {
    return this.#isWebSocket || this.isStreaming;
  }

  /** Sends a request as it is given. */
  request(method: string, path: string, headers: readonly (readonly [string, string])[], body = ''): void {
    this.#isHead = method === 'HEAD';
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    this.#request = `${method} ${path} HTTP/1.1\r\n${lines}\r\n${body}`;
    this.#socket.write(this.#request);
  }

  /** Sends one frame. */
  frame(code: number, payload: Buffer, { isFinal = true, isMasked = true }: FrameOptions = {}): void {
    const length = payload.length;
    const extra = length < 126 ? 0 : length < 65_536 ? 2 : 8;
    const head = Buffer.alloc(2 + extra);
    head[0] = (isFinal ? 0x80 : 0) | code;
    head[1] = (isMasked ? 0x80 : 0) | (extra === 0 ? length : extra === 2 ? 126 : 127);
    if (extra === 2) head.writeUInt16BE(length, 2);
    if (extra === 8) head.writeBigUInt64BE(BigInt(length), 2);
    if (!isMasked) {
      this.#socket.write(Buffer.concat([head, payload]));
      return;
    }
    const mask = randomBytes(4);
    const masked = Buffer.from(payload);
    for (let index = 0; index < masked.length; index += 1)
      masked[index] = (masked[index] ?? 0) ^ (mask[index % 4] ?? 0);
    this.#socket.write(Buffer.concat([head, mask, masked]));
  }

  closeFrame(code: number, reason = ''): void {
    const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
    payload.writeUInt16BE(code, 0);
    payload.write(reason, 2);
    this.frame(opcode.close, payload);
  }

  /** Stops and starts taking what the server sends. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  reset(): void {
    this.#isEnded = true;
    this.#socket.resetAndDestroy();
  }

  destroy(): void {
    this.#isEnded = true;
    this.#socket.destroy();
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#onObserved({ kind: 'end' });
    this.#socket.end();
  }

  #onData(chunk: Buffer): void {
    this.#data = Buffer.concat([this.#data, chunk]);
    if (this.#stream === 'none' && !this.#isWebSocket) this.#readHttp();
    while (this.#stream === 'open' && this.#readChunk()) {
      // Every whole chunk.
    }
    while (this.#isWebSocket && this.#readFrame()) {
      // Every whole frame.
    }
  }

  #readHttp(): void {
    const headEnd = this.#data.indexOf('\r\n\r\n');
    if (headEnd === -1) return;
    const [statusLine = '', ...lines] = this.#data.toString('latin1', 0, headEnd).split('\r\n');
    const status = Number(statusLine.split(' ')[1]);
    const headers = new Map(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
    );
    if (headers.get('content-type') === 'text/event-stream') {
      this.#stream = 'open';
      this.#data = this.#data.subarray(headEnd + 4);
      this.#onObserved({ kind: 'http', status, headers, body: '' });
      return;
    }
    const length = status === 101 || this.#isHead ? 0 : Number(headers.get('content-length') ?? 0);
    const end = headEnd + 4 + length;
    if (this.#data.length < end) return;
    const body = this.#data.toString('utf8', headEnd + 4, end);
    this.#data = this.#data.subarray(end);
    this.#isWebSocket = status === 101;
    if (headers.get('content-type') !== 'application/octet-stream') {
      this.#onObserved({ kind: 'http', status, headers, body });
      return;
    }
    // What a poll brings are records.
    const records: readonly Observed[] = body
      .split('\u001e')
      .slice(0, -1)
      .map((text) => ({ kind: 'record', text, opcode: opcode.text }));
    if (records.length > 0 && this.#isIgnored !== undefined && records.every(this.#isIgnored)) {
      this.#socket.write(this.#request);
      return;
    }
    this.#onObserved({ kind: 'http', status, headers, body: '' });
    for (const record of records) this.#onObserved(record);
  }

  /** One chunk (RFC 9112, section 7.1) of a stream of events. */
  #readChunk(): boolean {
    const lineEnd = this.#data.indexOf('\r\n');
    if (lineEnd === -1) return false;
    const length = Number.parseInt(this.#data.toString('latin1', 0, lineEnd), 16);
    const start = lineEnd + 2;
    if (this.#data.length < start + length + 2) return false;
    const { texts, rest } = eventRecords(this.#streamText + this.#data.toString('utf8', start, start + length));
    this.#data = this.#data.subarray(start + length + 2);
    this.#streamText = rest;
    for (const text of texts) this.#onObserved({ kind: 'record', text, opcode: opcode.text });
    if (length > 0) return true;
    this.#stream = 'over';
    this.#end();
    return false;
  }

  #readFrame(): boolean {
    const [first = 0, second = 0] = this.#data;
    if (this.#data.length < 2) return false;
    const short = second & 0x7f;
    const extra = short === 126 ? 2 : short === 127 ? 8 : 0;
    if (this.#data.length < 2 + extra) return false;
    const length =
      extra === 0 ? short : extra === 2 ? this.#data.readUInt16BE(2) : Number(this.#data.readBigUInt64BE(2));
    const start = 2 + extra;
    if (this.#data.length < start + length) return false;
    const payload = Buffer.from(this.#data.subarray(start, start + length));
    this.#data = this.#data.subarray(start + length);
    this.#onFrame(first & 0x0f, (first & 0x80) !== 0, payload);
    return true;
  }

  #onFrame(code: number, isFinal: boolean, payload: Buffer): void {
    if (code === opcode.ping || code === opcode.pong) {
      this.#onObserved({ kind: code === opcode.ping ? 'ping' : 'pong', payload: payload.toString('base64') });
      return;
    }
    if (code === opcode.close) {
      const closeCode = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      this.#onObserved({ kind: 'close-frame', code: closeCode, reason: payload.toString('utf8', 2) });
      return;
    }
    if (code !== opcode.continuation) this.#messageOpcode = code;
    this.#message.push(payload);
    if (!isFinal) return;
    const message = Buffer.concat(this.#message);
    this.#message = [];
    if (this.#messageOpcode === opcode.binary) {
      const { texts, rest } = binaryRecords(Buffer.concat([this.#binaryRest, message]));
      this.#binaryRest = rest;
      for (const text of texts) this.#onObserved({ kind: 'record', text, opcode: opcode.binary });
      return;
    }
    const records = (this.#rest + message.toString('utf8')).split('\u001e');
    this.#rest = records.pop() ?? '';
    for (const text of records) this.#onObserved({ kind: 'record', text, opcode: this.#messageOpcode });
  }
}
