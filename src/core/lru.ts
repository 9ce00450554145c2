/** A map bounded in entries that forgets what was used longest ago, a few at a time. */
export class Lru<K, V> {
  readonly #maxEntries: number;
  readonly #map = new Map<K, V>();

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  get size(): number {
    return this.#map.size;
  }

  get(key: K): V | undefined {
    const value = this.#map.get(key);
    if (value !== undefined) {
      this.#map.delete(key);
      this.#map.set(key, value);
    }
    return value;
  }

  set(key: K, value: V): void {
    this.#map.delete(key);
    this.#map.set(key, value);
    if (this.#map.size > this.#maxEntries) this.#forgetOldest();
  }

  /** Forgets a sixteenth at once: finding the head of a map that was much deleted from is dear, going on from it is not. */
  #forgetOldest(): void {
    const keep = this.#maxEntries - Math.floor(this.#maxEntries / 16);
    for (const key of this.#map.keys()) {
      if (this.#map.size <= keep) return;
      this.#map.delete(key);
    }
  }

  delete(key: K): void {
    this.#map.delete(key);
  }
}
