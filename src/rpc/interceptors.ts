/**
 * What happens to every call around its handler.
 *
 * The gate runs before anything of the body is read: it names the deadline and verifies the token, so that a stranger's
 * request is never parsed. The interceptor turns whatever a handler throws into the protocol's error, keeps the deadline
 * of unary calls, and tells log and metrics how the call went. Neither sees or writes down what a user wrote.
 */
import {
  Code,
  type ConnectError,
  type HandlerContext,
  type Interceptor,
  type StreamResponse,
  type UnaryResponse,
} from '@connectrpc/connect';
import type { Identity, TokenVerifier } from '../core/identity.ts';
import type { Labels, Metrics } from '../core/metrics.ts';
import type { Profiles } from '../core/profiles.ts';
import type { Clock } from '../time/clock.ts';
import { type Call, callOf } from './call.ts';
import { codeName, deadlineError, internalCause, toConnectError, tokenError } from './errors.ts';
import type { RpcLog, RpcOptions } from './options.ts';
import { untilAborted } from './waiting.ts';

export interface CallDependencies {
  readonly verifier: TokenVerifier;
  readonly profiles: Pick<Profiles, 'observe'>;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: RpcLog;
  readonly options: Pick<RpcOptions, 'defaultDeadlineMs' | 'openTimeoutMs'>;
  /** Full names of the services that need no token. */
  readonly openServices: ReadonlySet<string>;
}

/** Writes a call to log and metrics, once. */
export type FinishCall = (call: Call, code: string) => void;

export function createFinishCall({
  clock,
  metrics,
  log,
}: Pick<CallDependencies, 'clock' | 'metrics' | 'log'>): FinishCall {
  const labels = new Map<string, Labels>();
  return (call, seen) => {
    if (call.finished) return;
    call.finished = true;
    const code = call.endCode ?? seen;
    const { identity, method, requestId, streaming } = call;
    const key = `${method} ${code}`;
    let label = labels.get(key);
    if (label === undefined) {
      label = { method, code };
      labels.set(key, label);
    }
    const durationMs = clock.monotonicMs() - call.startMs;
    metrics.count('chat_rpc_calls_total', label);
    // A stream lasts as long as its client likes: its time says nothing about the server.
    if (!streaming) metrics.observe('chat_rpc_duration_seconds', durationMs / 1000, label);
    log.rpc({
      requestId,
      method,
      code,
      durationMs,
      ...(identity?.userId !== undefined && { userId: identity.userId }),
    });
  };
}

/** Lets a call in, or refuses it before its body is read. */
export function createGate(
  dependencies: CallDependencies,
  finish: FinishCall,
): (context: HandlerContext) => void | Promise<void> {
  const { openServices, profiles, verifier } = dependencies;

  function admit(call: Call, identity: Identity): void {
    call.identity = identity;
    profiles.observe(identity);
  }

  async function verify(call: Call, token: string | undefined): Promise<void> {
    const verification = await verifier.verify(token);
    if (verification.ok) {
      admit(call, verification.identity);
      return;
    }
    const error = toConnectError(tokenError(verification.failure));
    finish(call, codeName(error.code));
    throw error;
  }

  return (context) => {
    const call = callOf(context.values);
    call.timeoutMs = context.timeoutMs();
    if (openServices.has(context.service.typeName)) return undefined;
    const token = bearerToken(context.requestHeader.get('authorization'));
    const cached = token === undefined ? undefined : verifier.verifyCached(token);
    if (cached === undefined) return verify(call, token);
    admit(call, cached);
    return undefined;
  };
}

/** The innermost order of things: errors, deadline, log, metrics. */
export function createCallInterceptor(dependencies: CallDependencies, finish: FinishCall): Interceptor {
  const { clock, log, options } = dependencies;
  const deadline = {
    clock,
    ms: options.defaultDeadlineMs,
    error: () => deadlineError('The server did not answer in time'),
  };

  // A method that takes one message and answers many waits for it here.
  const unopened = {
    clock,
    ms: options.openTimeoutMs,
    error: () => deadlineError('The request did not arrive in time', 'STREAM_NOT_OPEN'),
  };

  /** The error as the client is told of it; the call is over. */
  function failed(call: Call, thrown: unknown): ConnectError {
    const cause = internalCause(thrown);
    if (cause !== undefined) log.error({ requestId: call.requestId, method: call.method, error: cause });
    const error = toConnectError(thrown);
    finish(call, codeName(error.code));
    return error;
  }

  return (next) => async (request) => {
    const call = callOf(request.contextValues);
    try {
      const answer: Promise<UnaryResponse | StreamResponse> = next(request);
      if (request.stream) {
        const response = await untilAborted(answer, request.signal, unopened);
        if (!response.stream) return response;
        return { ...response, message: watched(response.message, call, failed, finish) };
      }
      const response = await untilAborted(answer, request.signal, call.timeoutMs === undefined ? deadline : undefined);
      finish(call, 'ok');
      return response;
    } catch (error) {
      throw failed(call, error);
    }
  };
}

/** The messages of a stream's answer, whose end is noticed in each of the ways it can end. */
function watched<T>(
  messages: AsyncIterable<T>,
  call: Call,
  failed: (call: Call, thrown: unknown) => ConnectError,
  finish: FinishCall,
): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = messages[Symbol.asyncIterator]();
      return {
        async next() {
          try {
            const result = await iterator.next();
            if (result.done) finish(call, 'ok');
            return result;
          } catch (error) {
            throw failed(call, error);
          }
        },
        async return() {
          finish(call, codeName(Code.Canceled));
          await iterator.return?.();
          return { done: true, value: undefined };
        },
        async throw(error: unknown) {
          finish(call, codeName(Code.Canceled));
          await iterator.return?.();
          throw error;
        },
      };
    },
  };
}

function bearerToken(header: string | null): string | undefined {
  const match = header === null ? null : /^Bearer +(\S+) *$/i.exec(header);
  return match?.[1];
}
