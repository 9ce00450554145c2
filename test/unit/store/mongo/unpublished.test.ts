/** Messages that were stored and whose events an instance did not publish: who finds them, and when. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { newId } from '../../../../src/core/ids.ts';
import type { AppendOp } from '../../../../src/core/ports.ts';
import { collectionsOf } from '../../../../src/store/mongo/collections.ts';
import { type MongoStore, type MongoStoreOptions, openMongoStore } from '../../../../src/store/mongo/store.ts';
import { FakeClock } from '../../../fixtures/fake-clock.ts';
import { chooseMongoServers, type RunningMongo } from '../../../servers/mongo-servers.ts';

const LEASE_MS = 15_000;

function send(senderId: string, receiverId: string): AppendOp {
  return { type: 'append', id: newId(Date.now()), senderId, receiverId, text: 'x', atMs: Date.now() };
}

for (const choice of await chooseMongoServers()) {
  describe.skipIf(choice.missing !== undefined)(`A message that is not published, on ${choice.kind}`, () => {
    let server: RunningMongo;
    beforeAll(async () => {
      server = await choice.start();
    });
    afterAll(() => server[Symbol.asyncDispose]());

    /** Two instances with leases, the first of which publishes when the test says so. */
    async function twoInstances(onUnpublished: () => Promise<boolean> = async () => true) {
      const clock = new FakeClock();
      const database = `chat-unpublished-${randomUUID().slice(0, 8)}`;
      const publishing = Promise.withResolvers<boolean>();
      const told: (readonly string[])[] = [];
      const open = async (instanceId: string, options: Partial<MongoStoreOptions>): Promise<MongoStore> => {
        const store = await openMongoStore({
          uri: server.uri,
          database,
          clock,
          instanceId,
          onUnpublished: async (conversations) => {
            const isTaken = await onUnpublished();
            if (isTaken) told.push(...conversations.map(({ people }) => people));
            return isTaken;
          },
          ...options,
        });
        await store.presence.renewLease(instanceId, clock.now() + LEASE_MS);
        return store;
      };
      const first = await open('first', { published: () => publishing.promise });
      const second = await open('second', {});
      onTestFinished(async () => {
        publishing.resolve(false);
        await second.client.db(database).dropDatabase();
        await Promise.all([first.close(), second.close()]);
      });
      const { journal } = collectionsOf(second.client.db(database));
      return { clock, first, second, journal, told, published: publishing.resolve };
    }

    test('is told to both its people by a survivor when the lease of its instance has run out, once', async () => {
      const { clock, first, journal, second, told } = await twoInstances();
      await first.messages.write([send('ann', 'bob')]);
      await clock.advance(LEASE_MS - 1);
      await second.presence.renewLease('second', clock.now() + LEASE_MS);
      await second.presence.sweep(clock.now());
      expect(told).toEqual([]);
      await clock.advance(1);
      await second.presence.sweep(clock.now());
      await second.presence.sweep(clock.now());
      expect(told).toEqual([['ann', 'bob']]);
      expect(await journal.countDocuments({})).toBe(0);
    });

    test('is told again until somebody could be told', async () => {
      const refuse = vi
        .fn()
        .mockResolvedValueOnce(false)
        .mockRejectedValueOnce(new Error('away'))
        .mockResolvedValue(true);
      const { clock, first, second, told } = await twoInstances(refuse);
      await first.messages.write([send('ann', 'bob')]);
      await clock.advance(LEASE_MS);
      await second.presence.sweep(clock.now());
      await second.presence.sweep(clock.now());
      expect(told).toEqual([]);
      await second.presence.sweep(clock.now());
      expect(told).toEqual([['ann', 'bob']]);
    });

    test('is left to its instance while that lives and publishes', async () => {
      const { clock, first, journal, published, second, told } = await twoInstances();
      await first.messages.write([send('ann', 'bob')]);
      await clock.advance(10_000);
      await first.presence.sweep(clock.now());
      await second.presence.sweep(clock.now());
      expect(await journal.countDocuments({})).toBe(1);
      published(true);
      await vi.waitFor(async () => expect(await journal.countDocuments({})).toBe(0), 5000);
      await clock.advance(LEASE_MS);
      await second.presence.sweep(clock.now());
      expect(told).toEqual([]);
    });

    test('is told by its own instance if that gave its events up', async () => {
      const { clock, first, published, told } = await twoInstances();
      await first.messages.write([send('ann', 'bob')]);
      published(false);
      await clock.advance(2000);
      await vi.waitFor(async () => {
        await first.presence.sweep(clock.now());
        expect(told).toEqual([['ann', 'bob']]);
      }, 5000);
    });
  });
}
