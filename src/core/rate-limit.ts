/** Token buckets by key, bounded in number: the ones that are full again are forgotten first. */
import type { Clock } from '../time/clock.ts';

export interface RateLimitOptions {
  /** Tokens that come back per second. */
  readonly perSecond: number;
  /** Most tokens a key can save up. */
  readonly burst: number;
  /** Most keys kept. Default 100,000. */
  readonly maxKeys?: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

export class RateLimit {
  readonly #clock: Clock;
  readonly #options: RateLimitOptions;
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: Clock, options: RateLimitOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  /** Takes one token of `key`. @returns 0 if there was one, else the milliseconds until there is. */
  take(key: string): number {
    const nowMs = this.#clock.monotonicMs();
    const bucket = this.#buckets.get(key) ?? this.#open(key, nowMs);
    bucket.tokens = Math.min(
      this.#options.burst,
      bucket.tokens + ((nowMs - bucket.atMs) / 1000) * this.#options.perSecond,
    );
    bucket.atMs = nowMs;
    if (bucket.tokens < 1) return Math.ceil(((1 - bucket.tokens) / this.#options.perSecond) * 1000);
    bucket.tokens -= 1;
    return 0;
  }

  #open(key: string, nowMs: number): Bucket {
    if (this.#buckets.size >= (this.#options.maxKeys ?? 100_000)) this.#forgetFull(nowMs);
    const bucket = { tokens: this.#options.burst, atMs: nowMs };
    this.#buckets.set(key, bucket);
    return bucket;
  }

  #forgetFull(nowMs: number): void {
    const refillMs = (this.#options.burst / this.#options.perSecond) * 1000;
    for (const [key, bucket] of this.#buckets) {
      if (nowMs - bucket.atMs >= refillMs) this.#buckets.delete(key);
    }
    const oldest = this.#buckets.keys().next();
    if (this.#buckets.size >= (this.#options.maxKeys ?? 100_000) && !oldest.done) this.#buckets.delete(oldest.value);
  }
}
