/** Counts open connections by remote address, up to a limit. */
export class AddressCounter {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();

  /** @param limit most connections of one address; 0 = no limit. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Takes a place. @returns false if the address has none left. */
  take(address: string): boolean {
    const count = this.#counts.get(address) ?? 0;
    if (this.#limit > 0 && count >= this.#limit) return false;
    this.#counts.set(address, count + 1);
    return true;
  }

  /** Gives a place back. */
  give(address: string): void {
    const count = this.#counts.get(address) ?? 0;
    if (count <= 1) this.#counts.delete(address);
    else this.#counts.set(address, count - 1);
  }
}
