/** The server is killed amid writers and started again: nothing that was acknowledged is missing or double. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '../../../../src/core/ids.ts';
import type { Message } from '../../../../src/core/message.ts';
import { openMongoStore } from '../../../../src/store/mongo/store.ts';
import { chooseMongoServers, type RunningMongo } from '../../../servers/mongo-servers.ts';

const WRITERS = 20;
const ROUNDS = 3;
const ACKNOWLEDGED_BEFORE_KILL = 150;

for (const choice of await chooseMongoServers()) {
  const reason = choice.missing ?? (choice.survivesKill ? '' : 'it keeps nothing, or is not ours to kill');
  describe.skipIf(reason !== '')(`${choice.kind} killed amid writers${reason && ` (${reason})`}`, () => {
    let server: RunningMongo;
    beforeAll(async () => {
      server = await choice.start();
    });
    afterAll(() => server[Symbol.asyncDispose]());

    test('has everything that was acknowledged, once, in order, on every list', { timeout: 120_000 }, async () => {
      const options = { uri: server.uri, database: 'chat-crash', serverSelectionTimeoutMs: 20_000 };
      const acknowledged: Message[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        const store = await openMongoStore(options);
        let killing: Promise<void> | undefined;
        let taken = 0;
        const write = async (writer: number): Promise<void> => {
          for (let n = 0; killing === undefined; n += 1) {
            const clientMessageId = `${round}-${writer}-${n}`;
            const text = clientMessageId;
            const [outcome] = await store.messages.write([
              {
                type: 'append',
                id: newId(Date.now()),
                senderId: `sender-${writer}`,
                receiverId: `receiver-${writer % 5}`,
                text,
                atMs: Date.now(),
                clientMessageId,
                digest: text,
              },
            ]);
            if (outcome?.type !== 'appended') throw new Error('It was not appended');
            acknowledged.push(outcome.message);
            taken += 1;
            if (taken === ACKNOWLEDGED_BEFORE_KILL) killing = server.kill();
          }
        };
        await Promise.allSettled(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
        await killing;
        await server.restart();
        await store.close();
      }
      const store = await openMongoStore(options);
      await store.presence.sweep(Date.now() + 60_000);
      expect(acknowledged.length).toBeGreaterThanOrEqual(ROUNDS * ACKNOWLEDGED_BEFORE_KILL);
      for (let writer = 0; writer < WRITERS; writer += 1) {
        const [sender, receiver] = [`sender-${writer}`, `receiver-${writer % 5}`];
        const listed = await store.messages.listMessages(sender, receiver, { afterSeq: 0, limit: 10_000 });
        expect(listed.map(({ seq }) => seq)).toEqual(listed.map((_, index) => index + 1));
        expect(new Set(listed.map(({ text }) => text)).size).toBe(listed.length);
        const bySeq = new Map(listed.map(({ seq, id }) => [seq, id]));
        for (const message of acknowledged.filter(({ senderId }) => senderId === sender)) {
          expect(bySeq.get(message.seq)).toBe(message.id);
        }
        const view = await store.messages.findConversation(receiver, sender);
        expect(view?.unreadCount).toBe(listed.length);
      }
      for (let receiver = 0; receiver < 5; receiver += 1) {
        const partners = await store.messages.listPartners(`receiver-${receiver}`, 100);
        expect(partners).toHaveLength(WRITERS / 5);
        const pending = await store.messages.listPending(`receiver-${receiver}`, { above: 'received', limit: 10_000 });
        const ids = new Set(pending.map(({ id }) => id));
        const own = acknowledged.filter(({ receiverId }) => receiverId === `receiver-${receiver}`);
        expect(own.every(({ id }) => ids.has(id))).toBe(true);
      }
      await store.close();
    });
  });
}
