/**
 * The WebSocket transport. `ws` does the upgrade, reading, pongs and the closing handshake; data frames are written straight to
 * the socket, because a batch is framed once for all its receivers (the two never mix inside a frame: each write is whole frames).
 *
 * Closing as the reference does it: whatever code the client ends with, the answer is 1000; a broken frame is answered with the
 * code RFC 6455 has for it.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import type { Batch } from './batch.ts';
import type { ConnectionRequest } from './connection-request.ts';
import type { Transport, TransportEnd, TransportObserver } from './transport.ts';
import { dataFrame, pingFrame } from './websocket-frames.ts';

const NORMAL = 1000;
/** Status codes by which either side reports a broken frame: 1002 protocol error, 1007 invalid payload, 1009 too big. */
const VIOLATIONS: ReadonlySet<number> = new Set([1002, 1007, 1009]);

class HubWebSocket extends WebSocket {
  transport: WebSocketTransport | undefined;

  /** Called by `ws` itself to answer the peer's close frame or a broken frame, and by the transport. */
  override close(code?: number, data?: string | Buffer): void {
    const isComplaint = code !== undefined && VIOLATIONS.has(code);
    // Only a code of the peer's own comes with a reason, be it empty.
    if (isComplaint && data === undefined) {
      this.transport?.onEnding('violation');
      super.close(code);
      return;
    }
    // A page that is left or reloaded gives a code (1001); a script's close() that names none gives none. Who complains means no goodbye.
    this.transport?.onEnding(code === undefined || isComplaint ? 'unexplained' : 'orderly');
    super.close(NORMAL);
  }
}

/** Accepts WebSockets on sockets of somebody else's HTTP server. */
export class WebSocketAcceptor {
  readonly #server: WebSocketServer;

  constructor(maximumFrameBytes: number, closeTimeoutMs: number) {
    const options = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: maximumFrameBytes,
      closeTimeout: closeTimeoutMs,
      // No sub-protocol is ever chosen, whatever the client offers (transcript 58).
      handleProtocols: () => false as const,
      WebSocket: HubWebSocket,
    };
    this.#server = new WebSocketServer(options);
  }

  /** Upgrades the request, which must be a valid one. When the peer has gone meanwhile, the socket is destroyed and `onOpen` is not called. */
  accept(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    kept: ConnectionRequest | undefined,
    onOpen: (transport: WebSocketTransport) => void,
  ): void {
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      onOpen(new WebSocketTransport(webSocket as HubWebSocket, socket as Socket, kept));
    });
  }
}

export class WebSocketTransport implements Transport {
  readonly request: ConnectionRequest | undefined;
  readonly #webSocket: HubWebSocket;
  readonly #socket: Socket;
  #observer: TransportObserver | undefined;
  #isDrainAwaited = false;
  #isClosing = false;

  constructor(webSocket: HubWebSocket, socket: Socket, request: ConnectionRequest | undefined) {
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.request = request;
  }

  get name(): 'WebSockets' {
    return 'WebSockets';
  }

  get isBinary(): boolean {
    return true;
  }

  get canProve(): boolean {
    return true;
  }

  get wantsPings(): boolean {
    return true;
  }

  start(observer: TransportObserver): void {
    this.#observer = observer;
    this.#webSocket.transport = this;
    this.#webSocket.on('message', onMessage);
    this.#webSocket.on('pong', onPong);
    this.#webSocket.on('error', onError);
    this.#webSocket.on('close', onClose);
  }

  get isWritable(): boolean {
    return !this.#socket.writableNeedDrain;
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  get takenBytes(): number {
    return this.#socket.bytesWritten - this.#socket.writableLength;
  }

  write(batch: Batch): void {
    if (this.#isClosing || !this.#socket.writable) return;
    if (this.#socket.write(batch.framed(dataFrame)) || this.#isDrainAwaited) return;
    this.#isDrainAwaited = true;
    this.#socket.once('drain', () => {
      this.#isDrainAwaited = false;
      this.#observer?.onWritable();
    });
  }

  probe(mark: number): void {
    if (!this.#isClosing && this.#socket.writable) this.#socket.write(pingFrame(String(mark)));
  }

  pause(): void {
    this.#webSocket.pause();
  }

  resume(): void {
    this.#webSocket.resume();
  }

  close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#webSocket.close(NORMAL);
  }

  destroy(): void {
    this.#isClosing = true;
    this.#webSocket.terminate();
  }

  abandon(): void {
    this.#observer = undefined;
    // The peer's part of the closing must be seen.
    this.#webSocket.resume();
    this.close();
  }

  // Called by the WebSocket.

  onMessage(data: Buffer): void {
    this.#observer?.onData(data);
  }

  onPong(payload: Buffer): void {
    // Anything but the very payload of a probe is a stranger's.
    const mark = payload.length <= 16 ? Number(payload.toString('latin1')) : 0;
    if (Number.isSafeInteger(mark) && mark > 0) this.#observer?.onProof(mark);
  }

  /** A close frame is about to be sent; unless this side began, the peer has left. */
  onEnding(reason: TransportEnd): void {
    if (this.#isClosing) return;
    this.#observer?.onClosed(reason, false);
    this.#isClosing = true;
  }

  onGone(): void {
    this.#isClosing = true;
    this.#observer?.onClosed('lost', true);
    this.#observer = undefined;
  }
}

// One function each for all connections; `this` is the WebSocket that emits.

function onMessage(this: WebSocket, data: unknown): void {
  (this as HubWebSocket).transport?.onMessage(data as Buffer);
}

function onPong(this: WebSocket, payload: Buffer): void {
  (this as HubWebSocket).transport?.onPong(payload);
}

/** The close that follows says all there is to say. */
function onError(): void {}

function onClose(this: WebSocket): void {
  (this as HubWebSocket).transport?.onGone();
}
