/**
 * How many round trips to the server a write waits for, in exact numbers: commands that run side by side are one. What is
 * done after the answer is counted as well, and apart.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { newId } from '../../../../src/core/ids.ts';
import type { CursorKind } from '../../../../src/core/message.ts';
import type { Advanced, AdvanceOp, AppendOp, WriteOp, WriteOutcome } from '../../../../src/core/ports.ts';
import { collectionsOf } from '../../../../src/store/mongo/collections.ts';
import type { MongoStore } from '../../../../src/store/mongo/store.ts';
import { CommandLog, countsOf, roundTrips } from '../../../servers/mongo-commands.ts';
import { chooseMongoServers, type RunningMongo } from '../../../servers/mongo-servers.ts';
import { temporaryMongoStore } from './opened.ts';

const T0 = Date.UTC(2026, 0, 1);
/** More than any write uses at once. */
const CONNECTIONS = 16;
const SENT = { 'insert places': 1, 'insert journal': 1, 'find rows': 1, 'insert messages': 1, 'update rows': 1 };
const AFTER_SENDING = { 'update rows': 1, 'delete journal': 1 };
const MOVED = { 'insert moves': 1, 'update rows': 1 };

function send(senderId: string, receiverId: string, more: Partial<AppendOp> = {}): AppendOp {
  return { type: 'append', id: newId(T0), senderId, receiverId, text: 'x', atMs: T0, ...more };
}

function move(personId: string, otherId: string, kind: CursorKind, toSeq: number, atMs = T0): AdvanceOp {
  return { type: 'advance', personId, otherId, kind, toSeq, atMs };
}

interface Written {
  readonly trips: number;
  readonly waited: Readonly<Record<string, number>>;
  readonly outcomes: readonly WriteOutcome[];
}

for (const choice of await chooseMongoServers()) {
  describe.skipIf(choice.missing !== undefined)(`Round trips to ${choice.kind}`, () => {
    let server: RunningMongo;
    beforeAll(async () => {
      server = await choice.start();
    });
    afterAll(() => server[Symbol.asyncDispose]());

    /** An instance with connections enough that no command waits for one. */
    async function instance(database?: string) {
      const uri = `${server.uri}${server.uri.includes('?') ? '&' : '?'}minPoolSize=${CONNECTIONS}`;
      const opened = await temporaryMongoStore(uri, {
        monitorCommands: true,
        ...(database !== undefined && { database }),
      });
      onTestFinished(() => opened.close());
      const { store } = opened;
      const log = new CommandLog();
      log.watch(store.client);
      await vi.waitFor(
        async () => {
          log.take();
          const admin = store.client.db('admin');
          await Promise.all(Array.from({ length: CONNECTIONS }, () => admin.command({ ping: 1 })));
          expect(new Set(log.take().map(({ connection }) => connection)).size).toBe(CONNECTIONS);
        },
        { timeout: 20_000 },
      );
      const write = async (...operations: WriteOp[]): Promise<Written> => {
        expect(log.all).toEqual([]);
        const outcomes = await store.messages.write(operations);
        const commands = log.take();
        return { trips: roundTrips(commands), waited: countsOf(commands), outcomes };
      };
      /** Waits for what is done after the answer. */
      const rest = async (expected: Readonly<Record<string, number>>): Promise<void> => {
        await vi.waitFor(() => expect([countsOf(log.all), log.running]).toEqual([expected, 0]), { timeout: 20_000 });
        log.take();
      };
      const prepare = async (...operations: AppendOp[]): Promise<void> => {
        await write(...operations);
        await rest(AFTER_SENDING);
      };
      return { store, database: opened.database, write, rest, prepare };
    }

    describe('sending waits for two', () => {
      test('for the first message of two people, the next, the answer and one with a client id', async () => {
        const { rest, write } = await instance();
        for (const operation of [send('ann', 'bob'), send('ann', 'bob'), send('bob', 'ann')]) {
          expect(await write(operation)).toMatchObject({ trips: 2, waited: SENT });
          await rest(AFTER_SENDING);
        }
        const named = await write(send('ann', 'bob', { clientMessageId: 'c', digest: 'd' }));
        expect(named).toMatchObject({ trips: 2, waited: { ...SENT, 'insert client_ids': 1 } });
        await rest(AFTER_SENDING);
      });

      test('for thirty messages of as many conversations, with no command more', async () => {
        const { rest, write } = await instance();
        const sends = Array.from({ length: 30 }, (_, n) => send(`from-${n}`, `to-${n}`));
        expect(await write(...sends)).toMatchObject({ trips: 2, waited: SENT });
        await rest(AFTER_SENDING);
      });

      test('for several messages of one conversation', async () => {
        const { rest, write } = await instance();
        const sends = Array.from({ length: 10 }, () => send('ann', 'bob'));
        expect(await write(...sends)).toMatchObject({ trips: 2, waited: SENT });
        await rest(AFTER_SENDING);
      });

      test('for many messages of many conversations', async () => {
        const { rest, write } = await instance();
        const sends = Array.from({ length: 60 }, (_, n) => send(`from-${n % 20}`, `to-${n % 20}`));
        const written = await write(...sends);
        expect(written).toMatchObject({ trips: 2, waited: { ...SENT, 'insert messages': 7 } });
        expect(written.outcomes).toMatchObject(sends.map((_, n) => ({ message: { seq: 1 + Math.floor(n / 20) } })));
        await rest(AFTER_SENDING);
      });

      test('for messages that another instance has sent before', async () => {
        const first = await instance();
        const second = await instance(first.database);
        for (const { rest, write } of [first, second, first, second]) {
          expect(await write(send('ann', 'bob'))).toMatchObject({ trips: 2, waited: SENT });
          await rest(AFTER_SENDING);
        }
      });

      test('together with acknowledgements of earlier messages, of the same conversation and of others', async () => {
        const { prepare, rest, write } = await instance();
        await prepare(send('ann', 'bob'), send('cat', 'dan'));
        const written = await write(
          send('bob', 'ann'),
          move('bob', 'ann', 'delivered', 1),
          move('dan', 'cat', 'read', 1),
          send('eve', 'fay'),
        );
        expect(written).toMatchObject({ trips: 2, waited: { ...SENT, 'insert moves': 1 } });
        expect(written.outcomes).toMatchObject([
          { message: { seq: 2 } },
          { current: { delivered: 1 }, passed: [{ seq: 1 }] },
          { current: { read: 1 }, passed: [{ seq: 1 }] },
          { message: { seq: 1 } },
        ]);
        await rest(AFTER_SENDING);
      });
    });

    describe('acknowledging waits for one', () => {
      test('for each kind of move of a person whose row was read here before', async () => {
        const { prepare, rest, store, write } = await instance();
        await prepare(...Array.from({ length: 6 }, () => send('ann', 'bob')));
        await prepare(send('bob', 'ann'));
        expect(await write(move('bob', 'ann', 'delivered', 2, T0 + 1))).toMatchObject({ trips: 1, waited: MOVED });
        expect(await write(move('bob', 'ann', 'read', 4, T0 + 2))).toMatchObject({ trips: 1, waited: MOVED });
        const received = await write(move('bob', 'ann', 'received', 5));
        expect(received).toMatchObject({ trips: 1, waited: { 'update rows': 1 } });
        const last = await write(move('bob', 'ann', 'read', 6, T0 + 3));
        expect(last).toMatchObject({
          trips: 1,
          waited: MOVED,
          outcomes: [{ previous: { received: 5, delivered: 4, read: 4 }, passed: [{ seq: 5 }, { seq: 6 }] }],
        });
        await rest({});
        const views = await store.messages.listMessages('bob', 'ann', { afterSeq: 0, limit: 10 });
        expect(views.map(({ deliveredAtMs = 0, readAtMs = 0 }) => [deliveredAtMs - T0, readAtMs - T0])).toEqual([
          ...[1, 1].map((at) => [at, 2]),
          ...[2, 2].map((at) => [at, 2]),
          ...[3, 3].map((at) => [at, 3]),
          [-T0, -T0],
        ]);
        expect(await store.messages.unreadCounts('bob')).toEqual([]);
      });

      test('right after a send, whose row is confirmed meanwhile', async () => {
        const { prepare, store, write } = await instance();
        await prepare(send('ann', 'bob'));
        await prepare(send('ann', 'bob'));
        const sending = write(send('ann', 'bob'));
        const acknowledging = sending.then(() => store.messages.write([move('bob', 'ann', 'read', 3)]));
        expect((await acknowledging)[0]).toMatchObject({ current: { read: 3 }, passed: [{}, {}, {}] });
        expect((await store.messages.findConversation('bob', 'ann'))?.unreadCount).toBe(0);
      });

      test('for eight people at once; more are read first and wait for two', async () => {
        const { prepare, write } = await instance();
        const people = Array.from({ length: 20 }, (_, n) => `bob-${n}`);
        for (const _ of [1, 2]) await prepare(...people.map((bob) => send('ann', bob)));
        const few = await write(...people.slice(0, 8).map((bob) => move(bob, 'ann', 'read', 1)));
        expect(few).toMatchObject({ trips: 1, waited: { 'insert moves': 1, 'update rows': 8 } });
        const many = await write(...people.map((bob) => move(bob, 'ann', 'read', 2)));
        expect(many).toMatchObject({ trips: 2, waited: { ...MOVED, 'find rows': 1 } });
        expect((many.outcomes as Advanced[]).map(({ passed }) => passed.length)).toEqual(
          people.map((_, n) => (n < 8 ? 1 : 2)),
        );
      });

      test('on another instance than the one that sent, once the person is known there', async () => {
        const first = await instance();
        const second = await instance(first.database);
        for (const seq of [1, 2, 3]) {
          const sent = await first.write(send('ann', 'bob'));
          await first.rest(AFTER_SENDING);
          const [outcome] = sent.outcomes;
          if (outcome?.type === 'appended')
            second.store.messages.noteEvent?.({ type: 'messageSent', message: outcome.message });
          const read = await second.write(move('bob', 'ann', 'read', seq));
          expect(read.outcomes).toMatchObject([{ current: { read: seq }, passed: [{ seq }] }]);
          expect(read.trips).toBe(seq === 1 ? 2 : 1);
        }
      });
    });

    test('acknowledging where another instance has moved the cursor tells what is true and leaves no false time', async () => {
      const first = await instance();
      const second = await instance(first.database);
      await first.prepare(...Array.from({ length: 5 }, () => send('ann', 'bob')));
      await first.prepare(send('bob', 'ann'));
      await second.store.messages.write([move('bob', 'ann', 'delivered', 4, T0 + 1)]);
      const behind = await first.write(move('bob', 'ann', 'delivered', 3, T0 + 2));
      expect(behind.outcomes).toMatchObject([{ previous: { delivered: 4 }, current: { delivered: 4 }, passed: [] }]);
      await second.store.messages.write([move('bob', 'ann', 'read', 4, T0 + 3)]);
      const past = await first.write(move('bob', 'ann', 'delivered', 5, T0 + 4));
      expect(past.outcomes).toMatchObject([
        { previous: { delivered: 4, read: 4 }, current: { delivered: 5, read: 4 }, passed: [{ seq: 5 }] },
      ]);
      const { moves } = collectionsOf(first.store.client.db(first.database));
      const stored = await moves.find({}).sort({ at: 1 }).toArray();
      expect(stored.map(({ at, k, to }) => [k, to, at - T0])).toEqual([
        ['delivered', 4, 1],
        ['read', 4, 3],
        ['delivered', 5, 4],
      ]);
    });

    test('acknowledging keeps a row open for what came from another instance meanwhile', async () => {
      const first = await instance();
      const second = await instance(first.database);
      await first.prepare(send('ann', 'bob'));
      await first.prepare(send('ann', 'bob'));
      await second.store.messages.write([send('ann', 'bob')]);
      expect((await first.write(move('bob', 'ann', 'read', 2))).outcomes).toMatchObject([{ current: { read: 2 } }]);
      expect(await second.store.messages.unreadCounts('bob')).toEqual([{ otherId: 'ann', count: 1 }]);
      const { rows } = collectionsOf(first.store.client.db(first.database));
      expect(await rows.countDocuments({ person: 'bob', open: true })).toBe(1);
    });

    test('acknowledging the end of a conversation goes as far as another instance has written', async () => {
      const first: { store: MongoStore; database: string } = await instance();
      const second = await instance(first.database);
      await first.store.messages.write([send('ann', 'bob')]);
      await first.store.messages.write([send('ann', 'bob')]);
      await second.store.messages.write([send('ann', 'bob')]);
      const [outcome] = await first.store.messages.write([move('bob', 'ann', 'read', Number.MAX_SAFE_INTEGER)]);
      expect(outcome).toMatchObject({ current: { read: 3 }, passed: [{ seq: 1 }, { seq: 2 }, { seq: 3 }] });
    });
  });
}
