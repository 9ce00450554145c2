/** How many connections and streams one user, and one address, may hold open at once; shared by all doors. */
import { ChatError } from './errors.ts';

export interface ConnectionLimitsOptions {
  /** Most hub connections and event streams of one user. */
  readonly perUser: number;
  /** Most hub connections and event streams of one client address; 0 = no limit. */
  readonly perAddress: number;
}

export class ConnectionLimits {
  readonly #options: ConnectionLimitsOptions;
  readonly #users = new Map<string, number>();
  readonly #addresses = new Map<string, number>();

  constructor(options: ConnectionLimitsOptions) {
    this.#options = options;
  }

  /**
   * Takes a place for a connection.
   * @returns a function that gives it back; calling it again does nothing.
   * @throws ChatError `resourceExhausted` (TOO_MANY_CONNECTIONS) if the user or the address has none left.
   */
  acquire(userId: string | undefined, address: string): () => void {
    const user = userId ?? '';
    if (user !== '' && (this.#users.get(user) ?? 0) >= this.#options.perUser) {
      throw tooMany('Too many connections of this user, close some first');
    }
    if (this.#options.perAddress > 0 && (this.#addresses.get(address) ?? 0) >= this.#options.perAddress) {
      throw tooMany('Too many connections from this address, close some first');
    }
    add(this.#users, user, 1);
    add(this.#addresses, address, 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      add(this.#users, user, -1);
      add(this.#addresses, address, -1);
    };
  }
}

function tooMany(message: string): ChatError {
  return new ChatError('resourceExhausted', 'TOO_MANY_CONNECTIONS', message, { retryAfterMs: 5000 });
}

function add(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count <= 0) counts.delete(key);
  else counts.set(key, count);
}
