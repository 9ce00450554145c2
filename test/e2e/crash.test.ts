/**
 * The server process is killed amid 2,000 sends, ten times, always on the same data. What was acknowledged is there once,
 * in order, and reaches its receiver, who was away, through either door; a retry under the same client id is no second
 * message; nothing is ever there twice.
 */
import { expect, test } from 'vitest';
import type { Message } from '../../gen/carepro/chat/v1/types_pb.ts';
import { hubReceiver, type Receiver, streamReceiver } from './support/receivers.ts';
import { RestartableServer } from './support/restartable.ts';
import { typedClient } from './support/rpc-clients.ts';
import { tokenFor } from './support/server.ts';
import { hubSender, pick, type Sender, type Sent, storm, typedSender } from './support/storm.ts';

const ROUNDS = 10;
const SENDS = 2000;
const SENDERS_PER_DOOR = 8;

/** Half of them on hub connections, half on typed ones, in turns. */
async function openSenders(server: { url: string }): Promise<Sender[]> {
  const senders: Promise<Sender>[] = [];
  for (let n = 0; n < SENDERS_PER_DOOR; n += 1) {
    senders.push(hubSender(server, `hub-sender-${n}`));
    const transport = n % 2 === 0 ? 'connect-node gRPC' : 'connect-node Connect over HTTP/2';
    senders.push(typedSender(server, `typed-sender-${n}`, transport));
  }
  return Promise.all(senders);
}

/** All messages to a receiver by their sender, each conversation in the order of its seq. */
async function conversations(
  server: { url: string },
  receiverId: string,
  senders: readonly Sender[],
): Promise<Map<string, Message[]>> {
  using client = typedClient(server.url, await tokenFor(receiverId));
  const found = new Map<string, Message[]>();
  await Promise.all(
    senders.map(async ({ userId }) => {
      const messages: Message[] = [];
      for (let more = true; more; ) {
        const page = await client.chat.listMessages({
          otherUserId: userId,
          pageSize: 200,
          start: { case: 'afterSeq', value: messages.at(-1)?.seq ?? 0 },
        });
        messages.push(...page.messages);
        more = page.hasMore;
      }
      found.set(userId, messages);
    }),
  );
  return found;
}

/** A live message after everything else shows that all replays are done. */
async function waitForAll(receiver: Receiver, sender: Sender, expected: ReadonlySet<string>): Promise<void> {
  const last = await sender.send(receiver.userId, `The last to ${receiver.userId}`, undefined);
  await receiver.until(() => {
    const ids = new Set(receiver.arrived().map((message) => message.id));
    return ids.has(last) && [...expected].every((id) => ids.has(id));
  });
}

function idsOf(messages: readonly { readonly id: string }[]): string[] {
  return messages.map((message) => message.id);
}

/** Repeats a send twice at once. */
async function retry({ clientMessageId, receiverId, sender, text }: Sent): Promise<string> {
  const send = (): Promise<string> => sender.send(receiverId, text, clientMessageId);
  const [first, second] = await Promise.all([send(), send()]);
  expect(second).toBe(first);
  return first;
}

test('ten kills amid 2,000 sends lose nothing that was acknowledged and double nothing', async () => {
  await using server = await RestartableServer.start();
  const everAcknowledged = new Map<string, Sent>();
  const counts: { acknowledged: number; failed: number; outstanding: number; retried: number }[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    // Receivers of this round, who are away while the messages are sent.
    const names = [`hub-receiver-${round}`, `bidi-receiver-${round}`, `subscriber-${round}`] as const;
    const senders = await openSenders(server);
    const { outstandingAtKill, sent } = await storm({
      senders,
      receivers: names,
      count: SENDS,
      label: `round ${round}`,
      killAfter: 60 * round,
      kill: () => server.stop('SIGKILL'),
    });
    for (const sender of senders) await sender[Symbol.asyncDispose]();
    await server.start();

    const acknowledged = sent.filter((send) => send.acknowledged !== undefined);
    const failed = sent.filter((send) => send.acknowledged === undefined);
    for (const send of acknowledged) everAcknowledged.set(String(send.acknowledged), send);
    const again = await openSenders(server);
    const bySender = new Map(again.map((sender) => [sender.userId, sender]));
    const receivers = await Promise.all([
      hubReceiver(server, names[0]),
      streamReceiver(server, names[1], 'streamEvents'),
      streamReceiver(server, names[2], 'subscribe'),
    ]);
    const retries = failed.filter((send) => send.clientMessageId !== undefined);
    const retried = await Promise.all(
      [...retries, ...acknowledged.filter((send) => send.clientMessageId !== undefined).slice(0, 20)].map(
        async (send) => {
          const sender = bySender.get(send.sender.userId) ?? pick(again, 0);
          const id = await retry({ ...send, sender });
          if (send.acknowledged !== undefined) expect(id).toBe(send.acknowledged);
          return { id, receiverId: send.receiverId };
        },
      ),
    );
    for (const receiver of receivers) {
      const { userId } = receiver;
      const expected = new Set([
        ...acknowledged.filter((send) => send.receiverId === userId).map((send) => String(send.acknowledged)),
        ...retried.filter((send) => send.receiverId === userId).map((send) => send.id),
      ]);
      expect(expected.size).toBeGreaterThan(0);
      await waitForAll(receiver, pick(again, 0), expected);
      const stored = await conversations(server, userId, again);
      const arrived = receiver.arrived();
      // Everything that is stored arrived, once; in each conversation in the order of its seq.
      expect(new Set(idsOf(arrived)).size).toBe(arrived.length);
      for (const [senderId, messages] of stored) {
        expect(idsOf(arrived.filter((message) => message.senderId === senderId))).toEqual(idsOf(messages));
        const seqs = messages.map((message) => message.seq);
        expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
        expect(new Set(seqs).size).toBe(seqs.length);
      }
      const storedMessages = [...stored.values()].flat();
      const texts = storedMessages.map((message) => message.text);
      expect(new Set(texts).size).toBe(texts.length);
      for (const id of expected) expect(storedMessages.some((message) => message.id === id)).toBe(true);
    }
    for (const each of [...receivers, ...again]) await each[Symbol.asyncDispose]();
    counts.push({
      acknowledged: acknowledged.length,
      failed: failed.length,
      outstanding: outstandingAtKill,
      retried: retries.length,
    });
  }

  process.stdout.write(`Kills amid sends: ${JSON.stringify(counts)}\n`);
  expect(counts).toHaveLength(ROUNDS);
  for (const { acknowledged, failed, outstanding, retried } of counts) {
    expect(acknowledged).toBeGreaterThan(0);
    expect(failed).toBeGreaterThan(0);
    expect(outstanding).toBeGreaterThan(0);
    expect(retried).toBeGreaterThan(0);
  }
  // After all the kills, what was acknowledged before the first is still there, with its text.
  const senders = await openSenders(server);
  const receiverIds = new Set([...everAcknowledged.values()].map((send) => send.receiverId));
  expect(receiverIds.size).toBe(3 * ROUNDS);
  const found = new Map<string, string>();
  for (const receiverId of receiverIds) {
    for (const messages of (await conversations(server, receiverId, senders)).values()) {
      for (const message of messages) found.set(message.id, message.text);
    }
  }
  for (const [id, send] of everAcknowledged) expect(found.get(id)).toBe(send.text);
  for (const sender of senders) await sender[Symbol.asyncDispose]();
}, 180_000);

test('a server that is asked to stop amid sends loses nothing that it acknowledged and ends in order', async () => {
  await using server = await RestartableServer.start();
  const senders = await openSenders(server);
  let exitCode: number | null | undefined;
  const { outstandingAtKill, sent } = await storm({
    senders,
    receivers: ['bob'],
    count: SENDS,
    label: 'drain',
    killAfter: 100,
    kill: async () => {
      exitCode = await server.stop('SIGTERM');
    },
  });
  expect(exitCode).toBe(0);
  expect(outstandingAtKill).toBeGreaterThan(0);
  for (const sender of senders) await sender[Symbol.asyncDispose]();
  await server.start();
  await using bob = await hubReceiver(server, 'bob');
  const again = await openSenders(server);
  const acknowledged = new Set(sent.flatMap((send) => send.acknowledged ?? []));
  await waitForAll(bob, pick(again, 0), acknowledged);
  const stored = [...(await conversations(server, 'bob', again)).values()].flat();
  expect(new Set(stored.map((message) => message.text)).size).toBe(stored.length);
  expect(idsOf(bob.arrived()).toSorted()).toEqual(idsOf(stored).toSorted());
  for (const sender of again) await sender[Symbol.asyncDispose]();
}, 60_000);
