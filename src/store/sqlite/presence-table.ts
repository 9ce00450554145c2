/**
 * Connections owned by instances, the instances' leases, and when people were last seen. A row counts while its
 * instance's lease runs and, if the connection ended, its linger time lasts; everything else follows from the rows.
 */
import type { Presence } from '../../core/message.ts';
import type { PresenceWrite } from '../../core/ports.ts';
import type { Database } from './database.ts';

/** A lease row outlives its lease this long, so that its instance is not taken for a new one when it comes back. */
const LEASE_KEPT_MS = 7 * 24 * 60 * 60 * 1000;

/** What makes the row `c` with its lease `l` count; takes the time twice. */
const COUNTS = 'l.until_ms > ? AND (c.linger_until_ms IS NULL OR c.linger_until_ms > ?)';

/** For the writer. Runs inside the transaction that its caller opened. */
export class PresenceWriter {
  readonly #sql: ReturnType<typeof prepareWrites>;

  constructor(database: Database) {
    this.#sql = prepareWrites(database);
  }

  renewLease(instanceId: string, untilMs: number, nowMs: number): void {
    if (this.#sql.renewLease.run(untilMs, nowMs, instanceId) === 1) return;
    const previous = this.#sql.lastSign.get()?.[0] ?? null;
    this.#sql.insertLease.run(instanceId, untilMs, nowMs, previous);
  }

  apply(instanceId: string, writes: readonly PresenceWrite[], nowMs: number): { wasOffline: boolean }[] {
    const instance = this.#instance(instanceId);
    return writes.map((write) => {
      const { userId, connectionId, atMs } = write;
      const wasOffline = this.#sql.isOnline.get(userId, nowMs, nowMs) === undefined;
      if (write.type === 'connected') {
        this.#sql.connect.run(userId, instance, connectionId, atMs);
      } else {
        this.#sql.disconnect.run(write.lingerUntilMs, userId, instance, connectionId);
        this.#sql.see.run(userId, atMs);
      }
      return { wasOffline };
    });
  }

  sweep(nowMs: number): Presence[] {
    const gone = new Map<string, number>();
    for (const [userId, instance, connectionId, lapsedAtMs] of this.#sql.dead.all(nowMs, nowMs)) {
      this.#sql.remove.run(userId, instance, connectionId);
      gone.set(userId, Math.max(gone.get(userId) ?? 0, lapsedAtMs ?? 0));
    }
    const offline: Presence[] = [];
    for (const [userId, lapsedAtMs] of gone) {
      if (lapsedAtMs > 0) this.#sql.see.run(userId, lapsedAtMs);
      if (this.#sql.hasRows.get(userId) !== undefined) continue;
      const lastSeenMs = this.#sql.lastSeen.get(userId)?.[0];
      offline.push({ userId, online: false, ...(lastSeenMs !== undefined && { lastSeenMs }) });
    }
    this.#sql.forgetLeases.run(nowMs - LEASE_KEPT_MS);
    return offline;
  }

  #instance(instanceId: string): number {
    const known = this.#sql.instance.get(instanceId);
    if (known !== undefined) return known[0];
    this.#sql.insertInstance.run(instanceId);
    return this.#sql.instance.get(instanceId)?.[0] ?? 0;
  }
}

/** For the reader. */
export class PresenceReader {
  readonly #sql: ReturnType<typeof prepareReads>;

  constructor(database: Database) {
    this.#sql = prepareReads(database);
  }

  /** Users of whom anything is known. */
  find(userIds: readonly string[], nowMs: number): Presence[] {
    const found: Presence[] = [];
    for (const userId of new Set(userIds)) {
      const rows = this.#sql.rows.all(userId);
      const online = rows.some(([, until, linger]) => until > nowMs && (linger === null || linger > nowMs));
      let lastSeenMs = this.#sql.lastSeen.get(userId)?.[0];
      for (const [atMs, until, linger] of rows) {
        // Not swept yet: the instance died, and with its lease its connections.
        if (until <= nowMs && linger === null) lastSeenMs = Math.max(lastSeenMs ?? 0, until, atMs);
      }
      if (rows.length === 0 && lastSeenMs === undefined) continue;
      found.push({ userId, online, ...(lastSeenMs !== undefined && { lastSeenMs }) });
    }
    return found;
  }

  listOnline(page: { readonly after?: string; readonly limit: number }, nowMs: number): string[] {
    return this.#sql.online.all(page.after ?? '', nowMs, nowMs, page.limit).map(([userId]) => userId);
  }

  previousSignOfLife(instanceId: string): number | undefined {
    return this.#sql.previousSign.get(instanceId)?.[0] ?? undefined;
  }
}

function prepareWrites(database: Database) {
  return {
    renewLease: database.prepare(
      `UPDATE lease SET until_ms = ?, renewed_at_ms = ? WHERE instance_id = ? AND renewed_at_ms IS NOT NULL`,
    ),
    insertLease: database.prepare(
      `INSERT INTO lease (instance_id, until_ms, renewed_at_ms, previous_sign_ms) VALUES (?, ?, ?, ?)
       ON CONFLICT (instance_id) DO UPDATE SET
         until_ms = excluded.until_ms,
         renewed_at_ms = excluded.renewed_at_ms,
         previous_sign_ms = excluded.previous_sign_ms`,
    ),
    lastSign: database.prepare<readonly [number | null]>('SELECT max(renewed_at_ms) FROM lease'),
    instance: database.prepare<readonly [number]>('SELECT key FROM lease WHERE instance_id = ?'),
    insertInstance: database.prepare('INSERT INTO lease (instance_id, until_ms) VALUES (?, 0)'),
    isOnline: database.prepare<readonly [number]>(
      `SELECT 1 FROM connection c JOIN lease l ON l.key = c.instance WHERE c.user_id = ? AND ${COUNTS} LIMIT 1`,
    ),
    connect: database.prepare(
      `INSERT INTO connection (user_id, instance, connection_id, at_ms) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET linger_until_ms = NULL`,
    ),
    disconnect: database.prepare(
      'UPDATE connection SET linger_until_ms = ? WHERE user_id = ? AND instance = ? AND connection_id = ?',
    ),
    see: database.prepare(
      `INSERT INTO last_seen (user_id, at_ms) VALUES (?, ?)
       ON CONFLICT (user_id) DO UPDATE SET at_ms = max(at_ms, excluded.at_ms)`,
    ),
    // Two searches by index: ended connections whose linger time has passed, and those of instances that are gone.
    dead: database.prepare<
      readonly [userId: string, instance: number, connectionId: string, lapsedAtMs: number | null]
    >(
      `SELECT c.user_id, c.instance, c.connection_id, NULL FROM connection c
       WHERE c.linger_until_ms IS NOT NULL AND c.linger_until_ms <= ?
       UNION ALL
       SELECT c.user_id, c.instance, c.connection_id, iif(c.linger_until_ms IS NULL, max(l.until_ms, c.at_ms), NULL)
       FROM lease l CROSS JOIN connection c ON c.instance = l.key WHERE l.until_ms <= ?`,
    ),
    remove: database.prepare('DELETE FROM connection WHERE user_id = ? AND instance = ? AND connection_id = ?'),
    hasRows: database.prepare<readonly [number]>('SELECT 1 FROM connection WHERE user_id = ? LIMIT 1'),
    lastSeen: database.prepare<readonly [number]>('SELECT at_ms FROM last_seen WHERE user_id = ?'),
    forgetLeases: database.prepare(
      `DELETE FROM lease WHERE until_ms < ? AND renewed_at_ms < (SELECT max(renewed_at_ms) FROM lease)
         AND NOT EXISTS (SELECT 1 FROM connection c WHERE c.instance = lease.key)`,
    ),
  };
}

function prepareReads(database: Database) {
  return {
    rows: database.prepare<readonly [atMs: number, leaseUntilMs: number, lingerUntilMs: number | null]>(
      `SELECT c.at_ms, l.until_ms, c.linger_until_ms
       FROM connection c JOIN lease l ON l.key = c.instance WHERE c.user_id = ?`,
    ),
    lastSeen: database.prepare<readonly [number]>('SELECT at_ms FROM last_seen WHERE user_id = ?'),
    online: database.prepare<readonly [string]>(
      `SELECT DISTINCT c.user_id FROM connection c JOIN lease l ON l.key = c.instance
       WHERE c.user_id > ? AND ${COUNTS} ORDER BY c.user_id LIMIT ?`,
    ),
    previousSign: database.prepare<readonly [number | null]>(
      'SELECT previous_sign_ms FROM lease WHERE instance_id = ?',
    ),
  };
}
