/** Messages that were stored and whose events an instance did not publish: who finds them, and when. */
import { randomUUID } from 'node:crypto';
import { Collection, MongoNetworkError } from 'mongodb';
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
      const deleted: string[] = [];
      const open = async (instanceId: string, options: Partial<MongoStoreOptions>): Promise<MongoStore> => {
        const store = await openMongoStore({
          uri: server.uri,
          database,
          clock,
          instanceId,
          onUnpublished: async (conversations) => {
            const isTaken = await onUnpublished();
            if (isTaken) told.push(...conversations.map(({ people }) => people));
            if (isTaken) deleted.push(...conversations.flatMap((conversation) => conversation.deleted));
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
      return { clock, first, second, journal, told, deleted, published: publishing.resolve };
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

    test('keeps no sweep waiting while it cannot be published, and is told when it can', async () => {
      const away = Promise.withResolvers<boolean>();
      const { clock, first, second, told } = await twoInstances(() => away.promise);
      await first.messages.write([send('ann', 'bob')]);
      await clock.advance(LEASE_MS);
      await second.presence.sweep(clock.now());
      await second.presence.sweep(clock.now());
      expect(told).toEqual([]);
      away.resolve(true);
      await vi.waitFor(() => expect(told).toEqual([['ann', 'bob']]), 5000);
    });

    test('leaves no entry behind if its ids could not be claimed', async () => {
      const { clock, first, journal } = await twoInstances();
      const refused = vi
        .spyOn(Collection.prototype, 'insertMany')
        .mockRejectedValueOnce(new MongoNetworkError('connection closed'));
      onTestFinished(() => refused.mockRestore());
      await expect(first.messages.write([send('ann', 'bob')])).rejects.toMatchObject({ code: 'unavailable' });
      await vi.waitFor(async () => {
        await first.presence.sweep(clock.now());
        expect(await journal.countDocuments({})).toBe(0);
      }, 5000);
    });

    describe('being a deletion,', () => {
      async function deletedHalfWay(lost: 'update' | 'answer') {
        const instances = await twoInstances();
        const { first, published } = instances;
        published(true);
        const sent = send('ann', 'bob');
        await first.messages.write([sent]);
        const update = Collection.prototype.findOneAndUpdate;
        const lose = vi.spyOn(Collection.prototype, 'findOneAndUpdate').mockImplementationOnce(async function (
          this: Collection,
          ...args: unknown[]
        ) {
          if (lost === 'answer') await update.apply(this, args as Parameters<typeof update>);
          throw new MongoNetworkError('connection closed');
        } as never);
        onTestFinished(() => lose.mockRestore());
        const deletion = { type: 'delete', messageId: sent.id, atMs: Date.now() } as const;
        await expect(first.messages.write([deletion])).rejects.toMatchObject({ code: 'unavailable' });
        lose.mockRestore();
        return { ...instances, id: sent.id };
      }

      test('whose answer was lost is told', async () => {
        const { clock, deleted, first, id } = await deletedHalfWay('answer');
        await vi.waitFor(async () => {
          await first.presence.sweep(clock.now());
          expect(deleted).toEqual([id]);
        }, 5000);
        expect(await first.messages.findMessage(id)).toMatchObject({ text: '', seq: 1 });
      });

      test('which ended half-way is finished, so that what counts as deleted is', async () => {
        const { clock, deleted, first, id, second } = await deletedHalfWay('update');
        await first.close();
        await clock.advance(LEASE_MS);
        await second.presence.sweep(clock.now());
        expect(deleted).toEqual([id]);
        expect(await second.messages.findMessage(id)).toMatchObject({ text: '', deletedAtMs: expect.any(Number) });
        expect(await second.messages.unreadCounts('bob')).toEqual([]);
        expect(await second.messages.listPending('bob', { above: 'received', limit: 10 })).toEqual([]);
      });
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
