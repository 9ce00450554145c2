/**
 * The composition root: with the files of src/compose the only code that constructs adapters and wires doors, core and
 * ports together.
 *
 * Start-up order: broker → store (and its lock) → core → doors → listener; draining goes the other way round. Nothing here
 * decides anything about chat.
 */
import { randomUUID } from 'node:crypto';
import { type AuthSetup, setUpAuth } from './auth/setup.ts';
import type { HubContext } from './bridge/signalr/hub/clients.ts';
import type { HubMethod } from './bridge/signalr/hub/hub.ts';
import type { HubOptions } from './bridge/signalr/hub/options.ts';
import { type Core, composeCore } from './compose/core.ts';
import { composeDoors, type Doors } from './compose/doors.ts';
import { composeRoutes, composeUpgrades } from './compose/routes.ts';
import { openBroker, openStore } from './compose/storage.ts';
import { publishUnpublished } from './compose/unpublished.ts';
import { watchStore } from './compose/watch-store.ts';
import type { Config } from './config.ts';
import type { Identity } from './core/identity.ts';
import type { MessagePolicy } from './core/ports.ts';
import { originRule } from './http/cors.ts';
import { Listener } from './http/listener.ts';
import { Router } from './http/router.ts';
import { readTlsFiles } from './http/tls-files.ts';
import { Health } from './ops/health.ts';
import { createLogger, type Logger } from './ops/logger.ts';
import { PrometheusMetrics } from './ops/metrics.ts';
import { type Clock, systemClock } from './time/clock.ts';
import { SharedClock } from './time/shared-clock.ts';

/** What tests may replace. */
export interface Replacements {
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly messagePolicy?: MessagePolicy;
  /** Methods of the chat hub that only a test calls. */
  readonly hubMethods?: Readonly<Record<string, HubMethod<Identity>>>;
  /** Options of the chat hub that configuration does not set. */
  readonly hubOptions?: Partial<HubOptions>;
}

/** A running server. Disposing it closes it at once. */
export interface App extends AsyncDisposable {
  /** Where it listens, as `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly port: number;
  readonly auth: AuthSetup;
  readonly log: Logger;
  /** Clients and groups of the chat hub, for code outside of its calls. */
  readonly hub: HubContext;
  /** Says at once that it does not serve; after `DRAIN_DELAY_MS` finishes what is in work, tells every client to come back, then closes. */
  drain(): Promise<void>;
  /** Closes now; what was acknowledged is safe. Idempotent. */
  close(): Promise<void>;
}

/** Streams and pages that are told to go come back after about this long, so that not everybody comes at once. */
const RECONNECT_AFTER_MS = 1000;

const passEverything: MessagePolicy = { review: ({ text }) => ({ text }) };

/**
 * Starts a server.
 * @throws Error in words for the operator: unusable folder, port in use, unreadable certificate…
 */
export async function createApp(config: Config, replacements: Replacements = {}): Promise<App> {
  const log = replacements.logger ?? createLogger(config.server.logLevel);
  const clock = new SharedClock(replacements.clock ?? systemClock, {
    onCorrected: (offsetMs) => log.warn('clock.corrected', { offsetMs }),
  });
  const tls = config.tls === undefined ? undefined : await readTlsFiles(config.tls);
  const auth = await setUpAuth(config, clock);
  // What is put here is undone in the opposite order, whether the start fails or the server closes.
  const stack = new AsyncDisposableStack();
  try {
    const instanceId = randomUUID();
    const broker = stack.use(await openBroker({ config, clock, log }));
    let core: Core | undefined;
    const store = stack.use(
      await openStore({
        ...{ config, clock, log, instanceId },
        published: async () => core?.publisher.published() ?? true,
        onUnpublished: async (conversations) => {
          if (core === undefined) return false;
          const isShared = config.storage.redisUrl !== undefined;
          return publishUnpublished({ publisher: core.publisher, broker, isShared }, conversations);
        },
      }),
    );
    const metrics = stack.use(new PrometheusMetrics());
    const messagePolicy = replacements.messagePolicy ?? passEverything;
    core = await composeCore({ config, clock, log, metrics, messagePolicy, store, broker, instanceId });
    stack.defer(() => core.registry.close());
    stack.defer(() => core.publisher.close());
    stack.defer(() => core.presence.stop());
    const health = new Health();
    if (store.isReachable !== undefined) stack.use(watchStore(store.isReachable, { clock, health, log }));
    const isOriginAllowed = originRule(config.http.corsOrigins);
    const { verifier } = auth;
    const { hubMethods = {}, hubOptions = {} } = replacements;
    const forTests = { hubMethods, hubOptions };
    const doors = composeDoors({ config, clock, log, metrics, health, verifier, core, isOriginAllowed, ...forTests });
    const gauge = (): void => {
      metrics.gauge('chat_hub_connections', doors.hub.connections);
      metrics.gauge('chat_sessions', core.registry.count);
      metrics.gauge('chat_sockets', listener.connections);
    };
    const router = new Router({
      isOriginAllowed,
      onError: (error, path) => log.error('http.failed', { path }, error),
      upgrades: composeUpgrades(doors),
      routes: composeRoutes({ doors, health, metrics, gauge }),
    });
    const listener = stack.use(
      new Listener({
        ...config.http,
        ...(tls !== undefined && { tls }),
        host: config.server.host,
        port: config.server.port,
        clock,
        maxConnectionsPerAddress: config.http.trustProxy ? 0 : config.http.maxConnectionsPerAddress,
        handler: (request, response) => router.handle(request, response),
        upgrade: (request, socket, head) => router.upgrade(request, socket, head),
      }),
    );
    stack.defer(() => doors.rpc.close());
    stack.defer(() => doors.hub.close());
    const { port } = await listener.listen();
    health.set('starting', false);

    let closing: Promise<void> | undefined;
    const close = (): Promise<void> => {
      health.set('draining', true);
      closing ??= stack.disposeAsync();
      return closing;
    };
    return {
      url: `${tls === undefined ? 'http' : 'https'}://${hostForUrl(config.server.host)}:${port}`,
      port,
      auth,
      log,
      hub: doors.hub.context,
      close,
      drain: async () => {
        health.set('draining', true);
        const { drainDelayMs } = config.server;
        if (drainDelayMs > 0) await new Promise<void>((resolve) => clock.schedule(drainDelayMs, resolve));
        await drainDoors(doors, listener, config.server.drainTimeoutMs);
        await close();
      },
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function drainDoors({ hub, rpc }: Doors, listener: Listener, withinMs: number): Promise<void> {
  const listening = listener.drain(withinMs);
  await Promise.all([hub.drain({ graceMs: withinMs }), rpc.drain(RECONNECT_AFTER_MS)]);
  await listening;
}

function hostForUrl(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}
