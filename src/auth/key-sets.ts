/**
 * Public keys from a JWKS URL (RFC 7517), kept and renewed.
 *
 * A set is fetched when first needed, again when it is older than `maxAgeMs`, and when a token names a key that is not in
 * it (rotation). Bounds: one fetch at a time, at most one per `cooldownMs` however many unknown keys tokens name, a
 * deadline and a largest answer. While the URL is away the last set goes on counting, up to `maxStaleMs`: an identity
 * provider that restarts must not lock everybody out, and one that stays away must not be trusted for ever.
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { Clock } from '../time/clock.ts';

export interface KeySetOptions {
  readonly url: string;
  readonly clock: Clock;
  /** Least time between two fetches, in milliseconds. Default 30 s. */
  readonly cooldownMs?: number;
  /** Least time between two fetches while they fail, in milliseconds. Default 1 s. */
  readonly retryMs?: number;
  /** Age at which a set is fetched again, in milliseconds. Default 10 min. */
  readonly maxAgeMs?: number;
  /** Age at which a set that cannot be renewed stops counting, in milliseconds. Default 24 h. */
  readonly maxStaleMs?: number;
  /** Deadline of one fetch, in milliseconds of real time. Default 5 s. */
  readonly fetchTimeoutMs?: number;
}

/** The keys cannot be had; not the fault of the token. */
export class KeysUnavailableError extends Error {
  override readonly name = 'KeysUnavailableError';
}

/** Finds the key for a token header. */
export type KeyFinder = JWTVerifyGetKey;

/** Largest JWKS document, in bytes. */
const MAX_DOCUMENT_BYTES = 256 * 1024;

export class RemoteKeySet {
  readonly #options: Required<KeySetOptions>;
  #keys: KeyFinder | undefined;
  #fetchedAtMs = Number.NEGATIVE_INFINITY;
  #triedAtMs = Number.NEGATIVE_INFINITY;
  #pending: Promise<void> | undefined;

  constructor(options: KeySetOptions) {
    this.#options = {
      cooldownMs: 30_000,
      retryMs: 1_000,
      maxAgeMs: 600_000,
      maxStaleMs: 86_400_000,
      fetchTimeoutMs: 5_000,
      ...options,
    };
  }

  /** @throws KeysUnavailableError, or jose's JWKSNoMatchingKey if no key of a fresh set fits the header. */
  readonly find: KeyFinder = async (header, input) => {
    if (this.#ageMs() > this.#options.maxAgeMs) await this.#renew();
    const keys = this.#usable();
    try {
      return await keys(header, input);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      if (!(await this.#renew())) throw error;
      return await this.#usable()(header, input);
    }
  };

  #ageMs(): number {
    return this.#options.clock.monotonicMs() - this.#fetchedAtMs;
  }

  #usable(): KeyFinder {
    if (this.#keys === undefined || this.#ageMs() > this.#options.maxStaleMs) {
      throw new KeysUnavailableError('No key set could be fetched');
    }
    return this.#keys;
  }

  /** Fetches unless it happened just now. @returns whether the set is another one than before. */
  async #renew(): Promise<boolean> {
    const { clock, cooldownMs, retryMs } = this.#options;
    const before = this.#keys;
    if (this.#pending === undefined) {
      const nowMs = clock.monotonicMs();
      const lastFailed = this.#triedAtMs > this.#fetchedAtMs;
      if (nowMs - this.#triedAtMs < (lastFailed ? retryMs : cooldownMs)) return false;
      this.#triedAtMs = nowMs;
      this.#pending = this.#fetch().finally(() => {
        this.#pending = undefined;
      });
    }
    await this.#pending;
    return this.#keys !== before;
  }

  /** Never rejects: a failure leaves the last set in place. */
  async #fetch(): Promise<void> {
    const startedAtMs = this.#options.clock.monotonicMs();
    try {
      const response = await fetch(this.#options.url, {
        headers: { accept: 'application/jwk-set+json, application/json' },
        // The configured host is the one that is trusted, not wherever it may point to.
        redirect: 'error',
        signal: AbortSignal.timeout(this.#options.fetchTimeoutMs),
      });
      if (response.status !== 200) {
        await response.body?.cancel();
        return;
      }
      this.#keys = createLocalJWKSet(JSON.parse(await boundedText(response)) as JSONWebKeySet);
      this.#fetchedAtMs = startedAtMs;
    } catch {
      // Told as keysUnavailable when it matters: when there is no set that still counts.
    }
  }
}

async function boundedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_DOCUMENT_BYTES) throw new KeysUnavailableError('The key set is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
