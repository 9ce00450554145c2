/**
 * A bounded cache in two generations: cheaper per access than an exact LRU, because a hit in the young generation moves
 * nothing. Entries leave only in `trim`, so what was handed out stays the one copy until then.
 */
export class GenerationCache<K, V> {
  readonly #maxEntries: number;
  #young = new Map<K, V>();
  #old = new Map<K, V>();

  /** @param maxEntries about how many entries stay after a `trim`. */
  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  get(key: K): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.#young.set(key, old);
    return old;
  }

  set(key: K, value: V): void {
    this.#young.set(key, value);
  }

  /** Forgets what was not used since the generation before last, if there is too much. */
  trim(): void {
    if (this.#young.size <= this.#maxEntries / 2) return;
    this.#old = this.#young;
    this.#young = new Map();
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }
}
