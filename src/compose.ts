/**
 * The composition root: the only file that constructs adapters and wires doors, core and ports together.
 *
 * Start-up order: store (and its lock) → broker → core → doors → listener; draining goes the other way round. Nothing here
 * decides anything about chat.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { admitToHub, authenticateHub } from './auth/hub-access.ts';
import { type AuthSetup, setUpAuth } from './auth/setup.ts';
import { createChatHub } from './bridge/chat-hub.ts';
import { PageSends } from './bridge/page-sends.ts';
import { createRestDoor } from './bridge/rest.ts';
import { HubException } from './bridge/signalr/errors.ts';
import type { HubMethod } from './bridge/signalr/hub.ts';
import { createSignalRServer, type SignalRServer } from './bridge/signalr/server.ts';
import { MemoryBroker } from './broker/memory.ts';
import type { Config } from './config.ts';
import { Chat } from './core/chat.ts';
import { ConnectionLimits } from './core/connection-limits.ts';
import { GroupCommit } from './core/group-commit.ts';
import type { Identity } from './core/identity.ts';
import { Policy } from './core/policy.ts';
import type { MessagePolicy } from './core/ports.ts';
import { PresenceTracker } from './core/presence.ts';
import { Profiles } from './core/profiles.ts';
import { Publisher } from './core/publisher.ts';
import { Reader } from './core/reader.ts';
import { Registry } from './core/registry.ts';
import { clientAddress } from './http/client-address.ts';
import { originRule } from './http/cors.ts';
import { Listener } from './http/listener.ts';
import { Router, sendJson, sendNotFound } from './http/router.ts';
import { readTlsFiles } from './http/tls-files.ts';
import { Health } from './ops/health.ts';
import { createLogger, type Logger } from './ops/logger.ts';
import { PrometheusMetrics } from './ops/metrics.ts';
import { createRpcDoor, type RpcDoor } from './rpc/door.ts';
import { DEFAULT_RPC_OPTIONS } from './rpc/options.ts';
import { openSqliteStore } from './store/sqlite/store.ts';
import { type Clock, systemClock } from './time/clock.ts';

/** What tests may replace. */
export interface Replacements {
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly messagePolicy?: MessagePolicy;
  /** Methods of the chat hub that only a test calls. */
  readonly hubMethods?: Readonly<Record<string, HubMethod<Identity>>>;
}

/** A running server. Disposing it closes it at once. */
export interface App extends AsyncDisposable {
  /** Where it listens, as `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly port: number;
  readonly auth: AuthSetup;
  readonly log: Logger;
  /** Finishes what is in work, tells every client to come back, then closes. */
  drain(): Promise<void>;
  /** Closes now; what was acknowledged is safe. Idempotent. */
  close(): Promise<void>;
}

/** Streams and pages that are told to go come back after about this long, so that not everybody comes at once. */
const RECONNECT_AFTER_MS = 1000;
const PRESENCE_COALESCE_MS = 50;

const passEverything: MessagePolicy = { review: ({ text }) => ({ text }) };

/**
 * Starts a server.
 * @throws Error in words for the operator: unusable folder, port in use, unreadable certificate…
 */
export async function createApp(config: Config, replacements: Replacements = {}): Promise<App> {
  const clock = replacements.clock ?? systemClock;
  const log = replacements.logger ?? createLogger(config.server.logLevel);
  const messagePolicy = replacements.messagePolicy ?? passEverything;
  const tls = config.tls === undefined ? undefined : await readTlsFiles(config.tls);
  const onError = (error: unknown): void => log.error('background.failed', {}, error);
  const auth = await setUpAuth(config, clock);
  const { verifier } = auth;
  const store = await openSqliteStore({ dataDir: config.server.dataDir, clock, onError });
  const undo: (() => unknown)[] = [() => store.close()];
  try {
    const metrics = new PrometheusMetrics();
    undo.push(() => metrics[Symbol.dispose]());
    const broker = new MemoryBroker({
      clock,
      maxEvents: config.streams.eventLogMaxEvents,
      maxAgeMs: config.streams.eventLogMaxAgeMs,
    });
    undo.push(() => broker[Symbol.asyncDispose]());
    const health = new Health();
    const instanceId = randomUUID();
    const startedAtMs = clock.now();
    const policy = new Policy({ record: (entry) => log.info('audit', { ...entry }) });
    const limits = {
      textMaxCharacters: config.chat.messageMaxCharacters,
      pageSizeMax: config.chat.pageSizeMax,
      sendsPerSecond: config.chat.sendRatePerSecond,
      sendBurst: config.chat.sendBurst,
    };
    const connectionLimits = new ConnectionLimits({
      perUser: config.http.maxConnectionsPerUser,
      perAddress: config.http.maxConnectionsPerAddress,
    });
    const registry = new Registry({ store: store.messages, broker, clock, metrics, onError });
    undo.push(() => registry.close());
    const publisher = new Publisher(
      broker,
      metrics,
      {
        onPublishFailed: (userIds, error) => {
          log.error('publish.failed', { users: userIds.length }, error);
          registry.doubt(userIds);
        },
      },
      clock,
    );
    const commits = new GroupCommit(store.messages, { metrics });
    const chat = new Chat({ store: store.messages, commits, publisher, policy, messagePolicy, clock, limits, metrics });
    const presence = new PresenceTracker(
      { store: store.presence, partners: store.messages, broker, policy, clock, metrics, onError },
      {
        instanceId,
        audience: config.presence.audience,
        graceMs: config.presence.graceMs,
        leaseMs: config.server.instanceLeaseMs,
        coalesceMs: PRESENCE_COALESCE_MS,
      },
    );
    await presence.start();
    const previousSignOfLifeMs = await store.presence.previousSignOfLife(instanceId);
    const profiles = new Profiles(store.users, policy, metrics);
    const reader = new Reader({ store: store.messages, chat, presence, profiles, policy, limits });
    const sends = new PageSends({
      chat,
      store: store.messages,
      messagePolicy,
      clock,
      startedAtMs,
      previousSignOfLifeMs,
      onError,
    });
    const chatHub = createChatHub({
      chat,
      reader,
      profiles,
      registry,
      presence,
      policy,
      sends,
      clock,
      onError,
      hubExpiryGraceMs: config.auth.hubExpiryGraceMs,
      ...(replacements.hubMethods !== undefined && { moreMethods: replacements.hubMethods }),
      options: { maximumOutboundBytes: config.streams.queueMaxBytes },
    });
    const isOriginAllowed = originRule(config.http.corsOrigins);
    const hub = createSignalRServer<Identity>({
      hub: chatHub,
      path: '/chathub',
      clock,
      authenticate: ({ token }) => authenticateHub(verifier, token),
      isOriginAllowed,
      admit: ({ userId, remoteAddress }) => admitToHub(connectionLimits, userId, remoteAddress),
      remoteAddressOf: (request) => clientAddress(request, config.http.trustProxy),
      onError: (error, where) => {
        // A HubException without a cause is the client's mistake, told to the client.
        if (error instanceof HubException && error.cause === undefined) log.debug('hub.refused', { ...where });
        else log.error('hub.failed', { ...where }, error);
      },
    });
    undo.push(() => hub.close());
    const rest = createRestDoor({
      chat,
      reader,
      profiles,
      sends,
      verifier,
      clock,
      metrics,
      onError: (error, where) => log.error('rest.failed', { ...where }, error),
    });
    const rpc = createRpcDoor({
      chat,
      reader,
      profiles,
      registry,
      presence,
      verifier,
      policy,
      clock,
      metrics,
      health,
      limits: connectionLimits,
      addressOf: (request) => clientAddress(request, config.http.trustProxy),
      log: {
        rpc: (entry) => log.debug('rpc', { ...entry }),
        error: ({ error, ...facts }) => log.error('rpc.failed', facts, error),
      },
      options: {
        ...DEFAULT_RPC_OPTIONS,
        readMaxBytes: config.http.maxRequestBytes,
        heartbeatIntervalMs: config.streams.heartbeatIntervalMs,
        queueMaxBytes: config.streams.queueMaxBytes,
        queueMaxAgeMs: config.streams.queueMaxAgeMs,
      },
    });
    undo.push(() => rpc.close());
    const router = new Router({
      isOriginAllowed,
      onError: (error, path) => log.error('http.failed', { path }, error),
      upgrades: [{ matches: onHub, upgrade: (request, socket, head) => void hub.handleUpgrade(request, socket, head) }],
      routes: [
        { matches: (path) => rpc.handles(path), handle: (request, response) => rpc.handler(request, response) },
        {
          matches: onHub,
          handle: (request, response) => {
            // The hub's endpoint speaks HTTP/1.1; what HTTP/2 brings here has the same shape for what it uses.
            const known = hub.handleRequest(request as IncomingMessage, response as ServerResponse);
            if (!known) sendNotFound(response);
          },
        },
        {
          matches: (_path, lower) => lower === '/api/health' || lower === '/api/health/',
          handle: (_request, response) => {
            const serving = health.status() === 'serving';
            sendJson(
              response,
              serving ? 200 : 503,
              serving ? { status: 'ok' } : { status: 'unavailable', reasons: health.reasons() },
            );
          },
        },
        {
          matches: (_path, lower) => lower === '/metrics',
          handle: async (_request, response) => {
            metrics.gauge('chat_hub_connections', hub.connections);
            metrics.gauge('chat_rpc_streams', rpc.streamCount);
            metrics.gauge('chat_sessions', registry.count);
            metrics.gauge('chat_sockets', listener.connections);
            response.setHeader('content-type', metrics.contentType);
            response.end(await metrics.text());
          },
        },
        {
          matches: (_path, lower) => rest.handles(lower),
          handle: (request, response) => rest.handle(request, response),
        },
      ],
    });
    const listener = new Listener({
      host: config.server.host,
      port: config.server.port,
      ...(tls !== undefined && { tls }),
      clock,
      sniffTimeoutMs: config.http.sniffTimeoutMs,
      headerTimeoutMs: config.http.headerTimeoutMs,
      requestTimeoutMs: config.http.requestTimeoutMs,
      keepAliveTimeoutMs: config.http.keepAliveTimeoutMs,
      maxHeaderBytes: config.http.maxHeaderBytes,
      http2MaxStreams: config.http.http2MaxStreams,
      http2PingIntervalMs: config.http.http2PingIntervalMs,
      maxConnectionsPerAddress: config.http.trustProxy ? 0 : config.http.maxConnectionsPerAddress,
      handler: (request, response) => router.handle(request, response),
      upgrade: (request, socket, head) => router.upgrade(request, socket, head),
    });
    undo.push(() => listener.close());
    const { port } = await listener.listen();
    health.set('starting', false);

    let closing: Promise<void> | undefined;
    const close = (): Promise<void> => {
      closing ??= (async () => {
        health.set('draining', true);
        hub.close();
        rpc.close();
        await listener.close();
        await presence.stop();
        await publisher.close();
        registry.close();
        await broker[Symbol.asyncDispose]();
        await store.close();
        metrics[Symbol.dispose]();
      })();
      return closing;
    };
    return {
      url: `${tls === undefined ? 'http' : 'https'}://${hostForUrl(config.server.host)}:${port}`,
      port,
      auth,
      log,
      close,
      drain: async () => {
        health.set('draining', true);
        await drainDoors(hub, rpc, listener, config.server.drainTimeoutMs);
        await close();
      },
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    for (const step of undo.toReversed()) await step();
    throw error;
  }
}

async function drainDoors(hub: SignalRServer, rpc: RpcDoor, listener: Listener, withinMs: number): Promise<void> {
  const listening = listener.drain(withinMs);
  await Promise.all([hub.drain({ graceMs: withinMs }), rpc.drain(RECONNECT_AFTER_MS)]);
  await listening;
}

function onHub(_path: string, lower: string): boolean {
  return lower === '/chathub' || lower.startsWith('/chathub/');
}

function hostForUrl(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}
