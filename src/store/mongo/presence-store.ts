/**
 * Presence: one document per user with all their connections, one per instance with its lease. A change is made only to
 * the version of the document that was read, so of all who want to take a user offline one does, and tells it.
 */
import type { Presence } from '../../core/message.ts';
import type { PresenceStore, PresenceWrite } from '../../core/ports.ts';
import { allLimited } from './all-limited.ts';
import type { Collections } from './collections.ts';
import { chunks } from './conversations.ts';
import { guarded, insertMissing, TroubleError, updateAll } from './failure.ts';
import type { LeaseDocument, PresenceDocument } from './presence-documents.ts';
import { changed, isOnline, type Leases, newcomer, swept, toPresence } from './presence-state.ts';

/** A lease outlives its end this long, so that its instance is not taken for a new one when it comes back. */
const LEASE_KEPT_MS = 7 * 24 * 60 * 60 * 1000;
const USERS_AT_ONCE = 500;
const CHANGES_AT_ONCE = 16;
/** Who goes offline is told of within this time, or else by another instance, in milliseconds. */
const TOLD_WITHIN_MS = 10_000;
/** Changes of one user that may come in between before a change is given up. */
const MAX_ATTEMPTS = 50;

export interface PresenceParts {
  readonly collections: Collections;
  /** Tells when leases are renewed. */
  readonly now: () => number;
  /** Called before each renewal of a lease; answers by how many milliseconds it has moved what `now` says. */
  readonly compareClocks: () => Promise<number>;
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
    confirmTold: (userIds) => guarded(() => presence.confirmTold(userIds)),
    previousSignOfLife: (instanceId) => guarded(() => presence.previousSignOfLife(instanceId)),
  };
}

class MongoPresence implements PresenceStore {
  readonly #parts: PresenceParts;
  /** By instance: which end of its lease it last learned that others had found passed. */
  readonly #lapses = new Map<string, number | undefined>();
  /** Users who have gone offline here and whom no sweep has answered yet: one that fails leaves them to the next. */
  readonly #gone = new Map<string, Presence>();
  /** Users whose last connection was taken away by a write that was not answered: maybe it is gone, and nobody tells it. */
  readonly #unsure = new Set<string>();

  constructor(parts: PresenceParts) {
    this.#parts = parts;
  }

  /** One write, however many connections the instance has. */
  async renewLease(instanceId: string, endMs: number): Promise<boolean> {
    // The end was reckoned by the clock as it was before.
    const untilMs = endMs + (await this.#parts.compareClocks());
    const { leases } = this.#parts.collections;
    const renewedAtMs = this.#parts.now();
    const known = { _id: instanceId, renewedAtMs: { $gt: 0 } };
    const before = await leases.findOneAndUpdate(known, { $set: { untilMs, renewedAtMs } });
    if (before !== null) {
      const isLost = before.lapsedMs !== this.#lapses.get(instanceId);
      this.#lapses.set(instanceId, before.lapsedMs);
      return isLost;
    }
    const [last] = await leases.find().sort({ renewedAtMs: -1 }).limit(1).toArray();
    const previous = last !== undefined && last.renewedAtMs > 0 ? { previousSignMs: last.renewedAtMs } : {};
    await insertMissing(leases, [{ _id: instanceId, untilMs: 0, renewedAtMs: 0 }]);
    const first = { $set: { untilMs, renewedAtMs, ...previous }, $unset: { lapsedMs: '' } } as const;
    await leases.updateOne({ _id: instanceId }, first);
    this.#lapses.delete(instanceId);
    return false;
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
    try {
      await this.#sweepAll(nowMs);
    } catch (error) {
      // Those who are gone have to be told of; what failed is tried again with the next sweep.
      if (this.#gone.size === 0) throw error;
    }
    const gone = [...this.#gone.values()];
    this.#gone.clear();
    return gone;
  }

  async confirmTold(userIds: readonly string[]): Promise<void> {
    for (const ids of chunks(userIds, USERS_AT_ONCE)) {
      const told = { _id: { $in: [...ids] }, untoldMs: { $exists: true } };
      await this.#parts.collections.presence.updateMany(told, { $unset: { untoldMs: '' } });
    }
  }

  async previousSignOfLife(instanceId: string): Promise<number | undefined> {
    return (await this.#parts.collections.leases.findOne({ _id: instanceId }))?.previousSignMs;
  }

  async #sweepAll(nowMs: number): Promise<void> {
    const { recover } = this.#parts;
    const lapsed = await this.#parts.collections.leases.find({ untilMs: { $lte: nowMs } }).toArray();
    const dead = lapsed.map(({ _id }) => _id);
    await recover(nowMs, dead);
    await this.#tellLapsed(lapsed);
    await this.#sweepUsers([...this.#unsure], nowMs);
    while ((await this.#sweepSome({ endsAtMs: { $lte: nowMs } }, nowMs)) === USERS_AT_ONCE);
    for (const chunk of chunks(dead, USERS_AT_ONCE)) await this.#sweepInstances(chunk, nowMs);
    await this.#findUntold(nowMs);
    await this.#forgetLeases(nowMs);
  }

  /** Those whom an instance took offline that died before it told. One instance takes it over. */
  async #findUntold(nowMs: number): Promise<void> {
    const sinceMs = nowMs - TOLD_WITHIN_MS;
    for (let found = USERS_AT_ONCE; found === USERS_AT_ONCE; ) {
      const users = await this.#parts.collections.presence
        .find({ untoldMs: { $lte: sinceMs } }, { projection: { _id: 1 } })
        .limit(USERS_AT_ONCE)
        .toArray();
      found = users.length;
      const ids = users.map(({ _id }) => _id);
      await this.#change(ids, [], async (document, leases) => {
        if (document.untoldMs === undefined || document.untoldMs > sinceMs) return true;
        if (!(await this.#replace({ ...document, untoldMs: nowMs }))) return false;
        this.#gone.set(document._id, toPresence(document, leases, nowMs));
        return true;
      });
    }
  }

  /** So that an instance that comes back learns that its connections may be gone, also where its own clock says otherwise. */
  async #tellLapsed(lapsed: readonly LeaseDocument[]): Promise<void> {
    const updates = lapsed
      .filter(({ lapsedMs, untilMs }) => lapsedMs !== untilMs)
      .map(({ _id, untilMs }) => ({
        updateOne: { filter: { _id, untilMs }, update: { $set: { lapsedMs: untilMs } } },
      }));
    await updateAll(this.#parts.collections.leases, updates);
  }

  async #sweepInstances(dead: readonly string[], nowMs: number): Promise<void> {
    let instances = dead;
    while ((await this.#sweepSome({ instances: { $in: [...instances] } }, nowMs)) === USERS_AT_ONCE) {
      // One that came back meanwhile keeps its users: asking for them again would never end.
      const still = { _id: { $in: [...instances] }, untilMs: { $lte: nowMs } };
      instances = (await this.#parts.collections.leases.find(still).toArray()).map(({ _id }) => _id);
    }
  }

  /** Answers how many were found. */
  async #sweepSome(filter: object, nowMs: number): Promise<number> {
    const users = await this.#parts.collections.presence
      .find(filter, { projection: { _id: 1 } })
      .limit(USERS_AT_ONCE)
      .toArray();
    await this.#sweepUsers(
      users.map(({ _id }) => _id),
      nowMs,
    );
    return users.length;
  }

  async #sweepUsers(userIds: readonly string[], nowMs: number): Promise<void> {
    await this.#change(userIds, [], async (document, leases) => {
      const { _id } = document;
      const after = swept(document, leases, nowMs);
      const wasUnsure = this.#unsure.delete(_id);
      if (after === document) {
        if (wasUnsure && after.connections.length === 0) this.#gone.set(_id, toPresence(after, leases, nowMs));
        return true;
      }
      const isLast = after.connections.length === 0;
      let isDone: boolean | undefined;
      try {
        isDone = await this.#replace(isLast ? { ...after, untoldMs: nowMs } : after);
      } finally {
        // Without an answer, or where an earlier write without one may have been what came first.
        if (isLast && (isDone === undefined || (wasUnsure && !isDone))) this.#unsure.add(_id);
      }
      if (isDone && isLast) this.#gone.set(_id, toPresence(after, leases, nowMs));
      return isDone;
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
    if (version === 0) return (await insertMissing(presence, [{ _id, ...next }])) === 1;
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
    if (known === null) await insertMissing(leases, [{ _id: instanceId, untilMs: 0, renewedAtMs: 0 }]);
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
