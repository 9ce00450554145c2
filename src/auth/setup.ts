/** Sets up token verification from the configuration: the given keys, or in development a secret of our own. */
import type { TokenVerifier } from '../core/identity.ts';
import type { Clock } from '../time/clock.ts';
import { loadOrCreateDevelopmentSecret } from './development-secret.ts';
import { RemoteKeySet } from './key-sets.ts';
import { JwtVerifier } from './verifier.ts';

/** What of the configuration this needs. */
export interface AuthConfig {
  readonly production: boolean;
  readonly server: { readonly dataDir: string };
  readonly auth: {
    readonly hs256Secret: { bytes(): Uint8Array } | undefined;
    readonly jwksUrl: string | undefined;
    readonly issuer: string;
    readonly audience: string;
    readonly cacheMaxTokens: number;
  };
}

export interface AuthSetup {
  readonly verifier: TokenVerifier;
  /** Set if no key is configured: the secret that this computer made for itself. Never in production. */
  readonly developmentSecret: { readonly secret: Uint8Array; readonly file: string } | undefined;
}

/** @throws Error if no key is configured in production, or the development secret cannot be kept. */
export async function setUpAuth(config: AuthConfig, clock: Clock): Promise<AuthSetup> {
  const { hs256Secret, jwksUrl, issuer, audience, cacheMaxTokens } = config.auth;
  const keyless = hs256Secret === undefined && jwksUrl === undefined;
  if (keyless && config.production) throw new Error('Set AUTH_HS256_SECRET or AUTH_JWKS_URL: production needs a key');
  const developmentSecret = keyless ? await loadOrCreateDevelopmentSecret(config.server.dataDir) : undefined;
  const secret = hs256Secret?.bytes() ?? developmentSecret?.secret;
  const keys = jwksUrl === undefined ? undefined : new RemoteKeySet({ url: jwksUrl, clock });
  const verifier = new JwtVerifier({
    clock,
    issuer,
    audience,
    cacheMaxEntries: cacheMaxTokens,
    ...(secret !== undefined && { secret }),
    ...(keys !== undefined && { publicKeys: keys.find }),
  });
  return { verifier, developmentSecret };
}
