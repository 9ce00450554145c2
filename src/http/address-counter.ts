/** Counts open connections by remote address, up to a limit. One IPv6 customer has a whole /64, so that counts as one. */
import { isIPv6 } from 'node:net';

export class AddressCounter {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();

  /** @param limit most connections of one address; 0 = no limit. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Takes a place. @returns false if the address has none left. */
  take(address: string): boolean {
    const network = networkOf(address);
    const count = this.#counts.get(network) ?? 0;
    if (this.#limit > 0 && count >= this.#limit) return false;
    this.#counts.set(network, count + 1);
    return true;
  }

  /** Gives a place back. */
  give(address: string): void {
    const network = networkOf(address);
    const count = this.#counts.get(network) ?? 0;
    if (count <= 1) this.#counts.delete(network);
    else this.#counts.set(network, count - 1);
  }
}

/** The address, or for IPv6 its first 64 bits; an IPv4 address in IPv6 clothes stays whole. */
export function networkOf(address: string): string {
  if (!isIPv6(address) || address.includes('.')) return address;
  const [head = '', tail = ''] = address.split('%', 1)[0]?.split('::') ?? [];
  const first = head === '' ? [] : head.split(':');
  const last = tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - first.length - last.length) }, () => '0');
  const groups = address.includes('::') ? [...first, ...zeros, ...last] : first;
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
