/** Puts the three doors together over the core. */
import { admitToHub, authenticateHub } from '../auth/hub-access.ts';
import { createChatHub } from '../bridge/chat-hub.ts';
import { createRestDoor, type RestDoor } from '../bridge/rest.ts';
import { HubException } from '../bridge/signalr/hub/errors.ts';
import type { HubMethod } from '../bridge/signalr/hub/hub.ts';
import type { HubOptions } from '../bridge/signalr/hub/options.ts';
import { createSignalRServer, type SignalRServer } from '../bridge/signalr/hub/server.ts';
import type { Config } from '../config.ts';
import type { Identity, TokenVerifier } from '../core/identity.ts';
import type { Metrics } from '../core/metrics.ts';
import { clientAddress } from '../http/client-address.ts';
import type { Health } from '../ops/health.ts';
import type { Logger } from '../ops/logger.ts';
import { createRpcDoor, type RpcDoor } from '../rpc/door.ts';
import { DEFAULT_RPC_OPTIONS } from '../rpc/options.ts';
import type { Clock } from '../time/clock.ts';
import type { Core } from './core.ts';

export interface DoorDependencies {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly health: Health;
  readonly verifier: TokenVerifier;
  readonly core: Core;
  readonly isOriginAllowed: (origin: string) => boolean;
  readonly hubMethods: Readonly<Record<string, HubMethod<Identity>>>;
  readonly hubOptions: Partial<HubOptions>;
}

export interface Doors {
  readonly hub: SignalRServer;
  readonly rest: RestDoor;
  readonly rpc: RpcDoor;
}

/** Builds the doors. They have no port and start nothing by themselves. */
export function composeDoors(dependencies: DoorDependencies): Doors {
  return { hub: composeHub(dependencies), rest: composeRest(dependencies), rpc: composeRpc(dependencies) };
}

function composeHub(dependencies: DoorDependencies): SignalRServer {
  const { clock, config, core, hubMethods, hubOptions, isOriginAllowed, log, verifier } = dependencies;
  const { connectionLimits } = core;
  const chatHub = createChatHub({
    ...core,
    clock,
    onError: (error) => log.error('background.failed', {}, error),
    hubExpiryGraceMs: config.auth.hubExpiryGraceMs,
    moreMethods: hubMethods,
    options: {
      maximumOutboundBytes: config.streams.queueMaxBytes,
      allowStatefulReconnect: true,
      allowTokenRenewal: true,
      ...hubOptions,
    },
  });
  return createSignalRServer<Identity>({
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
}

function composeRest({ clock, core, log, metrics, verifier }: DoorDependencies): RestDoor {
  return createRestDoor({
    ...core,
    verifier,
    clock,
    metrics,
    onError: (error, where) => log.error('rest.failed', { ...where }, error),
  });
}

function composeRpc({ clock, config, core, health, log, metrics, verifier }: DoorDependencies): RpcDoor {
  return createRpcDoor({
    ...core,
    verifier,
    clock,
    metrics,
    health,
    limits: core.connectionLimits,
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
}
