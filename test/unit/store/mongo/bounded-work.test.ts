/** What must not grow: the work of a page of conversations with their number, that of a lease with the connections. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { noMetrics } from '../../../../src/core/metrics.ts';
import { Policy } from '../../../../src/core/policy.ts';
import { PresenceTracker } from '../../../../src/core/presence.ts';
import { FakeClock } from '../../../fixtures/fake-clock.ts';
import { partnerOf, type Seed, seedConversations } from '../../../fixtures/seeded-conversations.ts';
import { CommandLog, countsOf, returnedBySum } from '../../../servers/mongo-commands.ts';
import { chooseMongoServers, type RunningMongo } from '../../../servers/mongo-servers.ts';
import { temporaryMongoStore } from './opened.ts';

const PAGE = 50;
const LEASE_MS = 15_000;

for (const choice of await chooseMongoServers()) {
  /** The commands are the driver's, whoever answers them. */
  const scans = choice.kind === 'FerretDB';
  const reason = scans ? ' (it scans for every answer, which takes minutes here)' : '';
  describe.skipIf(choice.missing !== undefined)(`Bounded work on ${choice.kind}${reason}`, () => {
    let server: RunningMongo;
    beforeAll(async () => {
      server = await choice.start();
    });
    afterAll(() => server[Symbol.asyncDispose]());

    async function opened(options: { clock?: FakeClock; onTimeDifference?: () => unknown } = {}) {
      const { close, database, store } = await temporaryMongoStore(server.uri, { monitorCommands: true, ...options });
      onTestFinished(close);
      const log = new CommandLog();
      log.watch(store.client);
      return { store, log, database: store.client.db(database) };
    }

    /** Commands and documents of the first page, and of the second one. */
    async function pagesOf(conversations: number) {
      const { database, log, store } = await opened();
      const seed: Seed = { userId: 'nurse', conversations, messagesEach: 3, fromMs: Date.UTC(2026, 0, 1) };
      await seedConversations(database, seed);
      log.take();
      const page = async (after?: string) => {
        const found = await store.messages.listConversations('nurse', { limit: PAGE, ...(after && { after }) });
        const commands = log.take();
        return { found, cost: { commands: countsOf(commands), documents: returnedBySum(commands) } };
      };
      const first = await page();
      const second = await page(first.found.next);
      for (const [at, { found }] of [first, second].entries()) {
        expect(found.conversations.map(({ otherId, unreadCount }) => [otherId, unreadCount])).toEqual(
          Array.from({ length: PAGE }, (_, n) => [partnerOf(seed, conversations - 1 - at * PAGE - n), 1]),
        );
      }
      return { first: first.cost, second: second.cost };
    }

    test.skipIf(scans)(
      'a page of conversations costs the same commands and documents with 200 and with 10,000 of them',
      async () => {
        const few = await pagesOf(200);
        const many = await pagesOf(10_000);
        expect(many).toEqual(few);
        const commands = { 'find rows': 2, 'find messages': 2, 'find tombstones': 1 };
        // One row more than shown, the rows of both people of each, its newest message, and the message at the cursor.
        const documents = PAGE + 1 + 2 * (PAGE + 1) + (PAGE + 1) + PAGE;
        expect(few).toEqual({ first: { commands, documents }, second: { commands, documents } });
      },
      60_000,
    );

    /** Commands of an instance in three lease periods in which nothing happens. */
    async function periodsOf(connections: number) {
      const clock = new FakeClock();
      let comparisons = 0;
      const { log, store } = await opened({ clock, onTimeDifference: () => (comparisons += 1) });
      const failures: unknown[] = [];
      const presence = new PresenceTracker(
        {
          store: store.presence,
          partners: store.messages,
          broker: { broadcast: async () => undefined, onBroadcast: () => () => undefined },
          policy: new Policy({ record: () => undefined }),
          clock,
          metrics: noMetrics,
          onError: (error) => failures.push(error),
        },
        { instanceId: 'one', audience: 'everyone', graceMs: 5000, leaseMs: LEASE_MS, coalesceMs: 50 },
      );
      /** Both timers, that of the lease and that of the sweep, are set again when their work is done. */
      const rested = () =>
        vi.waitFor(() => expect([clock.pending, log.running]).toEqual([2, 0]), { timeout: 20_000, interval: 1 });
      await presence.start();
      for (let n = 0; n < connections; n += 1) presence.connected(`user-${n}`, `connection-${n}`);
      expect(await presence.find(['user-0'])).toHaveLength(1);
      await clock.advance(100);
      await rested();
      log.take();
      comparisons = 0;
      for (let second = 0; second < (3 * LEASE_MS) / 1000; second += 1) {
        await clock.advance(1000);
        await rested();
      }
      const commands = log.take().filter(({ name }) => !['hello', 'isMaster'].includes(name));
      const compared = comparisons;
      expect(await store.presence.listOnline({ limit: 2 * connections }, clock.now())).toHaveLength(connections);
      await presence.stop();
      expect(failures).toEqual([]);
      return { commands: countsOf(commands), documents: returnedBySum(commands), comparisons: compared };
    }

    test.skipIf(scans)(
      'an instance with 10 and with 1,000 connections writes the same three times per lease period',
      async () => {
        const few = await periodsOf(10);
        const many = await periodsOf(1000);
        expect(many).toEqual(few);
        // Three renewals in each of three periods are all that is written; a sweep every three seconds looks for the dead.
        expect(few).toEqual({
          commands: { 'findAndModify leases': 9, 'find leases': 30, 'find presence': 30 },
          documents: 0,
          comparisons: 9,
        });
      },
      60_000,
    );
  });
}
