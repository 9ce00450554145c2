/** Clients of the typed API: connect-node and connect-web over every protocol, and grpc-js from the proto files alone. */
import { join } from 'node:path';
import { type Client, createClient, type Interceptor, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from '@connectrpc/connect-node';
import {
  createConnectTransport as createConnectWebTransport,
  createGrpcWebTransport as createGrpcWebWebTransport,
} from '@connectrpc/connect-web';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import { ChatService } from '../../../gen/carepro/chat/v1/chat_service_pb.ts';

const root = join(import.meta.dirname, '../../..');

/** A connection to the server: what a transport needs, and how to end it. */
export interface TransportOptions {
  readonly url: string;
  readonly token: string;
  readonly sessions: Http2SessionManager;
}

type CreateTransport = (options: TransportOptions) => Transport;

/** Every way in which a Connect client can speak to the server. */
export const TRANSPORTS = {
  'connect-node Connect over HTTP/1.1': ({ url: baseUrl, token }) =>
    createConnectTransport({ baseUrl, httpVersion: '1.1', interceptors: [bearer(token)] }),
  'connect-node Connect over HTTP/2': ({ url: baseUrl, token, sessions: sessionManager }) =>
    createConnectTransport({ baseUrl, httpVersion: '2', sessionManager, interceptors: [bearer(token)] }),
  'connect-node gRPC': ({ url: baseUrl, token, sessions: sessionManager }) =>
    createGrpcTransport({ baseUrl, sessionManager, interceptors: [bearer(token)] }),
  'connect-node gRPC-Web over HTTP/1.1': ({ url: baseUrl, token }) =>
    createGrpcWebTransport({ baseUrl, httpVersion: '1.1', interceptors: [bearer(token)] }),
  'connect-node gRPC-Web over HTTP/2': ({ url: baseUrl, token, sessions: sessionManager }) =>
    createGrpcWebTransport({ baseUrl, httpVersion: '2', sessionManager, interceptors: [bearer(token)] }),
  'connect-web Connect': ({ url: baseUrl, token }) =>
    createConnectWebTransport({ baseUrl, interceptors: [bearer(token)] }),
  'connect-web gRPC-Web': ({ url: baseUrl, token }) =>
    createGrpcWebWebTransport({ baseUrl, interceptors: [bearer(token)] }),
} as const satisfies Record<string, CreateTransport>;

export type TransportName = keyof typeof TRANSPORTS;

/** Those over which a client can send and receive at the same time. */
export const BIDIRECTIONAL: ReadonlySet<TransportName> = new Set([
  'connect-node Connect over HTTP/2',
  'connect-node gRPC',
  'connect-node gRPC-Web over HTTP/2',
]);

export interface TypedClient extends Disposable {
  readonly chat: Client<typeof ChatService>;
  readonly transport: Transport;
}

/** A client with a token and a connection of its own. */
export function typedClient(url: string, token: string, name: TransportName = 'connect-node gRPC'): TypedClient {
  const sessions = new Http2SessionManager(url);
  const transport = TRANSPORTS[name]({ url, token, sessions });
  return {
    transport,
    chat: createClient(ChatService, transport),
    [Symbol.dispose]: () => sessions.abort(),
  };
}

function bearer(token: string): Interceptor {
  return (next) => (request) => {
    request.header.set('authorization', `Bearer ${token}`);
    return next(request);
  };
}

/** A service as grpc-js knows it from the proto files, with names in camel case and enums as their names. */
export function loadService(file: string, service: string): ServiceDefinition {
  const definition = loadSync(file, {
    includeDirs: [join(root, 'proto'), join(root, 'vendor/proto')],
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  })[service];
  if (definition === undefined || 'format' in definition) throw new Error(`${service} is not in ${file}`);
  return definition;
}
