/** The hub's door-keeper: tokens and limits in the terms of the SignalR server's hooks. */
import type { ConnectionLimits } from '../core/connection-limits.ts';
import { ChatError } from '../core/errors.ts';
import type { Identity, TokenVerifier, Verification } from '../core/identity.ts';
import { challengeOf } from './failures.ts';

export type HubAuthentication =
  | { readonly ok: true; readonly user: Identity; readonly userId: string | undefined; readonly expiresAtMs: number }
  | { readonly ok: false; readonly status: 401 | 503; readonly challenge: string };

/** Checks a token: 401 with a challenge if it is refused, 503 if the keys to check it with cannot be had. */
export async function authenticateHub(verifier: TokenVerifier, token: string | undefined): Promise<HubAuthentication> {
  const cached = token === undefined ? undefined : verifier.verifyCached(token);
  const result: Verification = cached === undefined ? await verifier.verify(token) : { ok: true, identity: cached };
  if (result.ok) {
    const { userId, expiresAtMs } = result.identity;
    return { ok: true, user: result.identity, userId, expiresAtMs };
  }
  const status = result.failure.code === 'keysUnavailable' ? 503 : 401;
  return { ok: false, status, challenge: challengeOf(result.failure) };
}

export type HubAdmission =
  | { readonly ok: true; readonly release: () => void }
  | { readonly ok: false; readonly status: 429; readonly text: string };

/** Takes a place among the connections of the user and the address. */
export function admitToHub(limits: ConnectionLimits, userId: string | undefined, address: string): HubAdmission {
  try {
    return { ok: true, release: limits.acquire(userId, address) };
  } catch (error) {
    return { ok: false, status: 429, text: ChatError.from(error).message };
  }
}
