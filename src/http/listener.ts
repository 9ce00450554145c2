/**
 * One port for HTTP/1.1, WebSocket upgrades and HTTP/2, in plain text or TLS.
 *
 * In plain text the first bytes decide (`PRI`, the start of the HTTP/2 preface, RFC 9113 section 3.4); with TLS, ALPN does
 * (RFC 7301). The `http.Server` itself listens, because only then are its header and request time-outs enforced; its own
 * connection listener is taken off, and called for the sockets that turn out to be HTTP/1.1. Imports only Node and time.
 */
import {
  createServer as createHttp,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import {
  createServer as createHttp2,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../time/clock.ts';
import { AddressCounter } from './address-counter.ts';
import { Http2Sessions } from './http2-sessions.ts';
import { sniff } from './sniff.ts';

export type HttpRequest = IncomingMessage | Http2ServerRequest;
export type HttpResponse = ServerResponse | Http2ServerResponse;

export interface ListenerOptions {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** PEM certificate chain and key; absent = plain text. */
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer };
  readonly clock: Clock;
  /** How long a connection may take to send its first bytes (or its TLS handshake), in milliseconds. */
  readonly sniffTimeoutMs: number;
  /** How long the headers of a request may take, in milliseconds. */
  readonly headerTimeoutMs: number;
  /** How long a whole request with its body may take, in milliseconds. */
  readonly requestTimeoutMs: number;
  /** How long an idle HTTP/1.1 connection stays open, in milliseconds; longer than that of a load balancer in front. */
  readonly keepAliveTimeoutMs: number;
  /** Largest header section of a request, in bytes. */
  readonly maxHeaderBytes: number;
  /** Most open streams of one HTTP/2 connection. */
  readonly http2MaxStreams: number;
  /** How often HTTP/2 connections are pinged; one that left the last ping unanswered is closed, in milliseconds. */
  readonly http2PingIntervalMs: number;
  /** Most open connections of one remote address (IPv6: one /64 network); 0 = no limit (behind a proxy that all clients share). */
  readonly maxConnectionsPerAddress: number;
  /** Answers requests of both versions. Must not throw. */
  readonly handler: (request: HttpRequest, response: HttpResponse) => void;
  /** Takes over WebSocket upgrades. Must not throw. */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

export class Listener implements AsyncDisposable {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #http2: Http2Server;
  readonly #sessions: Http2Sessions;
  readonly #sockets = new Set<Socket>();
  /** Connections whose first bytes have not told yet what they speak. */
  readonly #undecided = new Set<Socket>();
  readonly #perAddress: AddressCounter;
  #draining = false;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#perAddress = new AddressCounter(options.maxConnectionsPerAddress);
    this.#sessions = new Http2Sessions(options.clock, options.http2PingIntervalMs);
    const answer = (request: HttpRequest, response: HttpResponse): void => {
      if (request.httpVersionMajor === 1) {
        if (this.#draining) response.setHeader('connection', 'close');
        // What was asked before the drain is answered, and then its connection ends too.
        else response.once('close', () => void (this.#draining && request.socket.destroySoon()));
      }
      options.handler(request, response);
    };
    const httpOptions: ServerOptions = {
      headersTimeout: options.headerTimeoutMs,
      requestTimeout: Math.max(options.requestTimeoutMs, options.headerTimeoutMs),
      connectionsCheckingInterval: Math.min(1000, Math.ceil(options.headerTimeoutMs / 4)),
      maxHeaderSize: options.maxHeaderBytes,
      keepAliveTimeout: options.keepAliveTimeoutMs,
      noDelay: true,
      // `curl --http2` asks for an upgrade to h2c: that is answered as an ordinary request, as RFC 9110 section 7.8 allows.
      shouldUpgradeCallback: (request) => request.headers.upgrade?.toLowerCase() === 'websocket',
    };
    this.#http2 = createHttp2(
      { settings: { maxConcurrentStreams: options.http2MaxStreams }, maxSessionMemory: 32 },
      answer,
    );
    this.#http2.on('session', (session) => this.#sessions.add(session));
    // A session that fails ends alone.
    this.#http2.on('sessionError', () => undefined);
    this.#server =
      options.tls === undefined
        ? createHttp(httpOptions, answer)
        : createHttps(
            {
              ...httpOptions,
              ...options.tls,
              ALPNProtocols: ['h2', 'http/1.1'],
              minVersion: 'TLSv1.2',
              handshakeTimeout: options.sniffTimeoutMs,
            },
            answer,
          );
    this.#server.on('upgrade', options.upgrade);
    this.#divert();
  }

  /**
   * Starts to listen.
   * @returns the address, with the port that was given out.
   * @throws Error that says which address and why, for example that the port is in use.
   */
  listen(): Promise<AddressInfo> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      const failed = (error: NodeJS.ErrnoException): void =>
        reject(new Error(listenProblem(host, port, error), { cause: error }));
      this.#server.once('error', failed);
      this.#server.listen({ host, port, backlog: 4096 }, () => {
        this.#server.off('error', failed);
        this.#server.on('error', () => undefined);
        this.#sessions.start();
        resolve(this.#server.address() as AddressInfo);
      });
    });
  }

  /** Open connections. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Stops accepting, tells HTTP/2 clients to go (GOAWAY), lets requests in progress finish, for at most `withinMs`. */
  async drain(withinMs: number): Promise<void> {
    this.#draining = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#sessions.goAway();
    for (const socket of this.#undecided) socket.destroy();
    const timer = this.#options.clock.schedule(withinMs, () => this.#destroyAll());
    await closed;
    timer.cancel();
    this.#destroyAll();
  }

  /** Ends everything now. Idempotent. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      if (!this.#server.listening) resolve();
      this.#server.close(() => resolve());
    });
    this.#destroyAll();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Puts the choice of the version before the server's own connection listener. */
  #divert(): void {
    const accepted = this.#options.tls === undefined ? 'connection' : 'secureConnection';
    const [serveHttp1] = this.#server.listeners(accepted);
    if (serveHttp1 === undefined) throw new Error('This version of Node has no connection listener to divert');
    this.#server.off(accepted, serveHttp1 as (socket: Socket) => void);
    this.#server.prependListener('connection', (socket: Socket) => this.#admit(socket));
    this.#server.on(accepted, (socket: Socket) => {
      if (socket.destroyed) return;
      const toHttp1 = (): void => void serveHttp1.call(this.#server, socket);
      const toHttp2 = (): void => void this.#http2.emit('connection', socket);
      if (accepted === 'secureConnection') {
        if ((socket as TLSSocket).alpnProtocol === 'h2') toHttp2();
        else toHttp1();
      } else {
        this.#undecided.add(socket);
        socket.once('close', () => void this.#undecided.delete(socket));
        sniff(socket, this.#options, {
          toHttp1: () => {
            this.#undecided.delete(socket);
            toHttp1();
          },
          toHttp2: () => {
            this.#undecided.delete(socket);
            toHttp2();
          },
        });
      }
    });
  }

  #admit(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    if (!this.#perAddress.take(address)) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    // Whoever takes the socket over listens too; this one makes sure that a reset never ends the process.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#perAddress.give(address);
    });
  }

  #destroyAll(): void {
    this.#sessions.destroy();
    for (const socket of this.#sockets) socket.destroy();
  }
}

function listenProblem(host: string, port: number, error: NodeJS.ErrnoException): string {
  const where = `${host}:${port}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return `Cannot listen on ${where}: the port is in use. Stop the other program or choose another PORT`;
    case 'EACCES':
      return `Cannot listen on ${where}: not allowed. Choose a PORT of 1024 or more`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `Cannot listen on ${where}: this machine has no such address. Choose another HOST`;
    default:
      return `Cannot listen on ${where} (${error.code ?? 'unknown error'})`;
  }
}
