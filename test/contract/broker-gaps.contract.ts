/** What a Broker must do that several instances share: messages of one conversation in order, each once, none left out. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { StreamEvent } from '../../src/core/events.ts';
import type { AppendEntry, Broker } from '../../src/core/ports.ts';
import type { OpenBroker } from './broker.contract.ts';

function sent(seq: number, senderId = 'alice'): StreamEvent {
  const message = { id: `${senderId}${seq}`, seq, senderId, receiverId: 'bob', text: 'x', sentAtMs: seq };
  return { type: 'messageSent', message };
}

const read: StreamEvent = { type: 'conversationRead', readerId: 'alice', senderId: 'bob', upToSeq: 1, atMs: 0 };

/** Bob's cursor over Alice's messages moves. */
function moved(status: 'delivered' | 'read', fromSeq: number, upToSeq: number): StreamEvent {
  return {
    type: 'statusAdvanced',
    status,
    readerId: 'bob',
    senderId: 'alice',
    fromSeq,
    upToSeq,
    messageIds: [],
    atMs: 0,
  };
}

function deleted(seq: number): StreamEvent {
  const messageId = `alice${seq}`;
  return { type: 'messageDeleted', messageId, seq, senderId: 'alice', receiverId: 'bob', byUserId: 'alice', atMs: 0 };
}

export function describeBrokerGaps(name: string, open: () => Promise<OpenBroker>): void {
  describe(`${name} as a broker of several instances`, () => {
    let opened: OpenBroker;
    let broker: Broker;
    beforeEach(async () => {
      opened = await open();
      broker = opened.broker;
    });
    afterEach(() => opened.close());

    const toBob = (...events: StreamEvent[]): AppendEntry[] => events.map((event) => ({ userId: 'bob', event }));
    async function logged(userId = 'bob'): Promise<string[]> {
      const { epoch } = await broker.top(userId);
      const { entries } = await broker.readSince(userId, { epoch, offset: 0 }, 1000);
      return entries.map(({ event }) => {
        if (event.type === 'messageSent') return event.message.id;
        return event.type === 'statusAdvanced' ? `${event.status} ${event.upToSeq}` : event.type;
      });
    }

    test('a message that is there already is passed over, whoever appends it', async () => {
      expect(await broker.append(toBob(sent(1), sent(2)))).toEqual([]);
      expect(await broker.append(toBob(sent(1), sent(2), sent(3)))).toEqual([]);
      expect(await logged()).toEqual(['alice1', 'alice2', 'alice3']);
    });

    test('before a message whose predecessor is missing the rest of its stream is left out and told, and no other stream', async () => {
      await broker.append(toBob(sent(1)));
      const [before, gap, after] = toBob(read, sent(3), read);
      const other = { userId: 'carol', event: sent(1) };
      const gaps = await broker.append([before, gap, other, after].flatMap((entry) => entry ?? []));
      expect(gaps).toEqual([{ userId: 'bob', afterSeq: 1, entries: [gap, after] }]);
      expect(await logged()).toEqual(['alice1', 'conversationRead']);
      expect(await logged('carol')).toEqual(['alice1']);
    });

    test('a gap is closed by what is missing, in one append with what was left out', async () => {
      await broker.append(toBob(sent(1)));
      const filled = [2, 4].map((seq): AppendEntry => ({ userId: 'bob', event: sent(seq), afterSeq: 1 }));
      expect(await broker.append(filled)).toEqual([]);
      expect(await logged()).toEqual(['alice1', 'alice2', 'alice4']);
      // The slower instance comes with what it had to say.
      expect(await broker.append(toBob(sent(2)))).toEqual([]);
      expect(await logged()).toEqual(['alice1', 'alice2', 'alice4']);
    });

    test('a gap that another instance makes longer is told again', async () => {
      await broker.append(toBob(sent(1)));
      const entry: AppendEntry = { userId: 'bob', event: sent(5), afterSeq: 3 };
      expect(await broker.append([entry])).toEqual([{ userId: 'bob', afterSeq: 1, entries: [entry] }]);
    });

    test('of a conversation that is not known only the first message passes without a word', async () => {
      const [entry] = toBob(sent(7));
      expect(await broker.append(toBob(sent(1, 'carol')))).toEqual([]);
      expect(await broker.append(entry === undefined ? [] : [entry])).toEqual([{ userId: 'bob', entries: [entry] }]);
      expect(await broker.append([{ userId: 'bob', event: sent(7), afterSeq: 0 }])).toEqual([]);
      expect(await broker.append(toBob(sent(8)))).toEqual([]);
      expect(await logged()).toEqual(['carol1', 'alice7', 'alice8']);
    });

    test('a message that was deleted is not told after its deletion', async () => {
      await broker.append(toBob(sent(1)));
      const [early] = toBob(deleted(2));
      expect(await broker.append(early === undefined ? [] : [early])).toEqual([
        { userId: 'bob', afterSeq: 1, entries: [early] },
      ]);
      expect(await broker.append([{ userId: 'bob', event: deleted(2), afterSeq: 1 }])).toEqual([]);
      expect(await broker.append(toBob(sent(2), sent(3), deleted(1)))).toEqual([]);
      expect(await logged()).toEqual(['alice1', 'messageDeleted', 'alice3', 'messageDeleted']);
    });

    test('a message that was told read is not told delivered later', async () => {
      expect(await broker.append(toBob(moved('delivered', 0, 2), moved('read', 0, 4)))).toEqual([]);
      expect(
        await broker.append(toBob(moved('delivered', 2, 3), moved('delivered', 2, 4), moved('read', 0, 3))),
      ).toEqual([]);
      expect(await logged()).toEqual(['delivered 2', 'read 4']);
      // The streams of the reader and of the sender go each their own way.
      await broker.append([{ userId: 'alice', event: moved('delivered', 0, 3) }]);
      expect(await logged('alice')).toEqual(['delivered 3']);
    });

    test.each([
      ['overlaps with what was told', 1],
      ['leaves out a move', 3],
    ])('a move that %s is left out and told', async (_name, fromSeq) => {
      await broker.append(toBob(moved('delivered', 0, 2)));
      const [move] = toBob(moved('delivered', fromSeq, 5));
      const gaps = await broker.append(move === undefined ? [] : [move]);
      expect(gaps).toEqual([{ userId: 'bob', afterSeq: 2, entries: [move] }]);
      expect(await broker.append([{ userId: 'bob', event: moved('delivered', 2, 5), afterSeq: 2 }])).toEqual([]);
      expect(await logged()).toEqual(['delivered 2', 'delivered 5']);
    });

    test('conversations are told apart, in the streams of both people', async () => {
      const both = (event: StreamEvent, other: string): AppendEntry[] => [
        { userId: 'bob', event },
        { userId: other, event },
      ];
      const entries = [...both(sent(1), 'alice'), ...both(sent(1, 'carol'), 'carol'), ...both(sent(2), 'alice')];
      expect(await broker.append(entries)).toEqual([]);
      expect(await logged()).toEqual(['alice1', 'carol1', 'alice2']);
      expect(await logged('alice')).toEqual(['alice1', 'alice2']);
      expect(await logged('carol')).toEqual(['carol1']);
    });

    test('what a stream had is forgotten with its epoch', async () => {
      await broker.append(toBob(sent(1), sent(2)));
      await broker.endEpochs(['bob']);
      const [entry] = toBob(sent(4));
      expect(await broker.append(entry === undefined ? [] : [entry])).toEqual([{ userId: 'bob', entries: [entry] }]);
    });
  });
}
