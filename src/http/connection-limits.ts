/**
 * Counts open connections by key (a user, an address) and refuses those beyond a bound. The map holds only keys with at
 * least one connection, so it is as bounded as the connections are.
 */
export class ConnectionLimits {
  readonly #max: number;
  readonly #counts = new Map<string, number>();

  /** @param max Most connections of one key. */
  constructor(max: number) {
    this.#max = max;
  }

  /**
   * Counts one more connection of `key`.
   * @returns what to call when it ends (once; more calls do nothing), or undefined if the key has its fill.
   */
  tryAcquire(key: string): (() => void) | undefined {
    const count = this.#counts.get(key) ?? 0;
    if (count >= this.#max) return undefined;
    this.#counts.set(key, count + 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#release(key);
    };
  }

  /** Open connections of `key`. */
  countOf(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  /** Keys with open connections. */
  get keys(): number {
    return this.#counts.size;
  }

  #release(key: string): void {
    const count = this.#counts.get(key) ?? 0;
    if (count <= 1) this.#counts.delete(key);
    else this.#counts.set(key, count - 1);
  }
}
