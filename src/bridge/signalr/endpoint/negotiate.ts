/**
 * Negotiation (TransportProtocols.md, "POST [endpoint-base]/negotiate"): hands out connection ids and says which transports
 * there are. A negotiated id waits for its connection for a short time, in a registry bounded in number.
 *
 * From version 1 on there are two ids: `connectionId` is public, `connectionToken` opens the connection.
 */
import { randomBytes } from 'node:crypto';

/** The transports in the order in which they are offered. */
const TRANSPORTS = [{ transport: 'WebSockets', transferFormats: ['Text', 'Binary'] }];
const WHOLE = /^[+-]?[0-9]{1,10}$/;

/** A negotiated connection. */
export interface Negotiation {
  readonly connectionId: string;
  readonly connectionToken: string;
  readonly userId: string | undefined;
  readonly sinceMs: number;
  /** Whether a transport has taken it. */
  isUsed: boolean;
}

/** An id that cannot be guessed: 16 random bytes as 22 characters of base64url, as the reference's. */
export function newConnectionId(): string {
  return randomBytes(16).toString('base64url');
}

/** The negotiated connections of a server, by token. */
export class Negotiations {
  readonly #byToken = new Map<string, Negotiation>();
  readonly #maximumUnused: number;
  #unused = 0;

  constructor(maximumUnused: number) {
    this.#maximumUnused = maximumUnused;
  }

  get size(): number {
    return this.#byToken.size;
  }

  get isFull(): boolean {
    return this.#unused >= this.#maximumUnused;
  }

  /** A new entry. Version 0 has one id for both purposes. */
  add(version: 0 | 1, userId: string | undefined, nowMs: number): Negotiation {
    const connectionId = newConnectionId();
    const connectionToken = version === 0 ? connectionId : newConnectionId();
    const entry: Negotiation = { connectionId, connectionToken, userId, sinceMs: nowMs, isUsed: false };
    this.#byToken.set(connectionToken, entry);
    this.#unused += 1;
    return entry;
  }

  find(token: string): Negotiation | undefined {
    return this.#byToken.get(token);
  }

  /** A transport takes the connection. */
  use(entry: Negotiation): void {
    entry.isUsed = true;
    this.#unused -= 1;
  }

  /** Forgets the connection; its id is unknown from now on. */
  remove(token: string): void {
    const entry = this.#byToken.get(token);
    if (entry === undefined) return;
    this.#byToken.delete(token);
    if (!entry.isUsed) this.#unused -= 1;
  }

  /** Forgets what nobody came for. */
  sweep(nowMs: number, timeoutMs: number): void {
    if (this.#unused === 0) return;
    for (const entry of this.#byToken.values()) {
      if (!entry.isUsed && nowMs - entry.sinceMs >= timeoutMs) this.remove(entry.connectionToken);
    }
  }
}

/** The version a client asks for, or the error it gets (with status 200, as all negotiation errors). */
export function negotiateVersion(asked: string | undefined): 0 | 1 | { readonly error: string } {
  if (asked === undefined || asked === '') return 0;
  const version = WHOLE.test(asked) ? Number(asked) : Number.NaN;
  if (Number.isNaN(version) || version !== (version | 0)) {
    return { error: 'The client requested a non-integer protocol version.' };
  }
  if (version < 0) {
    return { error: `The client requested version '${version}', but the server does not support this version.` };
  }
  return version === 0 ? 0 : 1;
}

/** The body of the answer. */
export function negotiateAnswer(version: 0 | 1, { connectionId, connectionToken }: Negotiation): string {
  const ids = version === 0 ? { connectionId } : { connectionId, connectionToken };
  return JSON.stringify({ negotiateVersion: version, ...ids, availableTransports: TRANSPORTS });
}
