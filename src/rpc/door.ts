/**
 * The RPC door: Connect, gRPC and gRPC-Web over HTTP/1.1 and HTTP/2, put together from its parts. It has no port; the
 * listener hands it the requests whose paths it handles.
 *
 * The folder imports core, the clock and the generated code; never another door, the listener, a store or the verifier.
 */
import { createRegistry } from '@bufbuild/protobuf';
import { createConnectRouter } from '@connectrpc/connect';
import { compressionBrotli, compressionGzip } from '@connectrpc/connect-node';
import { ChatService } from '../../gen/carepro/chat/v1/chat_service_pb.ts';
import { UserService } from '../../gen/carepro/chat/v1/user_service_pb.ts';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  file_google_rpc_error_details,
  RetryInfoSchema,
} from '../../gen/google/rpc/error_details_pb.ts';
import { Health } from '../../gen/grpc/health/v1/health_pb.ts';
import { ServerReflection as ReflectionV1 } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ReflectionV1Alpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import type { Chat } from '../core/chat.ts';
import type { ConnectionLimits } from '../core/connection-limits.ts';
import type { TokenVerifier } from '../core/identity.ts';
import type { Metrics } from '../core/metrics.ts';
import type { Policy } from '../core/policy.ts';
import type { PresenceTracker } from '../core/presence.ts';
import type { Profiles } from '../core/profiles.ts';
import type { Reader } from '../core/reader.ts';
import type { Registry } from '../core/registry.ts';
import type { Clock } from '../time/clock.ts';
import { NodeAdapter, type NodeHandler, type NodeRequest } from './adapter.ts';
import { createChatHandlers } from './chat-handlers.ts';
import { createHealthHandlers } from './health.ts';
import { createCallInterceptor, createFinishCall, createGate } from './interceptors.ts';
import { LiveStreams } from './live-streams.ts';
import type { HealthSource, RpcLog, RpcOptions } from './options.ts';
import { createReflectionHandler } from './reflection.ts';
import { createStreamHandlers } from './stream-handlers.ts';
import { createUserHandlers } from './user-handlers.ts';

export interface RpcDoorDependencies {
  readonly chat: Chat;
  readonly reader: Reader;
  readonly profiles: Profiles;
  readonly registry: Registry;
  readonly presence: PresenceTracker;
  readonly verifier: TokenVerifier;
  readonly policy: Policy;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: RpcLog;
  readonly health: HealthSource;
  /** Shared with the other doors. Streams that a service opens for another user count for their address alone. */
  readonly limits: Pick<ConnectionLimits, 'acquire'>;
  /** The address that a request comes from, for those limits. */
  readonly addressOf: (request: NodeRequest) => string;
  readonly options: RpcOptions;
}

export interface RpcDoor {
  /** Node's request listener, for `http` and `http2` servers alike. Paths that it does not handle get 404. */
  readonly handler: NodeHandler;
  /** Paths that are RPC, such as `/carepro.chat.v1.ChatService/SendMessage`. */
  readonly paths: readonly string[];
  /** Whether a request path (without its query) is RPC. */
  handles(path: string): boolean;
  /** Streams that are open, of every kind. */
  readonly streamCount: number;
  /**
   * Takes no new streams, tells every stream to come back after `reconnectAfterMs` (give or take half of it), ends it,
   * and resolves when all are over, which takes at most `cutGraceMs`. Unary calls go on. Set health to "not serving"
   * first: that is the last thing its watchers are told.
   */
  drain(reconnectAfterMs: number): Promise<void>;
  /** Cuts whatever is still in work. Idempotent. */
  close(): void;
}

export function createRpcDoor(dependencies: RpcDoorDependencies): RpcDoor {
  const { addressOf, chat, clock, health, log, metrics, options, profiles, reader, verifier } = dependencies;
  const streams = new LiveStreams(metrics);
  const finish = createFinishCall({ clock, metrics, log });
  const openServices = new Set([Health.typeName, ReflectionV1.typeName, ReflectionV1Alpha.typeName]);
  const calls = { verifier, profiles, clock, metrics, log, options, openServices };
  const router = createConnectRouter({
    readMaxBytes: options.readMaxBytes,
    acceptCompression: [compressionGzip, compressionBrotli],
    // The errors in a stream's results are `Any`s, which JSON can only write if it knows their types.
    jsonOptions: { registry: createRegistry(ErrorInfoSchema, BadRequestSchema, RetryInfoSchema) },
    requestGate: createGate(calls, finish),
    interceptors: [createCallInterceptor(calls, finish)],
  });
  const reflect = createReflectionHandler(
    [ChatService, UserService, Health, ReflectionV1, ReflectionV1Alpha],
    [file_google_rpc_error_details],
    streams,
  );
  router
    .service(ChatService, {
      ...createChatHandlers(chat, reader),
      ...createStreamHandlers({ ...dependencies, streams }),
    })
    .service(UserService, createUserHandlers(profiles))
    .service(Health, createHealthHandlers(health, streams, new Set([ChatService.typeName, UserService.typeName])))
    .service(ReflectionV1, { serverReflectionInfo: (requests, context) => reflect(requests, context) })
    .service(ReflectionV1Alpha, { serverReflectionInfo: (requests, context) => reflect(requests, context) });
  const { defaultDeadlineMs, queueMaxAgeMs: unaryGraceMs } = options;
  const adapter = new NodeAdapter({ router, clock, log, finish, addressOf, defaultDeadlineMs, unaryGraceMs });
  return {
    handler: (request, response) => adapter.handle(request, response),
    paths: adapter.paths,
    handles: (path) => adapter.handles(path),
    get streamCount() {
      return streams.size;
    },
    drain: (reconnectAfterMs) => streams.drain(reconnectAfterMs),
    close: () => adapter.close(),
  };
}
