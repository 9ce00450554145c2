/** Load of unary calls: SendMessage by three stock clients, a fixed number of calls in flight. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import {
  ChatService,
  SendMessageRequestSchema,
  SendMessageResponseSchema,
} from '../../gen/carepro/chat/v1/chat_service_pb.ts';
import { percentile } from '../statistics.ts';
import { serveLoad } from './remote.ts';
import { type MeasuredWindow, measureWhile, sleep } from './window.ts';

export type UnaryClient = 'grpcJs' | 'connectNodeGrpc' | 'connectNodeConnect';

export interface ConnectUnary {
  readonly baseUrl: string;
  readonly serverPid: number;
  /** One caller for each call in flight, with whom it writes to. */
  readonly callers: readonly { readonly id: string; readonly token: string; readonly receiverId: string }[];
}

export interface UnaryMeasured extends MeasuredWindow {
  readonly latencyP50Ms: number;
  readonly latencyP99Ms: number;
}

type Send = (token: string, receiverId: string, text: string) => Promise<string>;

const TEXT = 'a message of seventy characters, as long as those of the other scenarios';

let options: ConnectUnary | undefined;
let clients: Partial<Record<UnaryClient, Send>> = {};

function connect(given: ConnectUnary): void {
  options = given;
  const { baseUrl } = given;
  clients = {
    grpcJs: viaGrpcJs(new URL(baseUrl).host),
    connectNodeGrpc: viaConnect(createGrpcTransport({ baseUrl })),
    connectNodeConnect: viaConnect(createConnectTransport({ baseUrl, httpVersion: '2' })),
  };
}

function viaConnect(transport: Transport): Send {
  const client = createClient(ChatService, transport);
  return async (token, receiverId, text) => {
    const headers = { authorization: `Bearer ${token}` };
    return (await client.sendMessage({ receiverId, text }, { headers })).message?.id ?? '';
  };
}

function viaGrpcJs(host: string): Send {
  const client = new Client(host, credentials.createInsecure());
  const path = `/${ChatService.typeName}/${ChatService.method.sendMessage.name}`;
  return (token, receiverId, text) =>
    new Promise((resolve, reject) => {
      const metadata = new Metadata();
      metadata.set('authorization', `Bearer ${token}`);
      client.makeUnaryRequest(
        path,
        (request: { receiverId: string; text: string }) =>
          Buffer.from(toBinary(SendMessageRequestSchema, create(SendMessageRequestSchema, request))),
        (bytes) => fromBinary(SendMessageResponseSchema, bytes),
        { receiverId, text },
        metadata,
        (error, response) => {
          if (error !== null) reject(error);
          else resolve(response?.message?.id ?? '');
        },
      );
    });
}

async function run(phase: {
  readonly client: UnaryClient;
  readonly warmUpMs: number;
  readonly measureMs: number;
}): Promise<UnaryMeasured> {
  const send = clients[phase.client];
  if (options === undefined || send === undefined) throw new Error('connect first');
  let going = true;
  let done = 0;
  let latenciesMs: number[] = [];
  const callers = Promise.all(
    options.callers.map(async (caller) => {
      while (going) {
        const calledAt = performance.now();
        const messageId = await send(caller.token, caller.receiverId, TEXT);
        if (messageId === '') throw new Error('an answer without a message id');
        latenciesMs.push(performance.now() - calledAt);
        done++;
      }
    }),
  );
  const window = async (): Promise<MeasuredWindow> => {
    await sleep(phase.warmUpMs);
    latenciesMs = [];
    return measureWhile(
      options?.serverPid ?? 0,
      () => sleep(phase.measureMs),
      () => done,
    );
  };
  const [measured] = await Promise.all([
    window().finally(() => {
      going = false;
    }),
    callers,
  ]);
  return { ...measured, latencyP50Ms: percentile(latenciesMs, 50), latencyP99Ms: percentile(latenciesMs, 99) };
}

const handlers = { connect, run };
export type UnaryLoad = typeof handlers;
serveLoad(handlers);
