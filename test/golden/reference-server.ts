/** The running server that the transcripts are replayed against: the product with the reference's helper methods on its hub. */
import type { HubContext } from '../../src/bridge/signalr/hub/clients.ts';
import type { Identity } from '../../src/core/identity.ts';
import type { Clock } from '../../src/time/clock.ts';
import { startServer } from '../e2e/support/server.ts';
import { referenceHelpers } from './reference-helpers.ts';
import { mintToken, SECRET } from './reference-tokens.ts';

export interface ReferenceServerOptions {
  readonly clock: Clock;
  /** What the transcript's server was started with. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface ReferenceServer extends AsyncDisposable {
  readonly port: number;
  /** Mints the token that transcripts call `name`. */
  token(name: string): Promise<string>;
  /** What SIGTERM does. */
  drain(): Promise<void>;
}

/** Starts a server on a free port. A user who leaves is offline at once, as at the reference. */
export async function startReferenceServer({ clock, environment }: ReferenceServerOptions): Promise<ReferenceServer> {
  let context: HubContext | undefined;
  const server = await startServer(
    {
      AUTH_HS256_SECRET: SECRET,
      PRESENCE_GRACE_MS: '0',
      LOG_LEVEL: 'silent',
      PRESENCE_AUDIENCE: environment.STATUS_BROADCAST === '1' ? 'everyone' : 'nobody',
      ...(environment.CLOSE_ON_AUTH_EXPIRATION === '1' && { AUTH_HUB_EXPIRY_GRACE_MS: '0' }),
    },
    {
      clock,
      hubMethods: referenceHelpers<Identity>(() => context),
      hubOptions: {
        enableDetailedErrors: environment.DETAILED_ERRORS === '1',
        maximumParallelInvocations: Number(environment.MAX_PARALLEL ?? 1),
        ...(environment.KEEPALIVE_MS !== undefined && { keepAliveIntervalMs: Number(environment.KEEPALIVE_MS) }),
      },
    },
  );
  context = server.app.hub;
  return {
    port: server.port,
    token: (name) => mintToken(name, clock.now()),
    drain: () => server.app.drain(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
