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
      return entries.map(({ event }) => (event.type === 'messageSent' ? event.message.id : event.type));
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
