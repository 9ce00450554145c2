/**
 * A bounded map that forgets what was not used lately: it keeps at least the `maxEntries` used last, and at most twice as
 * many. Two generations; when the young one is full it becomes the old one, whatever is used again comes back. So neither
 * use nor eviction moves entries about, which is dear in a Map that is much deleted from.
 */
export class Lru<K, V> {
  readonly #maxEntries: number;
  #young = new Map<K, V>();
  #old = new Map<K, V>();

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  /** Entries kept; one that came back from the old generation counts twice. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: K): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: K, value: V): void {
    this.#young.set(key, value);
    if (this.#young.size < this.#maxEntries) return;
    this.#old = this.#young;
    this.#young = new Map();
  }

  delete(key: K): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }
}
