/**
 * What every MessageStore must do (src/core/ports.ts). An adapter's test calls `describeMessageStore` with a function
 * that opens it; one store serves all cases, each with people of its own.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '../../src/core/ids.ts';
import type { CursorKind, Message } from '../../src/core/message.ts';
import type { Advanced, Appended, AppendOp, MessageStore, OutcomeOf, WriteOp } from '../../src/core/ports.ts';
import { MAX_PASSED_PER_MOVE } from '../../src/core/ports.ts';
import { MessageStoreModel } from './message-store-model.ts';

export interface OpenedMessageStore {
  readonly store: MessageStore;
  close(): Promise<void>;
}

const T0 = Date.UTC(2026, 0, 1);
const END = Number.MAX_SAFE_INTEGER;

export function describeMessageStore(name: string, open: () => Promise<OpenedMessageStore>): void {
  let opened: OpenedMessageStore;
  let store: MessageStore;
  let people = 0;
  const person = (label = 'user'): string => `${label}-${newId(Date.now())}-${++people}`;
  const couple = (): [string, string] => [person('ann'), person('bob')];

  const send = (senderId: string, receiverId: string, text = 'hello', more: Partial<AppendOp> = {}): AppendOp => ({
    type: 'append',
    id: newId(Date.now()),
    senderId,
    receiverId,
    text,
    atMs: T0,
    ...more,
  });
  const move = (personId: string, otherId: string, kind: CursorKind, toSeq: number, atMs = T0): WriteOp => ({
    type: 'advance',
    personId,
    otherId,
    kind,
    toSeq,
    atMs,
  });
  async function write<O extends WriteOp>(operation: O): Promise<OutcomeOf[O['type']]> {
    const [outcome] = await store.write([operation]);
    return outcome as OutcomeOf[O['type']];
  }
  async function append(...args: Parameters<typeof send>): Promise<Message> {
    const outcome = await write(send(...args));
    expect(outcome.type).toBe('appended');
    return (outcome as Appended).message;
  }
  async function advance(...args: Parameters<typeof move>): Promise<Advanced> {
    const outcome = await write(move(...args));
    expect(outcome.type).toBe('advanced');
    return outcome as Advanced;
  }
  const seqs = (messages: readonly { readonly seq: number }[]): number[] => messages.map((message) => message.seq);
  const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

  describe(`${name} as a MessageStore`, () => {
    beforeAll(async () => {
      opened = await open();
      store = opened.store;
    });
    afterAll(() => opened.close());

    describe('appending', () => {
      test('answers the message with its place, and a reader finds it as it was', async () => {
        const [ann, bob] = couple();
        const op = send(ann, bob, 'first');
        const outcome = await write(op);
        const message = { id: op.id, seq: 1, senderId: ann, receiverId: bob, text: 'first', sentAtMs: T0 };
        expect(outcome).toEqual({ type: 'appended', message, duplicate: false });
        expect(await store.findMessage(op.id)).toEqual(message);
        expect(await store.listMessages(bob, ann, { limit: 10 })).toEqual([{ ...message, status: 'sent' }]);
      });

      test('numbers 1, 2, 3… in both directions together, under concurrent writes', async () => {
        const [ann, bob] = couple();
        const writes = upTo(200).map((n) => write(n % 3 === 0 ? send(bob, ann, `b${n}`) : send(ann, bob, `a${n}`)));
        const outcomes = (await Promise.all(writes)) as Appended[];
        expect(outcomes.map((outcome) => outcome.message.seq).sort((a, b) => a - b)).toEqual(upTo(200));
        const listed = await store.listMessages(ann, bob, { afterSeq: 0, limit: 300 });
        expect(seqs(listed)).toEqual(upTo(200));
        const texts = new Map(outcomes.map(({ message }) => [message.seq, message.text]));
        for (const message of listed) expect(message.text).toBe(texts.get(message.seq));
      });

      test('keeps the order of a batch', async () => {
        const [ann, bob] = couple();
        const outcomes = await store.write(upTo(50).map((n) => send(ann, bob, `${n}`)));
        expect(outcomes.map((outcome) => (outcome as Appended).message.seq)).toEqual(upTo(50));
        const listed = await store.listMessages(bob, ann, { limit: 100 });
        expect(listed.map((message) => message.text)).toEqual(upTo(50).map(String));
      });

      test('never lets the time fall along seq', async () => {
        const [ann, bob] = couple();
        const times = [10, 5, 20, 15, 15];
        for (const time of times) await append(ann, bob, 'x', { atMs: T0 + time });
        const listed = await store.listMessages(ann, bob, { limit: 10 });
        expect(listed.map((message) => message.sentAtMs - T0)).toEqual([10, 10, 20, 20, 20]);
      });

      test('answers an empty batch with nothing', async () => {
        expect(await store.write([])).toEqual([]);
      });

      test('stores a large batch over many conversations', async () => {
        const ann = person('ann');
        const others = upTo(40).map(() => person());
        const operations = upTo(3000).map((n) => send(others[n % 40] ?? ann, ann, `${n}`));
        const outcomes = await store.write(operations);
        expect(outcomes).toHaveLength(3000);
        expect(outcomes.every((outcome) => outcome.type === 'appended')).toBe(true);
        expect((await store.unreadCounts(ann)).map((item) => item.count)).toEqual(upTo(40).map(() => 75));
      });

      test('fails one bad item alone, wherever it stands, and leaves nothing of it', async () => {
        const [ann, bob] = couple();
        const taken = await append(ann, bob);
        const stranger = person();
        const operations = [
          send(ann, bob, 'before'),
          send(stranger, bob, 'bad', { id: taken.id, clientMessageId: 'c', digest: 'd' }),
          move(bob, ann, 'read', 2),
          send(bob, ann, 'bad too', { id: taken.id }),
          send(ann, bob, 'after'),
        ];
        const outcomes = await store.write(operations);
        expect(outcomes.map((outcome) => outcome.type)).toEqual([
          'appended',
          'failed',
          'advanced',
          'failed',
          'appended',
        ]);
        const listed = await store.listMessages(ann, bob, { limit: 10 });
        expect(listed.map((message) => [message.seq, message.text])).toEqual([
          [1, 'hello'],
          [2, 'before'],
          [3, 'after'],
        ]);
        expect(await store.findConversation(bob, stranger)).toBeUndefined();
        expect(await store.listPartners(bob, 10)).toEqual([ann]);
        expect(await store.findMessage(taken.id)).toEqual(taken);
        const retried = await write(send(stranger, bob, 'good', { clientMessageId: 'c', digest: 'd' }));
        expect(retried).toMatchObject({ type: 'appended', duplicate: false, message: { seq: 1 } });
      });

      test('does not name what a user wrote in the error of a failed item', async () => {
        const [ann, bob] = couple();
        const taken = await append(ann, bob);
        const [outcome] = await store.write([send(ann, bob, 'secret words', { id: taken.id })]);
        if (outcome?.type !== 'failed') throw new Error('It should have failed');
        expect(`${outcome.error.message} ${String(outcome.error.cause)}`).not.toMatch(/secret words|ann-|bob-/);
      });
    });

    describe('ids and texts', () => {
      const odd: [string, string][] = [
        ['a UUID', '0190a5c4-7b1e-7abc-8def-0123456789ab'],
        ['the same UUID in upper case', '0190A5C4-7B1E-7ABC-8DEF-0123456789AB'],
        ['24 hex digits', '507f1f77bcf86cd799439011'],
        ['digits', '42'],
        ['a number with a leading zero', '007'],
        ['a number in scientific notation', '1e3'],
        ['emoji', '👩‍⚕️🧓'],
        ['quotes and brackets', `o'neil "x" $where {"$gt":""} ; DROP TABLE message --`],
        ['percent and underscore', '100%_'],
        ['accents', 'Åsa.Öst@exämple.se'],
        ['128 characters', 'x'.repeat(128)],
        ['spaces', ' padded '],
      ];
      const suffix = newId(Date.now()).slice(-6);

      test.each(odd)('keeps %s exactly as message id, client id and user id', async (_, id) => {
        const bob = person('bob');
        const ann = `${id.slice(0, 120)}${suffix}`;
        const first = await append(ann, bob, 'one', { clientMessageId: id, digest: 'd' });
        expect(first.senderId).toBe(ann);
        const again = await write(send(ann, bob, 'one', { clientMessageId: id, digest: 'd' }));
        expect(again).toEqual({ type: 'appended', message: first, duplicate: true });
        const found = await store.findMessage(id);
        const message = found ?? (await append(ann, bob, 'two', { id }));
        expect(message.id).toBe(id);
        expect(await store.findMessage(id)).toEqual(message);
        expect(await store.listPartners(bob, 10)).toEqual([ann]);
        expect((await store.listConversations(ann, { limit: 10 })).conversations[0]?.otherId).toBe(bob);
      });

      test('tells ids apart that differ in case only', async () => {
        const [ann, bob] = couple();
        const id = newId(Date.now());
        await append(ann, bob, 'lower', { id });
        await append(ann, bob, 'upper', { id: id.toUpperCase() });
        expect((await store.findMessage(id))?.text).toBe('lower');
        expect((await store.findMessage(id.toUpperCase()))?.text).toBe('upper');
        expect(await store.listMessages(ann, bob.toUpperCase(), { limit: 1 })).toEqual([]);
      });

      test.each([
        ['emoji', '👩‍👩‍👧‍👦 🇸🇪 é'],
        ['a NUL', 'before\0after'],
        ['only a NUL', '\0'],
        ['line breaks and quotes', `a\r\n'b'\t"c" \\ \u2028`],
        ['5,000 characters', 'å'.repeat(5000)],
        ['100,000 characters', 'x'.repeat(100_000)],
        ['digits', '0123'],
        ['what looks like JSON', '{"$set":{"a":1}}'],
        ['nothing', ''],
      ])('keeps a text of %s', async (_, text) => {
        const [ann, bob] = couple();
        const { id } = await append(ann, bob, text);
        expect((await store.findMessage(id))?.text).toBe(text);
        expect((await store.listMessages(bob, ann, { limit: 1 }))[0]?.text).toBe(text);
        expect((await store.listPending(bob, { above: 'received', limit: 1 }))[0]?.text).toBe(text);
      });

      test('answers undefined or nothing for ids it does not know', async () => {
        const [ann, bob] = couple();
        expect(await store.findMessage(newId(Date.now()))).toBeUndefined();
        expect(await store.findMessage('nobody')).toBeUndefined();
        expect(await store.listMessages(ann, bob, { limit: 10 })).toEqual([]);
        expect(await store.findConversation(ann, bob)).toBeUndefined();
        expect(await store.listConversations(ann, { limit: 10 })).toEqual({ conversations: [] });
        expect(await store.unreadCounts(ann)).toEqual([]);
        expect(await store.listPending(ann, { above: 'read', limit: 10 })).toEqual([]);
        expect(await store.listPartners(ann, 10)).toEqual([]);
        expect(await write(move(ann, bob, 'read', 5))).toEqual({ type: 'missing' });
        expect(await write({ type: 'delete', messageId: 'nobody', atMs: T0 })).toEqual({ type: 'missing' });
      });
    });

    describe('retries', () => {
      const once = { clientMessageId: 'client-1', digest: 'digest-1' };

      test('return the first message and write nothing', async () => {
        const [ann, bob] = couple();
        const first = await append(ann, bob, 'x', once);
        await append(bob, ann, 'y');
        const retry = await write(send(ann, bob, 'x', { ...once, atMs: T0 + 5000 }));
        expect(retry).toEqual({ type: 'appended', message: first, duplicate: true });
        expect(seqs(await store.listMessages(ann, bob, { limit: 10 }))).toEqual([1, 2]);
      });

      test('within one batch are one message', async () => {
        const [ann, bob] = couple();
        const outcomes = await store.write(upTo(5).map(() => send(ann, bob, 'x', once)));
        const appended = outcomes as Appended[];
        expect(appended.map((outcome) => outcome.duplicate)).toEqual([false, true, true, true, true]);
        expect(new Set(appended.map((outcome) => outcome.message.id)).size).toBe(1);
      });

      test('1,000 racing are one message', async () => {
        const [ann, bob] = couple();
        const batches = upTo(100).map(() => store.write(upTo(10).map(() => send(ann, bob, 'x', once))));
        const outcomes = (await Promise.all(batches)).flat() as Appended[];
        expect(outcomes.filter((outcome) => !outcome.duplicate)).toHaveLength(1);
        expect(new Set(outcomes.map((outcome) => outcome.message.id)).size).toBe(1);
        expect(await store.listMessages(ann, bob, { limit: 10 })).toHaveLength(1);
      });

      test('with another digest are a conflict, also for another receiver', async () => {
        const [ann, bob] = couple();
        await append(ann, bob, 'x', once);
        const other = person();
        expect(await write(send(ann, bob, 'y', { ...once, digest: 'other' }))).toEqual({ type: 'conflict' });
        expect(await write(send(ann, other, 'x', { ...once, digest: 'other' }))).toEqual({ type: 'conflict' });
        expect(await store.findConversation(ann, other)).toBeUndefined();
      });

      test('of another sender under the same client id are other messages', async () => {
        const [ann, bob] = couple();
        await append(ann, bob, 'x', once);
        expect(await write(send(bob, ann, 'x', once))).toMatchObject({ type: 'appended', duplicate: false });
      });

      test('of a deleted message return its tombstone', async () => {
        const [ann, bob] = couple();
        const first = await append(ann, bob, 'x', once);
        await write({ type: 'delete', messageId: first.id, atMs: T0 + 1 });
        const retry = (await write(send(ann, bob, 'x', once))) as Appended;
        expect(retry).toMatchObject({ duplicate: true, message: { id: first.id, text: '', deletedAtMs: T0 + 1 } });
      });

      test('under a bound id find the message; a bound id cannot be bound or used for another', async () => {
        const [ann, bob] = couple();
        const first = await append(ann, bob, 'x');
        const second = await append(ann, bob, 'z');
        const bind = { type: 'bind', senderId: ann, messageId: first.id, ...once } as const;
        expect(await write(bind)).toEqual({ type: 'bound' });
        expect(await write(bind)).toEqual({ type: 'bound' });
        expect(await write({ ...bind, digest: 'other' })).toEqual({ type: 'conflict' });
        expect(await write({ ...bind, messageId: second.id })).toEqual({ type: 'conflict' });
        expect(await write({ ...bind, messageId: 'nobody', clientMessageId: 'other' })).toEqual({ type: 'missing' });
        const retry = await write(send(ann, bob, 'x', once));
        expect(retry).toEqual({ type: 'appended', message: first, duplicate: true });
        expect(await write({ ...bind, clientMessageId: 'client-2' })).toEqual({ type: 'bound' });
      });

      test('bound in the batch that appended the message find it', async () => {
        const [ann, bob] = couple();
        const op = send(ann, bob, 'x');
        const bind = { type: 'bind', senderId: ann, messageId: op.id, ...once } as const;
        const outcomes = await store.write([op, bind, send(ann, bob, 'x', once)]);
        expect(outcomes).toMatchObject([
          { type: 'appended', duplicate: false },
          { type: 'bound' },
          { type: 'appended', duplicate: true, message: { id: op.id, seq: 1 } },
        ]);
      });
    });

    describe('cursors', () => {
      test('move by maximum, at most to the last seq, and take the weaker ones along', async () => {
        const [ann, bob] = couple();
        for (const n of upTo(5)) await append(ann, bob, `${n}`);
        expect(await advance(bob, ann, 'received', 4)).toMatchObject({
          previous: { received: 0, delivered: 0, read: 0 },
          current: { received: 4, delivered: 0, read: 0 },
          passed: [],
          more: false,
        });
        expect((await advance(bob, ann, 'delivered', 2)).current).toEqual({ received: 4, delivered: 2, read: 0 });
        expect((await advance(bob, ann, 'read', 3)).current).toEqual({ received: 4, delivered: 3, read: 3 });
        const back = await advance(bob, ann, 'read', 1);
        expect(back.current).toEqual(back.previous);
        expect(back.passed).toEqual([]);
        expect((await advance(bob, ann, 'read', END)).current).toEqual({ received: 5, delivered: 5, read: 5 });
        expect((await advance(ann, bob, 'read', 99)).current).toEqual({ received: 5, delivered: 5, read: 5 });
        const view = await store.findConversation(bob, ann);
        expect(view?.own).toEqual({ received: 5, delivered: 5, read: 5 });
      });

      test('of the two people are apart', async () => {
        const [ann, bob] = couple();
        await append(ann, bob);
        await append(bob, ann);
        await advance(bob, ann, 'read', 1);
        expect(await store.findConversation(ann, bob)).toMatchObject({
          own: { received: 0, delivered: 0, read: 0 },
          other: { received: 1, delivered: 1, read: 1 },
        });
      });

      test("name the other's living messages that the named cursor passed, oldest first", async () => {
        const [ann, bob] = couple();
        const sent: Message[] = [];
        for (const n of upTo(8)) sent.push(await append(n % 2 === 0 ? bob : ann, n % 2 === 0 ? ann : bob, `${n}`));
        await write({ type: 'delete', messageId: sent[2]?.id ?? '', atMs: T0 });
        const delivered = await advance(bob, ann, 'delivered', 5);
        expect(delivered.passed).toEqual([1, 5].map((seq) => ({ seq, id: sent[seq - 1]?.id })));
        const read = await advance(bob, ann, 'read', 7);
        expect(seqs(read.passed)).toEqual([1, 5, 7]);
        expect(seqs((await advance(bob, ann, 'delivered', 8)).passed)).toEqual([]);
      });

      test.each([0, 1, 10, 15, 16, 17, 31, 33, 60])(
        'name exactly those, lagging %i behind a growing conversation',
        async (lag) => {
          const [ann, bob] = couple();
          for (const n of upTo(90)) {
            const [, moved] = await store.write([send(ann, bob, `${n}`), move(bob, ann, 'delivered', n - lag)]);
            expect(seqs((moved as Advanced).passed)).toEqual(n > lag ? [n - lag] : []);
          }
          expect(seqs((await advance(bob, ann, 'read', END)).passed)).toEqual(upTo(90));
        },
      );

      test(`stop after ${MAX_PASSED_PER_MOVE} messages and say more`, async () => {
        const [ann, bob] = couple();
        const total = MAX_PASSED_PER_MOVE + 250;
        await store.write(upTo(total).map((n) => send(ann, bob, `${n}`)));
        const first = await advance(bob, ann, 'read', END);
        expect(first.passed).toHaveLength(MAX_PASSED_PER_MOVE);
        expect(first.current.read).toBe(MAX_PASSED_PER_MOVE);
        expect(first.more).toBe(true);
        const second = await advance(bob, ann, 'read', END);
        expect(second.current.read).toBe(total);
        expect(seqs(second.passed)).toEqual(upTo(total).slice(MAX_PASSED_PER_MOVE));
        expect(second.more).toBe(false);
      });

      test('without a hole below stay if a living message of the other would be left out', async () => {
        const [ann, bob] = couple();
        const first = await append(ann, bob);
        await append(bob, ann);
        for (const n of upTo(3)) await append(ann, bob, `${n}`);
        const holeless = { ...move(bob, ann, 'received', 5), withoutHoleBelow: 3 } as WriteOp & { type: 'advance' };
        expect(await write(holeless)).toMatchObject({ type: 'advanced', current: { received: 0 } });
        await write({ type: 'delete', messageId: first.id, atMs: T0 });
        expect(await write(holeless)).toMatchObject({ type: 'advanced', current: { received: 5, delivered: 0 } });
      });

      test('in one batch with their messages see them', async () => {
        const [ann, bob] = couple();
        const outcomes = await store.write([
          send(ann, bob, '1'),
          move(bob, ann, 'delivered', END),
          send(ann, bob, '2'),
          move(bob, ann, 'read', END),
        ]);
        expect(outcomes.map((o) => (o.type === 'advanced' ? seqs(o.passed) : o.type))).toEqual([
          'appended',
          [1],
          'appended',
          [1, 2],
        ]);
      });
    });

    describe('statuses', () => {
      test('and the times of the first move that covered a message', async () => {
        const [ann, bob] = couple();
        for (const n of upTo(6)) await append(n === 4 ? bob : ann, n === 4 ? ann : bob, `${n}`);
        await advance(bob, ann, 'received', 6, T0 + 1);
        await advance(bob, ann, 'delivered', 2, T0 + 10);
        await advance(bob, ann, 'read', 1, T0 + 20);
        await advance(bob, ann, 'read', 3, T0 + 30);
        await advance(bob, ann, 'delivered', 5, T0 + 40);
        await advance(ann, bob, 'delivered', 6, T0 + 50);
        const listed = await store.listMessages(ann, bob, { limit: 10 });
        const told = listed.map((m) => [m.status, (m.deliveredAtMs ?? T0) - T0, (m.readAtMs ?? T0) - T0]);
        expect(told).toEqual([
          ['read', 10, 20],
          ['read', 10, 30],
          ['read', 30, 30],
          ['delivered', 50, 0],
          ['delivered', 40, 0],
          ['sent', 0, 0],
        ]);
        expect(listed[5]).not.toHaveProperty('deliveredAtMs');
        expect(listed[4]).not.toHaveProperty('readAtMs');
      });

      test('keep their times over hundreds of moves, on every page', async () => {
        const [ann, bob] = couple();
        for (const n of upTo(120)) {
          await store.write([
            send(ann, bob, `${n}`),
            move(bob, ann, 'delivered', n, T0 + n),
            ...(n % 7 === 0 ? [move(bob, ann, 'read', n, T0 + 1000 + n)] : []),
          ]);
        }
        for (const beforeSeq of [121, 60, 25, 2]) {
          for (const m of await store.listMessages(bob, ann, { beforeSeq, limit: 20 })) {
            expect(m.deliveredAtMs).toBe(T0 + m.seq);
            const readBy = Math.ceil(m.seq / 7) * 7;
            expect(m.readAtMs).toBe(readBy <= 120 ? T0 + 1000 + readBy : undefined);
          }
        }
      });
    });

    describe('deleting', () => {
      test('leaves a tombstone with its seq and no text, once', async () => {
        const [ann, bob] = couple();
        const first = await append(ann, bob, 'to be gone');
        await append(ann, bob, 'stays');
        const remove = { type: 'delete', messageId: first.id, atMs: T0 + 9 } as const;
        const tombstone = { ...first, text: '', deletedAtMs: T0 + 9 };
        expect(await write(remove)).toEqual({ type: 'deleted', message: first, alreadyDeleted: false });
        expect(await write({ ...remove, atMs: T0 + 99 })).toEqual({
          type: 'deleted',
          message: tombstone,
          alreadyDeleted: true,
        });
        expect(await store.findMessage(first.id)).toEqual(tombstone);
        expect((await store.listMessages(bob, ann, { limit: 10 })).map((m) => m.text)).toEqual(['', 'stays']);
        expect(await store.unreadCounts(bob)).toEqual([{ otherId: ann, count: 1 }]);
        expect(seqs(await store.listPending(bob, { above: 'received', limit: 10 }))).toEqual([2]);
      });

      test('the newest keeps it on the list, as a tombstone, and counts no more', async () => {
        const [ann, bob] = couple();
        const first = await append(ann, bob);
        await write({ type: 'delete', messageId: first.id, atMs: T0 });
        const view = await store.findConversation(bob, ann);
        expect(view).toMatchObject({ unreadCount: 0, lastMessage: { seq: 1, text: '', deletedAtMs: T0 } });
        expect(await store.unreadCounts(bob)).toEqual([]);
      });

      test('works in the batch that appended', async () => {
        const [ann, bob] = couple();
        const op = send(ann, bob, 'short life');
        const outcomes = await store.write([op, { type: 'delete', messageId: op.id, atMs: T0 }, send(ann, bob)]);
        expect(outcomes).toMatchObject([{ type: 'appended' }, { type: 'deleted', alreadyDeleted: false }, {}]);
        expect(seqs(await store.listPending(bob, { above: 'read', limit: 10 }))).toEqual([2]);
      });
    });

    describe('pages of messages', () => {
      test('go both ways, overlap nowhere and miss nothing', async () => {
        const [ann, bob] = couple();
        await store.write(upTo(95).map((n) => send(n % 2 ? ann : bob, n % 2 ? bob : ann, `${n}`)));
        const forward: number[] = [];
        for (let afterSeq = 0; ; ) {
          const page = await store.listMessages(ann, bob, { afterSeq, limit: 10 });
          if (page.length === 0) break;
          forward.push(...seqs(page));
          afterSeq = page.at(-1)?.seq ?? afterSeq;
        }
        expect(forward).toEqual(upTo(95));
        const backward: number[] = [];
        for (let beforeSeq = 96; beforeSeq > 1; ) {
          const page = await store.listMessages(bob, ann, { beforeSeq, limit: 10 });
          expect(seqs(page)).toEqual(seqs(page).toSorted((a, b) => a - b));
          backward.unshift(...seqs(page));
          beforeSeq = page[0]?.seq ?? 1;
        }
        expect(backward).toEqual(upTo(95));
      });

      test('leave out the newest with skip', async () => {
        const [ann, bob] = couple();
        await store.write(upTo(10).map((n) => send(ann, bob, `${n}`)));
        const page = (range: Parameters<MessageStore['listMessages']>[2]) =>
          store.listMessages(ann, bob, range).then(seqs);
        expect(await page({ limit: 3 })).toEqual([8, 9, 10]);
        expect(await page({ limit: 3, skip: 3 })).toEqual([5, 6, 7]);
        expect(await page({ limit: 3, skip: 9 })).toEqual([1]);
        expect(await page({ limit: 3, skip: 100 })).toEqual([]);
        expect(await page({ limit: 3, skip: 2, beforeSeq: 8 })).toEqual([3, 4, 5]);
        expect(await page({ limit: 3, beforeSeq: 1000 })).toEqual([8, 9, 10]);
        expect(await page({ afterSeq: 10, limit: 3 })).toEqual([]);
      });
    });

    describe('the list of conversations', () => {
      test('is newest activity first, for both people', async () => {
        const ann = person('ann');
        const others = upTo(5).map(() => person());
        const [first, second, third] = others as [string, string, string];
        for (const [index, other] of others.entries()) await append(other, ann, 'hi', { atMs: T0 + index });
        await append(ann, second, 'again', { atMs: T0 + 100 });
        await append(first, ann, 'again', { atMs: T0 + 101 });
        const order = [first, second, others[4], others[3], third];
        const { conversations, next } = await store.listConversations(ann, { limit: 10 });
        expect(conversations.map((view) => view.otherId)).toEqual(order);
        expect(next).toBeUndefined();
        expect(await store.listPartners(ann, 10)).toEqual(order);
        expect(await store.listPartners(ann, 2)).toEqual([first, second]);
        expect(conversations[0]).toEqual(await store.findConversation(ann, first));
      });

      test('shows newest message, unread count and both cursors', async () => {
        const [ann, bob] = couple();
        await append(ann, bob, '1');
        const last = await append(ann, bob, '2');
        await advance(bob, ann, 'read', 1, T0 + 1);
        await advance(bob, ann, 'delivered', 2, T0 + 2);
        const { conversations } = await store.listConversations(bob, { limit: 1 });
        expect(conversations).toEqual([
          {
            otherId: ann,
            lastMessage: { ...last, status: 'delivered', deliveredAtMs: T0 + 2 },
            unreadCount: 1,
            own: { received: 2, delivered: 2, read: 1 },
            other: { received: 0, delivered: 0, read: 0 },
          },
        ]);
        expect((await store.findConversation(ann, bob))?.unreadCount).toBe(0);
      });

      test('orders conversations of one batch by their newest message', async () => {
        const ann = person('ann');
        const [x, y, z] = [person(), person(), person()];
        const times = [x, y, z, y, x].map((other, index) => send(ann, other, 'hi', { atMs: T0 + index }));
        await store.write(times);
        expect(await store.listPartners(ann, 10)).toEqual([x, y, z]);
      });

      test('is paged without repeats or gaps while conversations move to the top', async () => {
        const ann = person('ann');
        const others = upTo(30).map(() => person());
        for (const [index, other] of others.entries()) await append(other, ann, 'hi', { atMs: T0 + index });
        const seen: string[] = [];
        let after: string | undefined;
        for (let page = 0; page < 10; page += 1) {
          const answer = await store.listConversations(ann, { limit: 7, ...(after !== undefined && { after }) });
          seen.push(...answer.conversations.map((view) => view.otherId));
          after = answer.next;
          if (after === undefined) break;
          // One that was seen and one that was not move up, and a new one comes.
          await append(seen[0] ?? '', ann, 'moved', { atMs: T0 + 1000 + page });
          await append(person(), ann, 'new', { atMs: T0 + 2000 + page });
        }
        expect(new Set(seen).size).toBe(seen.length);
        expect(seen).toEqual(others.toReversed());
      });

      test('refuses a cursor that is none with an error for the caller', async () => {
        const ann = person('ann');
        for (const after of ['', 'not a cursor', '{}', '-1', '9'.repeat(60)]) {
          await expect(store.listConversations(ann, { after, limit: 10 })).rejects.toMatchObject({
            code: 'invalidArgument',
          });
        }
      });
    });

    describe('what is pending', () => {
      test('comes in order of time over all conversations, page by page, without repeats', async () => {
        const ann = person('ann');
        const others = upTo(4).map(() => person());
        for (const n of upTo(60)) {
          const other = others[n % 4] ?? '';
          await append(n % 5 === 0 ? ann : other, n % 5 === 0 ? other : ann, `${n}`, { atMs: T0 + Math.floor(n / 3) });
        }
        await advance(ann, others[1] ?? '', 'received', 3);
        const all: Message[] = [];
        for (;;) {
          const last = all.at(-1);
          const page = await store.listPending(ann, {
            above: 'received',
            limit: 7,
            ...(last !== undefined && { after: last }),
          });
          expect(page.length).toBeLessThanOrEqual(7);
          all.push(...page);
          if (page.length < 7) break;
        }
        const expected = (await Promise.all(others.map((o) => store.listMessages(ann, o, { afterSeq: 0, limit: 100 }))))
          .flat()
          .filter((m) => m.receiverId === ann && (m.senderId !== others[1] || m.seq > 3));
        expect(all).toHaveLength(expected.length);
        expect(new Set(all.map((m) => m.id))).toEqual(new Set(expected.map((m) => m.id)));
        for (const [index, message] of all.entries()) {
          const before = all[index - 1];
          if (before !== undefined) expect(message.sentAtMs).toBeGreaterThanOrEqual(before.sentAtMs);
          const same = all.slice(0, index).findLast((m) => m.senderId === message.senderId);
          if (same !== undefined) expect(message.seq).toBeGreaterThan(same.seq);
        }
      });

      test('of more senders than a page has room comes in order, with equal times', async () => {
        const ann = person('ann');
        const others = upTo(40).map(() => person());
        for (let round = 0; round < 5; round += 1) {
          const batch = others.map((other, n) => {
            const atMs = T0 + 10 * round + ((n * 7 + round) % 10);
            return n % 9 === round ? send(ann, other, 'own', { atMs }) : send(other, ann, 'theirs', { atMs });
          });
          await store.write(batch);
        }
        await store.write(others.filter((_, n) => n % 4 === 0).map((other) => move(ann, other, 'received', 2)));
        const lists = await Promise.all(others.map((o) => store.listMessages(ann, o, { afterSeq: 0, limit: 10 })));
        const expected = lists.flatMap((list, n) =>
          list.filter((m) => m.receiverId === ann && (n % 4 > 0 || m.seq > 2)),
        );
        for (const limit of [1, 7, 50]) {
          const all: Message[] = [];
          for (let size = limit; size === limit; ) {
            const last = all.at(-1);
            const page = { above: 'received', limit, ...(last !== undefined && { after: last }) } as const;
            const found = await store.listPending(ann, page);
            all.push(...found);
            size = found.length;
          }
          expect(all.map((m) => m.sentAtMs)).toEqual(expected.map((m) => m.sentAtMs).sort((x, y) => x - y));
          expect(all.map((m) => m.id).toSorted()).toEqual(expected.map((m) => m.id).toSorted());
        }
      });

      test('counts from the named cursor', async () => {
        const [ann, bob] = couple();
        await store.write(upTo(6).map((n) => send(ann, bob, `${n}`)));
        await advance(bob, ann, 'read', 1);
        await advance(bob, ann, 'delivered', 2);
        await advance(bob, ann, 'received', 4);
        const pending = (above: CursorKind) => store.listPending(bob, { above, limit: 10 }).then(seqs);
        expect(await pending('read')).toEqual([2, 3, 4, 5, 6]);
        expect(await pending('delivered')).toEqual([3, 4, 5, 6]);
        expect(await pending('received')).toEqual([5, 6]);
        expect(await store.listPending(ann, { above: 'received', limit: 10 })).toEqual([]);
        expect(await store.listPending(bob, { above: 'read', limit: 0 })).toEqual([]);
      });

      test('is one long conversation in pages too', async () => {
        const [ann, bob] = couple();
        await store.write(upTo(500).map((n) => send(ann, bob, `${n}`, { atMs: T0 + Math.floor(n / 100) })));
        const all: Message[] = [];
        for (;;) {
          const last = all.at(-1);
          const after = last && { sentAtMs: last.sentAtMs, senderId: last.senderId, seq: last.seq };
          const page = await store.listPending(bob, { above: 'received', limit: 64, ...(after && { after }) });
          all.push(...page);
          if (page.length === 0) break;
        }
        expect(seqs(all)).toEqual(upTo(500));
      });

      test('is also what was sent since a time, below the cursor too, each message once', async () => {
        const [ann, bob] = couple();
        await store.write(upTo(9).map((n) => send(ann, bob, `${n}`, { atMs: T0 + 10 * Math.ceil(n / 2) })));
        const since = (orSentSinceMs: number): Promise<number[]> =>
          store.listPending(bob, { above: 'received', orSentSinceMs, limit: 20 }).then(seqs);
        await advance(bob, ann, 'received', 6);
        expect(await since(T0 + 51)).toEqual([7, 8, 9]);
        expect(await since(T0 + 40)).toEqual([7, 8, 9]);
        expect(await since(T0 + 39)).toEqual([7, 8, 9]);
        expect(await since(T0 + 30)).toEqual([5, 6, 7, 8, 9]);
        expect(await since(0)).toEqual(upTo(9));
        // Between two messages of one time.
        await advance(bob, ann, 'received', 7);
        expect(await since(T0 + 40)).toEqual([7, 8, 9]);
        await advance(bob, ann, 'read', 9);
        expect(await since(T0 + 51)).toEqual([]);
        expect(await since(T0 + 50)).toEqual([9]);
        expect(await store.listPending(bob, { above: 'received', limit: 20 })).toEqual([]);
        expect(await store.listPending(ann, { above: 'received', orSentSinceMs: 0, limit: 20 })).toEqual([]);
        expect(await store.listPending(person(), { above: 'received', orSentSinceMs: 0, limit: 20 })).toEqual([]);
      });

      test('since a time leaves out tombstones and what the person sent', async () => {
        const [ann, bob] = couple();
        const first = await append(ann, bob, 'first');
        await append(bob, ann, 'own');
        const kept = await append(ann, bob, 'kept');
        const last = await append(ann, bob, 'last');
        await advance(bob, ann, 'read', END);
        for (const { id } of [first, last]) await write({ type: 'delete', messageId: id, atMs: T0 + 1 });
        expect(await store.listPending(bob, { above: 'received', orSentSinceMs: T0, limit: 9 })).toEqual([kept]);
        await write({ type: 'delete', messageId: kept.id, atMs: T0 + 2 });
        expect(await store.listPending(bob, { above: 'received', orSentSinceMs: T0, limit: 9 })).toEqual([]);
      });

      test('comes page by page through what the cursors leave and what the time adds', async () => {
        const bob = person('bob');
        const others = upTo(12).map(() => person());
        for (let round = 0; round < 8; round += 1) {
          await store.write(
            others.map((other, n) => {
              const atMs = T0 + 10 * round + ((n * 7 + round) % 10);
              return n % 5 === round ? send(bob, other, 'own', { atMs }) : send(other, bob, 'theirs', { atMs });
            }),
          );
        }
        // Of the first nothing is pending, of the last everything, of the others some.
        await store.write(others.map((other, n) => move(bob, other, 'received', n === 11 ? 0 : 9 - n)));
        const lists = await Promise.all(others.map((o) => store.listMessages(bob, o, { afterSeq: 0, limit: 10 })));
        for (const orSentSinceMs of [T0, T0 + 35, T0 + 60]) {
          const expected = lists.flatMap((list, n) =>
            list.filter((m) => m.receiverId === bob && (m.seq > (n === 11 ? 0 : 9 - n) || m.sentAtMs >= orSentSinceMs)),
          );
          for (const limit of [1, 7, 500]) {
            const all: Message[] = [];
            for (let size = limit; size === limit; ) {
              const last = all.at(-1);
              const page = {
                above: 'received',
                orSentSinceMs,
                limit,
                ...(last !== undefined && { after: last }),
              } as const;
              const found = await store.listPending(bob, page);
              all.push(...found);
              size = found.length;
            }
            expect(all.map((m) => m.sentAtMs)).toEqual(expected.map((m) => m.sentAtMs).sort((x, y) => x - y));
            expect(all.map((m) => m.id).toSorted()).toEqual(expected.map((m) => m.id).toSorted());
          }
        }
      });
    });

    describe('sends without an id', () => {
      test('are found by sender, receiver, text and time, the newest first, never others', async () => {
        const [ann, bob] = couple();
        const query = { senderId: ann, receiverId: bob, text: 'hi', fromMs: T0, toMs: T0 + 100 };
        expect(await store.findSendWithoutId(query)).toBeUndefined();
        const first = await append(ann, bob, 'hi', { withoutId: true, atMs: T0 });
        const second = await append(ann, bob, 'hi', { withoutId: true, atMs: T0 + 50 });
        await append(ann, bob, 'hi', { atMs: T0 + 60 });
        await append(bob, ann, 'hi', { withoutId: true, atMs: T0 + 70 });
        const last = await append(ann, bob, 'hi', { withoutId: true, atMs: T0 + 101 });
        expect(await store.findSendWithoutId(query)).toEqual(second);
        expect(await store.findSendWithoutId({ ...query, toMs: T0 + 49 })).toEqual(first);
        expect(await store.findSendWithoutId({ ...query, fromMs: T0 + 51 })).toBeUndefined();
        expect(await store.findSendWithoutId({ ...query, fromMs: T0 + 101, toMs: T0 + 101 })).toEqual(last);
        expect(await store.findSendWithoutId({ ...query, text: 'Hi' })).toBeUndefined();
        expect(await store.findSendWithoutId({ ...query, senderId: person() })).toBeUndefined();
      });
    });

    describe('under any interleaving', () => {
      const kinds = fc.constantFrom<CursorKind>('received', 'delivered', 'read');
      const index = fc.nat(2);
      const command = fc.oneof(
        {
          weight: 5,
          arbitrary: fc.record({
            do: fc.constant('append' as const),
            from: index,
            to: index,
            id: fc.option(fc.nat(4)),
            time: fc.nat(50),
          }),
        },
        {
          weight: 4,
          arbitrary: fc.record({
            do: fc.constant('advance' as const),
            from: index,
            to: index,
            kind: kinds,
            seq: fc.oneof(fc.nat(12), fc.constant(END)),
            hole: fc.option(fc.nat(8)),
            time: fc.nat(50),
          }),
        },
        { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), nth: fc.nat(20), time: fc.nat(50) }) },
        {
          weight: 1,
          arbitrary: fc.record({ do: fc.constant('bind' as const), from: index, nth: fc.nat(20), id: fc.nat(4) }),
        },
      );

      test('agrees with the model: outcomes, statuses, unread as a recount, pending', async () => {
        await fc.assert(
          fc.asyncProperty(
            fc.array(fc.array(command, { minLength: 1, maxLength: 6 }), { maxLength: 15 }),
            fc.nat(50),
            async (batches, sinceMs) => {
              const model = new MessageStoreModel();
              const trio = [person('a'), person('b'), person('c')] as const;
              const ids: string[] = [];
              for (const batch of batches) {
                const operations: WriteOp[] = [];
                for (const item of batch) {
                  if (item.do === 'append') {
                    const [from, to] = [trio[item.from] ?? '', trio[item.to] ?? ''];
                    if (from === to) continue;
                    const client = item.id === null ? {} : { clientMessageId: `c${item.id}`, digest: to };
                    const op = send(from, to, 'text', { atMs: T0 + item.time, ...client });
                    ids.push(op.id);
                    operations.push(op);
                  } else if (item.do === 'advance') {
                    if (item.from === item.to) continue;
                    const op = move(trio[item.from] ?? '', trio[item.to] ?? '', item.kind, item.seq, T0 + item.time);
                    operations.push(item.hole === null ? op : ({ ...op, withoutHoleBelow: item.hole } as WriteOp));
                  } else {
                    const messageId = ids[item.nth] ?? 'nobody';
                    if (item.do === 'delete') operations.push({ type: 'delete', messageId, atMs: T0 + item.time });
                    else {
                      const senderId = trio[item.from] ?? '';
                      operations.push({
                        type: 'bind',
                        senderId,
                        clientMessageId: `c${item.id}`,
                        digest: 'b',
                        messageId,
                      });
                    }
                  }
                }
                expect(await store.write(operations)).toEqual(operations.map((operation) => model.write(operation)));
              }
              for (const own of trio) {
                const counts = new Map((await store.unreadCounts(own)).map((item) => [item.otherId, item.count]));
                const pendingIds: Record<CursorKind, string[]> = { received: [], delivered: [], read: [] };
                for (const other of trio) {
                  if (other === own) continue;
                  expect(counts.get(other) ?? 0).toBe(model.unread(own, other));
                  expect(await store.listMessages(own, other, { afterSeq: 0, limit: 200 })).toEqual(
                    model.views(own, other),
                  );
                  const view = await store.findConversation(own, other);
                  expect(view?.unreadCount ?? 0).toBe(model.unread(own, other));
                  if (view !== undefined) {
                    expect(view.own).toEqual(model.cursors(own, other));
                    expect(view.lastMessage).toEqual(model.views(own, other).at(-1));
                  }
                  for (const above of ['received', 'delivered', 'read'] as const) {
                    pendingIds[above].push(...model.pending(own, other, above).map((m) => m.id));
                  }
                }
                for (const above of ['received', 'delivered', 'read'] as const) {
                  const pending = await store.listPending(own, { above, limit: 200 });
                  expect(pending.map((m) => m.id).toSorted()).toEqual(pendingIds[above].toSorted());
                  const orSentSinceMs = T0 + sinceMs;
                  const more = await store.listPending(own, { above, orSentSinceMs, limit: 200 });
                  const others = trio.filter((other) => other !== own);
                  const expected = others.flatMap((other) => model.pending(own, other, above, orSentSinceMs));
                  expect(more.map((m) => m.id).toSorted()).toEqual(expected.map((m) => m.id).toSorted());
                }
              }
            },
          ),
          { numRuns: 60 },
        );
      });
    });
  });
}
