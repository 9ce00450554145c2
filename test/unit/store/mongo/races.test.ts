/** Several instances on one database, and instances that die between two writes. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '../../../../src/core/ids.ts';
import type { Appended, AppendOp, PresenceWrite } from '../../../../src/core/ports.ts';
import { collectionsOf } from '../../../../src/store/mongo/collections.ts';
import { conversationKey, pairKey, sideOf } from '../../../../src/store/mongo/keys.ts';
import { type MongoStore, openMongoStore } from '../../../../src/store/mongo/store.ts';
import { FakeClock } from '../../../fixtures/fake-clock.ts';
import { chooseMongoServers, type RunningMongo } from '../../../servers/mongo-servers.ts';

const T0 = Date.UTC(2026, 0, 1);
const INSTANCES = 3;

let people = 0;
const person = (label: string): string => `${label}-${++people}`;

function send(senderId: string, receiverId: string, text: string, more: Partial<AppendOp> = {}): AppendOp {
  return { type: 'append', id: newId(Date.now()), senderId, receiverId, text, atMs: T0, ...more };
}

for (const choice of await chooseMongoServers()) {
  describe.skipIf(choice.missing !== undefined)(`Several instances on ${choice.kind}`, () => {
    const database = `chat-races-${newId(Date.now()).slice(-8)}`;
    const clock = new FakeClock();
    let server: RunningMongo;
    let stores: MongoStore[];
    const store = (index: number): MongoStore => stores[index] as MongoStore;

    beforeAll(async () => {
      server = await choice.start();
      // All at once, on an empty database.
      stores = await Promise.all(
        Array.from({ length: INSTANCES }, () => openMongoStore({ uri: server.uri, database, clock })),
      );
    });
    afterAll(async () => {
      await store(0).client.db(database).dropDatabase();
      await Promise.all(stores.map((opened) => opened.close()));
      await server[Symbol.asyncDispose]();
    });

    test('number the messages of one conversation without gap or double, each keeping its own order', async () => {
      const [ann, bob] = [person('ann'), person('bob')];
      const rounds = 25;
      const writers = stores.map(async ({ messages }, index) => {
        const [from, to] = index % 2 === 0 ? [ann, bob] : [bob, ann];
        const outcomes: Appended[] = [];
        for (let round = 0; round < rounds; round += 1) {
          const batch = [0, 1, 2].map((n) => send(from, to, `${index}:${3 * round + n}`, { atMs: T0 + round }));
          outcomes.push(...((await messages.write(batch)) as Appended[]));
        }
        return outcomes;
      });
      const outcomes = await Promise.all(writers);
      const total = INSTANCES * rounds * 3;
      expect(outcomes.flat().every((outcome) => outcome.type === 'appended' && !outcome.duplicate)).toBe(true);
      const listed = await store(0).messages.listMessages(ann, bob, { afterSeq: 0, limit: 1000 });
      expect(listed.map(({ seq }) => seq)).toEqual(Array.from({ length: total }, (_, index) => index + 1));
      const bySeq = new Map(listed.map((message) => [message.seq, message.text]));
      for (const { message } of outcomes.flat()) expect(bySeq.get(message.seq)).toBe(message.text);
      for (const own of outcomes) {
        const seqs = own.map(({ message }) => message.seq);
        expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
      }
      const times = listed.map(({ sentAtMs }) => sentAtMs);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
    });

    test('store a send that is retried everywhere at once exactly once', async () => {
      const [ann, bob] = [person('ann'), person('bob')];
      for (let round = 0; round < 20; round += 1) {
        const once = { clientMessageId: `c${round}`, digest: 'd' };
        const racing = stores.flatMap(({ messages }) => [0, 1].map(() => messages.write([send(ann, bob, 'x', once)])));
        const outcomes = (await Promise.all(racing)).flat() as Appended[];
        expect(outcomes.map(({ type }) => type)).toEqual(outcomes.map(() => 'appended'));
        expect(outcomes.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
        expect(new Set(outcomes.map(({ message }) => message.id)).size).toBe(1);
      }
      expect(await store(1).messages.listMessages(ann, bob, { limit: 100 })).toHaveLength(20);
    });

    test('find a message by its id after the very same send was written again', async () => {
      const [ann, bob] = [person('ann'), person('bob')];
      const once = send(ann, bob, 'x', { clientMessageId: 'again', digest: 'd' });
      await store(0).messages.write([once]);
      const [again] = await store(1).messages.write([once]);
      expect(again).toMatchObject({ type: 'appended', duplicate: true, message: { id: once.id } });
      const { places } = collectionsOf(store(0).client.db(database));
      // What is claimed for nothing is given back after the answer.
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(await places.findOne({ _id: once.id })).toMatchObject({ c: conversationKey(ann, bob) });
      expect(await store(2).messages.findMessage(once.id)).toMatchObject({ text: 'x' });
    });

    test('page a list of conversations that a former system dated with its earliest time', async () => {
      const bob = person('bob');
      const atMs = Date.UTC(1, 0, 1);
      for (const ann of [person('ann'), person('ann')]) await store(0).messages.write([send(ann, bob, 'x', { atMs })]);
      const { conversations, next } = await store(1).messages.listConversations(bob, { limit: 1 });
      const rest = await store(1).messages.listConversations(bob, { limit: 1, after: next ?? '' });
      expect(new Set([...conversations, ...rest.conversations].map(({ otherId }) => otherId)).size).toBe(2);
    });

    test('see at once what another one acknowledged', async () => {
      const bob = person('bob');
      for (let round = 0; round < 20; round += 1) {
        const ann = person('ann');
        await store(round % INSTANCES).messages.write([send(ann, bob, 'x', { atMs: T0 + round })]);
        const { messages } = store((round + 1) % INSTANCES);
        expect((await messages.listConversations(bob, { limit: 1 })).conversations[0]?.otherId).toBe(ann);
        expect((await messages.listPending(bob, { above: 'received', limit: 100 })).at(-1)?.senderId).toBe(ann);
        expect(await messages.unreadCounts(bob)).toHaveLength(round + 1);
      }
    });

    test('move cursors up only, whoever comes last', async () => {
      const [ann, bob] = [person('ann'), person('bob')];
      await store(0).messages.write(Array.from({ length: 60 }, (_, n) => send(ann, bob, `${n}`)));
      const targets = Array.from({ length: 60 }, (_, n) => ((n * 37) % 60) + 1);
      await Promise.all(
        targets.map((toSeq, n) =>
          store(n % INSTANCES).messages.write([
            { type: 'advance', personId: bob, otherId: ann, kind: n % 2 === 0 ? 'read' : 'delivered', toSeq, atMs: T0 },
          ]),
        ),
      );
      const view = await store(0).messages.findConversation(bob, ann);
      const read = Math.max(...targets.filter((_, n) => n % 2 === 0));
      expect(view?.own).toEqual({ received: 60, delivered: 60, read });
      expect(view?.unreadCount).toBe(60 - read);
    });

    test('keep a message unread that is sent while everything is being read', async () => {
      for (let round = 0; round < 30; round += 1) {
        const [ann, bob] = [person('ann'), person('bob')];
        await store(0).messages.write([send(ann, bob, 'first')]);
        await Promise.all([
          store(0).messages.write([send(ann, bob, 'second')]),
          store(1).messages.write([{ type: 'advance', personId: bob, otherId: ann, kind: 'read', toSeq: 1, atMs: T0 }]),
        ]);
        const pending = await store(2).messages.listPending(bob, { above: 'read', limit: 10 });
        expect(pending.map(({ seq }) => seq)).toEqual([2]);
        expect(await store(2).messages.unreadCounts(bob)).toEqual([{ otherId: ann, count: 1 }]);
      }
    });

    test('take a user online and offline once, whoever tries', async () => {
      const now = clock.now();
      const users = Array.from({ length: 40 }, () => person('user'));
      for (const [index, { presence }] of stores.entries()) await presence.renewLease(`i${index}`, now + 15_000);
      const connect = (instance: number): PresenceWrite[] =>
        users.map((userId) => ({ type: 'connected', connectionId: `${instance}`, userId, atMs: now }));
      const came = await Promise.all(
        stores.map(({ presence }, index) => presence.apply(`i${index}`, connect(index), now)),
      );
      for (const [index] of users.entries()) {
        expect(came.filter((answers) => answers[index]?.wasOffline)).toHaveLength(1);
      }
      const late = now + 15_001;
      const told = await Promise.all(stores.flatMap(({ presence }) => [presence.sweep(late), presence.sweep(late)]));
      const ours = told.flat().filter(({ userId }) => users.includes(userId));
      expect(ours.map(({ userId }) => userId).toSorted()).toEqual(users.toSorted());
    });

    describe('when one dies', () => {
      const half = (ann: string, bob: string, id: string, seq = 1) => ({
        _id: id,
        c: conversationKey(ann, bob),
        s: seq,
        f: sideOf(ann, bob),
        n: seq,
        at: T0,
        t: 'half',
      });

      test('between a message and its announcement, a sweep of another makes it appear everywhere', async () => {
        const [ann, bob] = [person('ann'), person('bob')];
        const { journal, messages, places } = collectionsOf(store(0).client.db(database));
        const id = newId(Date.now());
        const c = conversationKey(ann, bob);
        const by = randomUUID();
        await store(0).presence.renewLease(by, clock.now() + 5000);
        await journal.insertOne({ _id: newId(Date.now()), by, at: clock.now(), cs: [c] });
        await places.insertOne({ _id: id, c });
        await messages.insertOne(half(ann, bob, id));
        await clock.advance(4000);
        await store(1).presence.sweep(clock.now());
        expect(await store(1).messages.listPending(bob, { above: 'received', limit: 10 })).toEqual([]);
        await clock.advance(2000);
        await store(1).presence.sweep(clock.now());
        expect((await store(2).messages.listPending(bob, { above: 'received', limit: 10 })).map((m) => m.id)).toEqual([
          id,
        ]);
        expect(await store(2).messages.unreadCounts(bob)).toEqual([{ otherId: ann, count: 1 }]);
        expect(await store(2).messages.listPartners(ann, 10)).toEqual([bob]);
        expect(await journal.countDocuments({ cs: c })).toBe(0);
      });

      test('between the claim of a client id and the message, a retry stores it under the id that was chosen', async () => {
        const [ann, bob] = [person('ann'), person('bob')];
        const { clientIds } = collectionsOf(store(0).client.db(database));
        const id = newId(Date.now());
        await clientIds.insertOne({ _id: pairKey(ann, 'c'), m: id, c: conversationKey(ann, bob), d: 'd' });
        const retry = send(ann, bob, 'x', { clientMessageId: 'c', digest: 'd' });
        const [outcome] = await store(1).messages.write([retry]);
        expect(outcome).toMatchObject({ type: 'appended', duplicate: false, message: { id, seq: 1 } });
        expect(await store(2).messages.findMessage(id)).toMatchObject({ text: 'x' });
        expect(await store(2).messages.findMessage(retry.id)).toBeUndefined();
      });

      test('before it acknowledged, a retry finds the message and makes it appear', async () => {
        const [ann, bob] = [person('ann'), person('bob')];
        const { clientIds, messages, places } = collectionsOf(store(0).client.db(database));
        const id = newId(Date.now());
        const c = conversationKey(ann, bob);
        await clientIds.insertOne({ _id: pairKey(ann, 'c'), m: id, c, d: 'd' });
        await places.insertOne({ _id: id, c });
        await messages.insertOne(half(ann, bob, id));
        const [outcome] = await store(1).messages.write([
          send(ann, bob, 'half', { clientMessageId: 'c', digest: 'd' }),
        ]);
        expect(outcome).toMatchObject({ type: 'appended', duplicate: true, message: { id, seq: 1 } });
        expect((await store(2).messages.listPending(bob, { above: 'received', limit: 10 })).map((m) => m.id)).toEqual([
          id,
        ]);
      });

      test('before it said what was newest, the next message still comes after it', async () => {
        const [ann, bob] = [person('ann'), person('bob')];
        const { messages } = collectionsOf(store(0).client.db(database));
        await store(0).messages.write([send(ann, bob, 'one')]);
        await messages.insertOne(half(ann, bob, newId(Date.now()), 2));
        const [outcome] = await store(1).messages.write([send(bob, ann, 'three')]);
        expect(outcome).toMatchObject({ type: 'appended', message: { seq: 3 } });
        const view = await store(2).messages.findConversation(bob, ann);
        expect(view).toMatchObject({ unreadCount: 2, lastMessage: { seq: 3 } });
      });
    });
  });
}
