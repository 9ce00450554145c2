/** Presence where sweeps fail half-way, answers are lost, instances come back in the midst, and clocks disagree. */
import { randomUUID } from 'node:crypto';
import { MongoNetworkError } from 'mongodb';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { PresenceStore } from '../../../../src/core/ports.ts';
import { collectionsOf } from '../../../../src/store/mongo/collections.ts';
import { type PresenceParts, presenceStore } from '../../../../src/store/mongo/presence-store.ts';
import { chooseMongoServers, type RunningMongo } from '../../../servers/mongo-servers.ts';
import { temporaryMongoStore } from './opened.ts';

const T0 = Date.UTC(2026, 0, 1);
const LEASE_MS = 15_000;

for (const choice of await chooseMongoServers()) {
  describe.skipIf(choice.missing !== undefined)(`Presence on ${choice.kind}`, () => {
    let server: RunningMongo;
    let database: string;
    let close: () => Promise<void>;
    let client: Awaited<ReturnType<typeof temporaryMongoStore>>['store']['client'];
    beforeAll(async () => {
      server = await choice.start();
      const opened = await temporaryMongoStore(server.uri, { database: `chat-presence-${randomUUID().slice(0, 8)}` });
      ({ close, database } = opened);
      client = opened.store.client;
    });
    afterAll(async () => {
      await close();
      await server[Symbol.asyncDispose]();
    });

    /** An instance's view of one database that all of a test share. */
    function instance(parts: Partial<PresenceParts> = {}) {
      const collections = collectionsOf(client.db(database));
      onTestFinished(async () => {
        await collections.presence.deleteMany({});
        await collections.leases.deleteMany({});
      });
      const presence = presenceStore({
        collections,
        compareClocks: async () => 0,
        now: () => T0,
        recover: async () => undefined,
        ...parts,
      });
      return { collections, presence };
    }

    async function connect(presence: PresenceStore, instanceId: string, users: readonly string[]): Promise<void> {
      await presence.renewLease(instanceId, T0 + LEASE_MS);
      const atMs = T0;
      for (let from = 0; from < users.length; from += 100) {
        const some = users.slice(from, from + 100);
        await presence.apply(
          instanceId,
          some.map((userId) => ({ type: 'connected', userId, connectionId: userId, atMs })),
          T0,
        );
      }
    }

    const users = (count: number): string[] => Array.from({ length: count }, (_, n) => `user-${n}`);
    const lost = (): never => {
      throw new MongoNetworkError('connection closed');
    };

    test('a sweep ends although an instance with many users comes back in the midst', { timeout: 60_000 }, async () => {
      const { presence } = instance();
      await connect(presence, 'one', users(500));
      const late = T0 + LEASE_MS;
      const other = instance({
        recover: async () => {
          await presence.renewLease('one', late + LEASE_MS);
        },
      }).presence;
      expect(await other.sweep(late)).toEqual([]);
      expect(await presence.listOnline({ limit: 1000 }, late)).toHaveLength(500);
    });

    test('a sweep that fails half-way has told, when it is repeated, of each who is gone', async () => {
      const { presence } = instance();
      await connect(presence, 'one', users(5));
      const other = instance();
      vi.spyOn(other.collections.presence, 'replaceOne').mockImplementationOnce(lost).mockImplementationOnce(lost);
      const late = T0 + LEASE_MS;
      const told = await other.presence.sweep(late);
      told.push(...(await other.presence.sweep(late)), ...(await other.presence.sweep(late)));
      expect(told.map(({ userId }) => userId).toSorted()).toEqual(users(5));
    });

    test('a sweep whose answer was lost tells of who is gone', async () => {
      const { presence } = instance();
      await connect(presence, 'one', users(1));
      const other = instance();
      const replace = other.collections.presence.replaceOne.bind(other.collections.presence);
      vi.spyOn(other.collections.presence, 'replaceOne').mockImplementationOnce(async (...args) => {
        await replace(...(args as Parameters<typeof replace>));
        return lost();
      });
      const late = T0 + LEASE_MS;
      await expect(other.presence.sweep(late)).rejects.toMatchObject({ code: 'unavailable' });
      expect(await other.presence.sweep(late)).toEqual([{ userId: 'user-0', online: false, lastSeenMs: late }]);
      expect(await other.presence.sweep(late)).toEqual([]);
    });

    test('who was swept and not said to be told is told by the sweep of one other, a while later', async () => {
      const { presence } = instance();
      await connect(presence, 'one', users(3));
      const late = T0 + LEASE_MS;
      const [dying, two, three] = [instance().presence, instance().presence, instance().presence];
      const told = await dying.sweep(late);
      expect(told).toHaveLength(3);
      await dying.confirmTold?.(['user-0']);
      await presence.renewLease('one', late + 2 * LEASE_MS);
      await presence.apply('one', [{ type: 'connected', userId: 'user-1', connectionId: 'new', atMs: late }], late);
      expect(await two.sweep(late + 9999)).toEqual([]);
      const again = await Promise.all([two.sweep(late + 10_000), three.sweep(late + 10_000)]);
      expect(again.flat()).toEqual(told.filter(({ userId }) => userId === 'user-2'));
      await two.confirmTold?.(['user-2']);
      expect(await three.sweep(late + 20_000)).toEqual([]);
    });

    test('a sweep that fails when everybody is swept has told of them', async () => {
      const { presence } = instance();
      await connect(presence, 'one', users(2));
      const late = T0 + 30 * 24 * 3600 * 1000;
      const other = instance({ now: () => late });
      vi.spyOn(other.collections.leases, 'deleteMany').mockImplementationOnce(lost);
      await other.presence.renewLease('two', late + LEASE_MS);
      expect(await other.presence.sweep(late)).toHaveLength(2);
    });

    test('an instance whose lease another one took for over learns it with its next renewal, once', async () => {
      const { presence } = instance();
      const other = instance().presence;
      await connect(presence, 'one', users(1));
      expect(await presence.renewLease('one', T0 + LEASE_MS)).toBe(false);
      // By the clock of the other, which is ahead.
      expect(await other.sweep(T0 + LEASE_MS)).toHaveLength(1);
      expect(await presence.renewLease('one', T0 + 2 * LEASE_MS)).toBe(true);
      expect(await presence.renewLease('one', T0 + 2 * LEASE_MS)).toBe(false);
      await other.sweep(T0 + 2 * LEASE_MS);
      await other.sweep(T0 + 2 * LEASE_MS);
      expect(await presence.renewLease('one', T0 + 3 * LEASE_MS)).toBe(true);
      expect(await presence.renewLease('one', T0 + 3 * LEASE_MS)).toBe(false);
    });

    test('a lease ends by the clock as the renewal has put it right', async () => {
      const { collections, presence } = instance({ compareClocks: async () => -300_000 });
      await presence.renewLease('one', T0 + 300_000 + LEASE_MS);
      expect((await collections.leases.findOne({ _id: 'one' }))?.untilMs).toBe(T0 + LEASE_MS);
      await presence.renewLease('one', T0 + 300_000 + 2 * LEASE_MS);
      expect((await collections.leases.findOne({ _id: 'one' }))?.untilMs).toBe(T0 + 2 * LEASE_MS);
    });
  });
}
