/**
 * From Node's requests to the handlers of the router and back, over HTTP/1.1 and HTTP/2: what connect-node's own adapter
 * does, and besides: a request id on every answer, a way to cut a call whose client has stalled, an end to calls that
 * never finish sending or receiving, and frames of one turn of the event loop written together.
 */
import { type IncomingMessage, OutgoingMessage, type ServerResponse } from 'node:http';
import { constants, type Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { Code, ConnectError, type ConnectRouter } from '@connectrpc/connect';
import type { UniversalHandler, UniversalServerResponse } from '@connectrpc/connect/protocol';
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from '@connectrpc/connect-node';
import type { Clock, Timer } from '../time/clock.ts';
import { type Call, requestIdFrom, withCall } from './call.ts';
import type { FinishCall } from './interceptors.ts';
import type { RpcLog } from './options.ts';

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;
export type NodeHandler = (request: NodeRequest, response: NodeResponse) => void;

export interface AdapterDependencies {
  readonly router: ConnectRouter;
  readonly clock: Clock;
  readonly log: RpcLog;
  readonly finish: FinishCall;
  /** The address that a request comes from. */
  readonly addressOf: (request: NodeRequest) => string;
  /** Deadline of a unary call whose client names none, in milliseconds. */
  readonly defaultDeadlineMs: number;
  /** How long past its deadline a unary call may take to be received and sent, in milliseconds. Then it is cut. */
  readonly unaryGraceMs: number;
}

/** Longest deadline that a timer can keep, in milliseconds (24.8 days). A longer one is none. */
const MAX_TIMEOUT_MS = 0x7fffffff;
const HOUR_MS = 3_600_000;

export class NodeAdapter {
  readonly #deps: AdapterDependencies;
  readonly #handlers: ReadonlyMap<string, UniversalHandler>;
  readonly #calls = new Set<Call>();
  #sweep: Timer | undefined;

  constructor(dependencies: AdapterDependencies) {
    this.#deps = dependencies;
    this.#handlers = new Map(dependencies.router.handlers.map((handler) => [handler.requestPath, handler]));
  }

  /** Paths that are served here. */
  get paths(): readonly string[] {
    return [...this.#handlers.keys()];
  }

  /** Calls in work. */
  get size(): number {
    return this.#calls.size;
  }

  handles(path: string): boolean {
    return this.#handlers.has(path);
  }

  /** Serves one request. */
  handle(request: NodeRequest, response: NodeResponse): void {
    const requestId = requestIdFrom(request.headers['x-request-id']);
    response.setHeader('x-request-id', requestId);
    const url = request.url ?? '';
    const query = url.indexOf('?');
    const handler = this.#handlers.get(query === -1 ? url : url.slice(0, query));
    if (handler === undefined) {
      answerEmpty(response, 404);
      return;
    }
    const call = this.#begin(handler, requestId, request, response);
    this.#serve(handler, call, request, response).catch((error: unknown) => {
      // Whatever a handler throws was answered; what ends here is a transport that broke (aborted), or a defect.
      const broken = error instanceof ConnectError && error.code === Code.Aborted;
      if (!broken && !call.isGone()) this.#deps.log.error({ requestId, method: call.method, error });
      call.cut();
    });
  }

  /** Cuts every call that is still in work. */
  close(): void {
    this.#sweep?.cancel();
    this.#sweep = undefined;
    for (const call of [...this.#calls]) call.cut();
  }

  #begin(handler: UniversalHandler, requestId: string, request: NodeRequest, response: NodeResponse): Call {
    const call: Call = {
      requestId,
      method: handler.requestPath.slice(1),
      streaming: handler.method.methodKind !== 'unary',
      startMs: this.#deps.clock.monotonicMs(),
      identity: undefined,
      timeoutMs: undefined,
      endCode: undefined,
      finished: false,
      address: () => this.#deps.addressOf(request),
      cut: () => cut(response),
      isGone: () => isGone(response),
    };
    this.#calls.add(call);
    this.#sweepLater();
    response.once('close', () => {
      this.#calls.delete(call);
      // Whatever neither the gate nor the interceptor saw: what could not be read, and clients that left before that.
      const code = response.writableFinished ? 'rejected' : 'canceled';
      setImmediate(() => this.#deps.finish(call, code));
    });
    response.once('finish', () => stopReading(request));
    return call;
  }

  async #serve(handler: UniversalHandler, call: Call, request: NodeRequest, response: NodeResponse): Promise<void> {
    let universal: ReturnType<typeof universalRequestFromNodeRequest>;
    try {
      universal = universalRequestFromNodeRequest(request, response, undefined, withCall(call));
    } catch {
      // A request without an authority, or with one that is no URL.
      answerEmpty(response, 400);
      return;
    }
    dropEndlessDeadline(universal.header);
    const answer = await handler(universal);
    await universalResponseToNodeResponse(withPlainWords(call.streaming ? joined(answer, response) : answer), response);
  }

  /** Half a request, or an answer that nobody takes, must not stay for ever. One timer for all calls. */
  #sweepLater(): void {
    const { clock, defaultDeadlineMs, unaryGraceMs } = this.#deps;
    this.#sweep ??= clock.schedule(unaryGraceMs / 2, () => {
      this.#sweep = undefined;
      const nowMs = clock.monotonicMs();
      for (const call of [...this.#calls]) {
        const lastMs = call.startMs + (call.timeoutMs ?? defaultDeadlineMs) + unaryGraceMs;
        if (!call.streaming && lastMs <= nowMs) call.cut();
      }
      if (this.#calls.size > 0) this.#sweepLater();
    });
  }
}

/** Escapes of printable ASCII other than the percent sign. */
const NEEDLESS_ESCAPES = /%(?:2[0-46-9A-F]|[3-6][0-9A-F]|7[0-9A-E])/g;

/**
 * Escapes in an error's words no more than the gRPC specification asks for ("Responses", Percent-Encoded): what the
 * library escapes beyond it, such as commas, grpc-js would show to people as it is.
 */
function withPlainWords(answer: UniversalServerResponse): UniversalServerResponse {
  const { trailer } = answer;
  if (trailer === undefined) return answer;
  return {
    ...answer,
    // Asked for when the body is over; it is not filled before.
    get trailer() {
      const words = trailer.get('grpc-message');
      if (words?.includes('%')) trailer.set('grpc-message', words.replace(NEEDLESS_ESCAPES, decodeURIComponent));
      return trailer;
    },
  };
}

/** Joins what is written within one turn of the event loop into one write to the socket. */
function joined(answer: UniversalServerResponse, response: NodeResponse): UniversalServerResponse {
  const { body } = answer;
  if (body === undefined) return answer;
  const target = response instanceof OutgoingMessage ? response : response.stream;
  let corked = false;
  const uncork = (): void => {
    corked = false;
    target.uncork();
  };
  return {
    ...answer,
    body: {
      [Symbol.asyncIterator]() {
        const iterator = body[Symbol.asyncIterator]();
        return {
          next: async () => {
            const result = await iterator.next();
            if (!corked && !result.done && response.headersSent) {
              corked = true;
              target.cork();
              setImmediate(uncork);
            }
            return result;
          },
          return: () => iterator.return?.() ?? Promise.resolve({ done: true, value: undefined }),
          throw: (error: unknown) => iterator.throw?.(error) ?? Promise.reject(error),
        };
      },
    },
  };
}

/** Node's timers overflow and fire at once beyond 24.8 days; such a deadline is no deadline. */
function dropEndlessDeadline(header: Headers): void {
  const connect = header.get('connect-timeout-ms');
  if (connect !== null && Number(connect) > MAX_TIMEOUT_MS) header.delete('connect-timeout-ms');
  const grpc = header.get('grpc-timeout');
  const unitMs = grpc?.endsWith('H') ? HOUR_MS : grpc?.endsWith('M') ? 60_000 : grpc?.endsWith('S') ? 1000 : 0;
  if (grpc !== null && Number(grpc.slice(0, -1)) * unitMs > MAX_TIMEOUT_MS) header.delete('grpc-timeout');
}

function answerEmpty(response: NodeResponse, status: number): void {
  response.statusCode = status;
  response.end();
}

function isGone(response: NodeResponse): boolean {
  if (response instanceof Http2ServerResponse) return response.stream === undefined || response.stream.destroyed;
  return response.destroyed || response.closed;
}

function cut(response: NodeResponse): void {
  if (isGone(response)) return;
  if (response instanceof Http2ServerResponse) {
    const { stream } = response;
    stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    stream.destroy();
  } else {
    response.destroy();
  }
}

/** The answer is complete: what the client still sends is of no use (RFC 9113, section 8.1). */
function stopReading(request: NodeRequest): void {
  if ('stream' in request && !request.complete && request.stream !== undefined && !request.stream.destroyed) {
    request.stream.close(constants.NGHTTP2_NO_ERROR);
  }
}
