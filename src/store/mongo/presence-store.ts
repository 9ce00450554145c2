/**
 * Presence: one document per user with all their connections, one per instance with its lease. A change is made only to
 * the version of the document that was read, so of all who want to take a user offline one does, and tells it.
 */
import type { Presence } from '../../core/message.ts';
import type { PresenceStore, PresenceWrite } from '../../core/ports.ts';
import { allLimited } from './all-limited.ts';
import type { Collections } from './collections.ts';
import { chunks } from './conversations.ts';
import { guarded, insertAll, TroubleError } from './failure.ts';
import type { PresenceDocument } from './presence-documents.ts';
import { changed, isOnline, type Leases, newcomer, swept, toPresence } from './presence-state.ts';

/** A lease outlives its end this long, so that its instance is not taken for a new one when it comes back. */
const LEASE_KEPT_MS = 7 * 24 * 60 * 60 * 1000;
const USERS_AT_ONCE = 500;
const CHANGES_AT_ONCE = 16;
/** Changes of one user that may come in between before a change is given up. */
const MAX_ATTEMPTS = 50;

export interface PresenceParts {
  readonly collections: Collections;
  /** Tells when leases are renewed. */
  readonly now: () => number;
  /** Called before each renewal of a lease. */
  readonly compareClocks: () => Promise<void>;
  /** Called with each sweep and the instances without a lease: what else they left. */
  readonly recover: (nowMs: number, dead: readonly string[]) => Promise<void>;
}

export function presenceStore(parts: PresenceParts): PresenceStore {
  const presence = new MongoPresence(parts);
  return {
    renewLease: (instanceId, untilMs) => guarded(() => presence.renewLease(instanceId, untilMs)),
    apply: (instanceId, writes, nowMs) => guarded(() => presence.apply(instanceId, writes, nowMs)),
    find: (userIds, nowMs) => guarded(() => presence.find(userIds, nowMs)),
    listOnline: (page, nowMs) => guarded(() => presence.listOnline(page, nowMs)),
    sweep: (nowMs) => guarded(() => presence.sweep(nowMs)),
    previousSignOfLife: (instanceId) => guarded(() => presence.previousSignOfLife(instanceId)),
  };
}

class MongoPresence implements PresenceStore {
  readonly #parts: PresenceParts;

  constructor(parts: PresenceParts) {
    this.#parts = parts;
  }

  /** One write, however many connections the instance has. */
  async renewLease(instanceId: string, untilMs: number): Promise<void> {
    await this.#parts.compareClocks();
    const { leases } = this.#parts.collections;
    const renewedAtMs = this.#parts.now();
    const known = { _id: instanceId, renewedAtMs: { $gt: 0 } };
    const { matchedCount } = await leases.updateOne(known, { $set: { untilMs, renewedAtMs } });
    if (matchedCount === 1) return;
    const [last] = await leases.find().sort({ renewedAtMs: -1 }).limit(1).toArray();
    const previous = last !== undefined && last.renewedAtMs > 0 ? { previousSignMs: last.renewedAtMs } : {};
    await insertAll(leases, [{ _id: instanceId, untilMs: 0, renewedAtMs: 0 }]);
    await leases.updateOne({ _id: instanceId }, { $set: { untilMs, renewedAtMs, ...previous } });
  }

  async apply(
    instanceId: string,
    writes: readonly PresenceWrite[],
    nowMs: number,
  ): Promise<{ readonly wasOffline: boolean }[]> {
    const answers = writes.map(() => ({ wasOffline: false }));
    const byUser = Map.groupBy(writes.entries(), ([, { userId }]) => userId);
    if (byUser.size === 0) return answers;
    await this.#ensureLease(instanceId);
    await this.#change([...byUser.keys()], [instanceId], async (document, leases) => {
      let after = document;
      const offline: [index: number, wasOffline: boolean][] = [];
      for (const [index, write] of byUser.get(document._id) ?? []) {
        offline.push([index, !isOnline(after, leases, nowMs)]);
        after = changed(after, instanceId, write);
      }
      if (after !== document && !(await this.#replace(after))) return false;
      for (const [index, wasOffline] of offline) answers[index] = { wasOffline };
      return true;
    });
    return answers;
  }

  async find(userIds: readonly string[], nowMs: number): Promise<Map<string, Presence>> {
    const found = new Map<string, Presence>();
    for (const ids of chunks([...new Set(userIds)], USERS_AT_ONCE)) {
      const documents = await this.#documents(ids);
      const leases = await this.#leasesOf(documents);
      for (const document of documents) {
        const presence = toPresence(document, leases, nowMs);
        if (document.connections.length > 0 || presence.lastSeenMs !== undefined) found.set(document._id, presence);
      }
    }
    return found;
  }

  async listOnline(page: { readonly after?: string; readonly limit: number }, nowMs: number): Promise<string[]> {
    const online: string[] = [];
    let after = page.after ?? '';
    for (let more = page.limit > 0; more && online.length < page.limit; ) {
      const documents = await this.#parts.collections.presence
        .find({ online: true, _id: { $gt: after } })
        .sort({ online: 1, _id: 1 })
        .limit(USERS_AT_ONCE)
        .toArray();
      const leases = await this.#leasesOf(documents);
      for (const document of documents) if (isOnline(document, leases, nowMs)) online.push(document._id);
      after = documents.at(-1)?._id ?? after;
      more = documents.length === USERS_AT_ONCE;
    }
    return online.slice(0, page.limit);
  }

  async sweep(nowMs: number): Promise<Presence[]> {
    const { recover } = this.#parts;
    const { leases, presence } = this.#parts.collections;
    const dead = (await leases.find({ untilMs: { $lte: nowMs } }).toArray()).map(({ _id }) => _id);
    await recover(nowMs, dead);
    const told: Presence[] = [];
    const sweepAll = async (filter: object): Promise<void> => {
      for (let found = USERS_AT_ONCE; found === USERS_AT_ONCE; ) {
        const users = await presence
          .find(filter, { projection: { _id: 1 } })
          .limit(USERS_AT_ONCE)
          .toArray();
        found = users.length;
        await this.#sweepUsers(
          users.map(({ _id }) => _id),
          nowMs,
          told,
        );
      }
    };
    await sweepAll({ endsAtMs: { $lte: nowMs } });
    for (const instances of chunks(dead, USERS_AT_ONCE)) await sweepAll({ instances: { $in: [...instances] } });
    await this.#forgetLeases(nowMs);
    return told;
  }

  async previousSignOfLife(instanceId: string): Promise<number | undefined> {
    return (await this.#parts.collections.leases.findOne({ _id: instanceId }))?.previousSignMs;
  }

  async #sweepUsers(userIds: readonly string[], nowMs: number, told: Presence[]): Promise<void> {
    await this.#change(userIds, [], async (document, leases) => {
      const after = swept(document, leases, nowMs);
      if (after === document) return true;
      if (!(await this.#replace(after))) return false;
      if (after.connections.length === 0) told.push(toPresence(after, leases, nowMs));
      return true;
    });
  }

  /** Reads the users and changes each; those whose change came too late are read again. */
  async #change(
    userIds: readonly string[],
    instances: readonly string[],
    change: (document: PresenceDocument, leases: Leases) => Promise<boolean>,
  ): Promise<void> {
    let left = userIds;
    for (let attempt = 0; left.length > 0; attempt += 1) {
      if (attempt === MAX_ATTEMPTS) throw new TroubleError('A presence document changed all the time');
      const late: string[] = [];
      for (const ids of chunks(left, USERS_AT_ONCE)) {
        const documents = new Map((await this.#documents(ids)).map((document) => [document._id, document]));
        const leases = await this.#leasesOf(documents.values(), instances);
        await allLimited(ids, CHANGES_AT_ONCE, async (id) => {
          if (!(await change(documents.get(id) ?? newcomer(id), leases))) late.push(id);
        });
      }
      left = late;
    }
  }

  /** Answers false if somebody else has changed the user since. */
  async #replace(document: PresenceDocument): Promise<boolean> {
    const { presence } = this.#parts.collections;
    const { _id, version, ...rest } = document;
    const next = { ...rest, version: version + 1 };
    if (version === 0) return (await insertAll(presence, [{ _id, ...next }])).failed.size === 0;
    return (await presence.replaceOne({ _id, version }, next)).matchedCount === 1;
  }

  #documents(userIds: readonly string[]): Promise<PresenceDocument[]> {
    return this.#parts.collections.presence.find({ _id: { $in: [...userIds] } }).toArray();
  }

  async #leasesOf(documents: Iterable<PresenceDocument>, more: readonly string[] = []): Promise<Leases> {
    const instances = new Set(more);
    for (const document of documents) for (const instance of document.instances) instances.add(instance);
    if (instances.size === 0) return new Map();
    const leases = await this.#parts.collections.leases.find({ _id: { $in: [...instances] } }).toArray();
    return new Map(leases.map(({ _id, untilMs }) => [_id, untilMs]));
  }

  /** So that connections of an instance that never had a lease are found by a sweep. */
  async #ensureLease(instanceId: string): Promise<void> {
    const { leases } = this.#parts.collections;
    const known = await leases.findOne({ _id: instanceId }, { projection: { _id: 1 } });
    if (known === null) await insertAll(leases, [{ _id: instanceId, untilMs: 0, renewedAtMs: 0 }]);
  }

  /** Keeps the newest, which tells the next instance when there was life. */
  async #forgetLeases(nowMs: number): Promise<void> {
    const { leases } = this.#parts.collections;
    const old = await leases.find({ untilMs: { $lt: nowMs - LEASE_KEPT_MS } }).toArray();
    if (old.length === 0) return;
    const [newest] = await leases.find().sort({ renewedAtMs: -1 }).limit(1).toArray();
    const forgotten = old.map(({ _id }) => _id).filter((id) => id !== newest?._id);
    if (forgotten.length > 0)
      await leases.deleteMany({ _id: { $in: forgotten }, untilMs: { $lt: nowMs - LEASE_KEPT_MS } });
  }
}
