/** The documents of presence: one per user with all their connections, one per instance with its lease. */

export interface ConnectionEntry {
  /** Instance that owns it. */
  readonly i: string;
  /** The connection's id, unique within its instance. */
  readonly c: string;
  readonly at: number;
  /** Set if it has ended: until when it still counts. */
  readonly linger?: number;
}

export interface PresenceDocument {
  /** The user's id. */
  readonly _id: string;
  /** Counts the changes: a change is made only to the version that was read. */
  readonly version: number;
  readonly connections: readonly ConnectionEntry[];
  /** The instances of `connections`, each once. */
  readonly instances: readonly string[];
  /** True if there are connections; whether any counts is decided by the leases. */
  readonly online: boolean;
  /** When the first ended connection counts no longer; absent if none has ended. */
  readonly endsAtMs?: number;
  /** When a sweep has taken the user offline; absent as soon as everybody has been told so. */
  readonly untoldMs?: number;
  readonly lastSeenMs?: number;
}

export interface LeaseDocument {
  /** The instance's id. */
  readonly _id: string;
  readonly untilMs: number;
  readonly renewedAtMs: number;
  /** The last `untilMs` that another instance has found passed, whereupon it took the connections for gone. */
  readonly lapsedMs?: number;
  /** When any instance gave a sign of life before this one first did. */
  readonly previousSignMs?: number;
}
