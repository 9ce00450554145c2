/** A door with a real core behind it, on http and http2 servers of its own, and clients for it. */

import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createServer as createHttp2Server, type Http2Server } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { ChatService } from '../../../gen/carepro/chat/v1/chat_service_pb.ts';
import { MemoryBroker } from '../../../src/broker/memory.ts';
import { Chat } from '../../../src/core/chat.ts';
import { ConnectionLimits } from '../../../src/core/connection-limits.ts';
import { GroupCommit } from '../../../src/core/group-commit.ts';
import type { Identity, Role, TokenVerifier, Verification } from '../../../src/core/identity.ts';
import { type ChatLimits, DEFAULT_LIMITS } from '../../../src/core/limits.ts';
import { type Labels, type Metrics, noMetrics } from '../../../src/core/metrics.ts';
import { Policy } from '../../../src/core/policy.ts';
import type { MessageStore } from '../../../src/core/ports.ts';
import { PresenceTracker } from '../../../src/core/presence.ts';
import { Profiles } from '../../../src/core/profiles.ts';
import { Publisher } from '../../../src/core/publisher.ts';
import { Reader } from '../../../src/core/reader.ts';
import { Registry } from '../../../src/core/registry.ts';
import { createRpcDoor, type RpcDoor } from '../../../src/rpc/door.ts';
import { DEFAULT_RPC_OPTIONS, type HealthStatus, type RpcLogEntry, type RpcOptions } from '../../../src/rpc/options.ts';
import { openSqliteStore } from '../../../src/store/sqlite/store.ts';
import { type Clock, systemClock } from '../../../src/time/clock.ts';

/** A verifier of tokens that say what they are: `user:role:expiresAtMs`, the last two optional. */
export class PlainVerifier implements TokenVerifier {
  verified = 0;
  readonly #clock: Clock;
  readonly #cache = new Map<string, Identity>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  verify(token: string | undefined): Promise<Verification> {
    this.verified += 1;
    return Promise.resolve(this.#verify(token));
  }

  verifyCached(token: string): Identity | undefined {
    return this.#cache.get(token);
  }

  #verify(token: string | undefined): Verification {
    if (token === undefined) return { ok: false, failure: { code: 'missing', description: 'A token is required' } };
    if (token === 'no-keys') {
      return { ok: false, failure: { code: 'keysUnavailable', description: 'Keys cannot be had' } };
    }
    const [userId = '', role = '', expires = ''] = token.split(':');
    if (userId === '' || userId === 'garbage') {
      return { ok: false, failure: { code: 'malformed', description: 'The token is not a token' } };
    }
    const expiresAtMs = expires === '' ? this.#clock.now() + 3_600_000 : Number(expires);
    if (expiresAtMs <= this.#clock.now()) {
      return { ok: false, failure: { code: 'expired', description: 'The token has expired' } };
    }
    const roles = new Set<Role>(['user']);
    if (role === 'Admin' || role === 'Service') roles.add(role);
    const identity: Identity = {
      userId: userId === 'nobody' ? undefined : userId,
      roles,
      expiresAtMs,
      name: `Name of ${userId}`,
    };
    this.#cache.set(token, identity);
    return { ok: true, identity };
  }
}

export class RecordingMetrics implements Metrics {
  readonly counts = new Map<string, number>();
  readonly gauges = new Map<string, number>();

  count(name: string, labels?: Labels, by = 1): void {
    const key = labels === undefined ? name : `${name} ${Object.values(labels).join(' ')}`;
    this.counts.set(key, (this.counts.get(key) ?? 0) + by);
  }

  gauge(name: string, value: number): void {
    this.gauges.set(name, value);
  }

  observe(): void {}
}

export interface HarnessOptions {
  readonly clock?: Clock;
  readonly options?: Partial<RpcOptions>;
  readonly limits?: Partial<ChatLimits>;
  readonly streamsPerUser?: number;
  /** Stands in front of the real message store. */
  readonly wrapStore?: (store: MessageStore) => MessageStore;
  readonly brokerMaxEvents?: number;
  readonly audience?: 'everyone' | 'contacts';
}

export interface PresenceCall {
  readonly type: 'connected' | 'disconnected';
  readonly userId: string;
  readonly connectionId: string;
}

export interface Harness extends AsyncDisposable {
  readonly door: RpcDoor;
  readonly registry: Registry;
  readonly broker: MemoryBroker;
  readonly verifier: PlainVerifier;
  readonly metrics: RecordingMetrics;
  readonly log: { readonly entries: RpcLogEntry[]; readonly errors: unknown[] };
  readonly presenceCalls: PresenceCall[];
  readonly http1: string;
  readonly http2: string;
  setHealth(status: HealthStatus): void;
  /** A client with a token, by default gRPC over HTTP/2. */
  client(token: string, transport?: (options: TransportOptions) => Transport): Client<typeof ChatService>;
  /** Sockets that clients hold open. */
  readonly sockets: ReadonlySet<Socket>;
}

export interface TransportOptions {
  readonly http1: string;
  readonly http2: string;
  readonly token?: string;
}

const authorize = (token: string | undefined) =>
  token === undefined
    ? []
    : [
        (next: (request: never) => Promise<never>) => (request: { header: Headers }) => {
          request.header.set('authorization', `Bearer ${token}`);
          return next(request as never);
        },
      ];

export const TRANSPORTS: Readonly<Record<string, (options: TransportOptions) => Transport>> = {
  'gRPC over HTTP/2': ({ http2, token }) =>
    createGrpcTransport({ baseUrl: http2, interceptors: authorize(token) as never }),
  'gRPC-Web over HTTP/1.1': ({ http1, token }) =>
    createGrpcWebTransport({ baseUrl: http1, httpVersion: '1.1', interceptors: authorize(token) as never }),
  'gRPC-Web over HTTP/2': ({ http2, token }) =>
    createGrpcWebTransport({ baseUrl: http2, httpVersion: '2', interceptors: authorize(token) as never }),
  'Connect over HTTP/1.1': ({ http1, token }) =>
    createConnectTransport({ baseUrl: http1, httpVersion: '1.1', interceptors: authorize(token) as never }),
  'Connect over HTTP/2': ({ http2, token }) =>
    createConnectTransport({ baseUrl: http2, httpVersion: '2', interceptors: authorize(token) as never }),
  'Connect with binary messages': ({ http2, token }) =>
    createConnectTransport({
      baseUrl: http2,
      httpVersion: '2',
      useBinaryFormat: true,
      interceptors: authorize(token) as never,
    }),
};

export async function startHarness(given: HarnessOptions = {}): Promise<Harness> {
  const clock = given.clock ?? systemClock;
  const dataDir = await mkdtemp(join(tmpdir(), 'rpc-test-'));
  const sqlite = await openSqliteStore({ dataDir, clock });
  const store = given.wrapStore?.(sqlite.messages) ?? sqlite.messages;
  const broker = new MemoryBroker({ clock, maxEvents: given.brokerMaxEvents ?? 1000 });
  const errors: unknown[] = [];
  const onError = (error: unknown): void => void errors.push(error);
  const policy = new Policy({ record: () => undefined });
  const limits: ChatLimits = { ...DEFAULT_LIMITS, ...given.limits };
  const registry = new Registry({ store, broker, clock, metrics: noMetrics, onError });
  const publisher = new Publisher(broker, noMetrics, { onPublishFailed: (userIds) => registry.doubt(userIds) }, clock);
  const chat = new Chat({
    store,
    commits: new GroupCommit(store),
    publisher,
    policy,
    messagePolicy: {
      review: ({ text }) => (text.includes('555') ? { text: '[removed]', warning: 'No numbers please' } : { text }),
    },
    clock,
    limits,
    metrics: noMetrics,
  });
  const presence = new PresenceTracker(
    { store: sqlite.presence, partners: store, broker, policy, clock, metrics: noMetrics, onError },
    {
      instanceId: 'test',
      audience: given.audience ?? 'everyone',
      graceMs: 50,
      leaseMs: 15_000,
      coalesceMs: 5,
    },
  );
  await presence.start();
  const presenceCalls: PresenceCall[] = [];
  for (const type of ['connected', 'disconnected'] as const) {
    const original = presence[type].bind(presence);
    presence[type] = (userId, connectionId) => {
      presenceCalls.push({ type, userId, connectionId });
      original(userId, connectionId);
    };
  }
  const profiles = new Profiles(sqlite.users, policy, noMetrics);
  const reader = new Reader({ store, chat, presence, profiles, policy, limits });
  const verifier = new PlainVerifier(clock);
  const metrics = new RecordingMetrics();
  const log = { entries: [] as RpcLogEntry[], errors };
  let health: HealthStatus = 'serving';
  const healthListeners = new Set<() => void>();
  const door = createRpcDoor({
    chat,
    reader,
    profiles,
    registry,
    presence,
    verifier,
    policy,
    clock,
    metrics,
    log: { rpc: (entry) => void log.entries.push(entry), error: ({ error }) => void errors.push(error) },
    health: {
      status: () => health,
      onChange(listener) {
        healthListeners.add(listener);
        return () => healthListeners.delete(listener);
      },
    },
    limits: new ConnectionLimits({ perUser: given.streamsPerUser ?? 1000, perAddress: 0 }),
    addressOf: (request) => request.socket.remoteAddress ?? '',
    options: { ...DEFAULT_RPC_OPTIONS, ...given.options },
  });
  const sockets = new Set<Socket>();
  const servers: (Server | Http2Server)[] = [createServer(door.handler), createHttp2Server(door.handler)];
  const [http1 = '', http2 = ''] = await Promise.all(servers.map((server) => listen(server, sockets)));
  return {
    door,
    registry,
    broker,
    verifier,
    metrics,
    log,
    presenceCalls,
    http1,
    http2,
    sockets,
    setHealth(status) {
      health = status;
      for (const listener of [...healthListeners]) listener();
    },
    client(token, transport = TRANSPORTS['gRPC over HTTP/2']) {
      if (transport === undefined) throw new Error('No such transport');
      return createClient(ChatService, transport({ http1, http2, token }));
    },
    async [Symbol.asyncDispose]() {
      door.close();
      for (const socket of sockets) socket.destroy();
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
      registry.close();
      await presence.stop();
      await sqlite.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function listen(server: Server | Http2Server, sockets: Set<Socket>): Promise<string> {
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Resolves when `condition` holds; rejects after `timeoutMs`. Looks again each turn of the event loop. */
export async function until(condition: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`Waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
