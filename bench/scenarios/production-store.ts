/**
 * Scenario 8: the MongoDB store by itself. Group commit against one insert per round trip, round trips that are waited for,
 * bytes per message, and a page of conversations whatever their number. On each server of this machine; where it is not
 * MongoDB, throughput says nothing of MongoDB's, while counts and sizes of documents are the same.
 */
import { GroupCommit } from '../../src/core/group-commit.ts';
import { newId } from '../../src/core/ids.ts';
import type { AdvanceOp, AppendOp, WriteOp } from '../../src/core/ports.ts';
import { openMongoStore } from '../../src/store/mongo/store.ts';
import { type Seed, seedConversations } from '../../test/fixtures/seeded-conversations.ts';
import { CommandLog, returnedBySum, roundTrips } from '../../test/servers/mongo-commands.ts';
import type { MongoServerChoice, MongoServerKind } from '../../test/servers/mongo-servers.ts';
import type { Figure, ScenarioResult } from '../figures.ts';
import { sleep } from '../load/window.ts';
import { bytesPerMessage } from '../production/bytes.ts';
import { availableMongoServers, describeServer } from '../production/pair.ts';
import { median } from '../statistics.ts';
import { makeUsers, type ScenarioContext } from './context.ts';

/** In pairs. With more, a batch of updates takes FerretDB longer than the store waits for an answer. */
const SENDERS: Readonly<Record<MongoServerKind, number>> = { MongoDB: 200, 'mongo-java-server': 200, FerretDB: 20 };
const TEXT = 'A message of eighty characters, as people write them on their way to work, mostly.'.slice(0, 80);
/** By how much group commit should be faster than one insert per round trip. */
const LEAST_GAIN = 5;
const MOST_TRIPS_SENDING = 2;
const MOST_TRIPS_ACKNOWLEDGING = 1;
const CONVERSATIONS = 10_000;
/** A million messages in all; the stand-in goes through all there are for each read, and of more does not answer in time. */
const MESSAGES_EACH: Readonly<Record<MongoServerKind, number>> = {
  MongoDB: 100,
  FerretDB: 100,
  'mongo-java-server': 20,
};
const PAGE = 50;

type Write = (operations: readonly WriteOp[]) => Promise<unknown>;

export async function measureProductionStore(context: ScenarioContext): Promise<ScenarioResult> {
  const servers = await availableMongoServers();
  if (servers.length === 0) return { figures: [], notes: ['skipped: no server that speaks the protocol of MongoDB'] };
  const figures: Figure[] = [];
  for (const choice of servers) {
    context.progress(`  ${describeServer(choice.kind)}`);
    figures.push(...(await measureServer(context, choice)));
  }
  return {
    figures,
    notes: [
      ...servers.map(({ kind }) => describeServer(kind)),
      'senders are in pairs, each waits for its answer before its next message; 80-character messages',
      'one insert per round trip: insertOne of the same message document, w: majority, j: true, nothing else stored; a send stores ids, journal and two rows as well',
      'round trips: commands that had to be waited for one after the other, by the events of the driver; side by side is one',
      'bytes: BSON of the documents a message adds plus the keys of their indexes, before compression',
    ],
  };
}

async function measureServer(context: ScenarioContext, choice: MongoServerChoice): Promise<Figure[]> {
  await using server = await choice.start();
  const database = `bench-${newId(Date.now()).slice(-8)}`;
  await using store = await openMongoStore({ uri: server.uri, database, monitorCommands: true });
  const log = new CommandLog();
  log.watch(store.client);
  const commits = new GroupCommit(store.messages);
  const senders = SENDERS[choice.kind];
  const users = makeUsers(6, senders).map(({ id }) => id);
  const partner = (index: number): string => users[index ^ 1] ?? '';
  const send = (index: number): AppendOp => ({
    type: 'append',
    id: newId(Date.now()),
    senderId: users[index] ?? '',
    receiverId: partner(index),
    text: TEXT,
    atMs: Date.now(),
    clientMessageId: newId(Date.now()),
    digest: 'x'.repeat(43),
  });
  const plain = store.client.db(database).collection<{ _id: string }>('plain');
  let seq = 0;
  const insertOne = (index: number): Promise<unknown> => {
    seq += 1;
    const c = `24:${users[index]}${partner(index)}`;
    return plain.insertOne(
      { _id: newId(Date.now()), c, s: seq, f: index & 1, n: seq, at: Date.now(), t: TEXT } as { _id: string },
      { writeConcern: { w: 'majority', journal: true } },
    );
  };
  const commit = (index: number): Promise<unknown> => commits.submit(send(index));
  const { firstWarmUpMs, measureMs, rounds } = context.durations;
  await throughput(senders, commit, firstWarmUpMs);
  await throughput(senders, insertOne, firstWarmUpMs);
  const grouped: number[] = [];
  const single: number[] = [];
  const trips: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    log.take();
    grouped.push(await throughput(senders, commit, measureMs));
    log.take();
    single.push(await throughput(senders, insertOne, measureMs));
    trips.push(await tripsOf(store.messages.write, log, [send(round)]));
  }
  const alone = await throughputAlone((count) => store.messages.write([send(count % senders)]), measureMs);
  const insertAlone = await throughputAlone((count) => insertOne(count % senders), measureMs);
  const figures = throughputFigures(choice.kind, grouped, single, alone, insertAlone);
  if (choice.kind !== 'FerretDB') {
    const acknowledging = await acknowledgementTrips(store.messages.write, log);
    figures.push(...tripFigures(choice.kind, Math.max(...trips), acknowledging));
    figures.push(...(await bytesPerMessage(store.client.db(database), choice.kind)));
    figures.push(...(await measurePage(context, server.uri, choice.kind)));
  }
  await store.client.db(database).dropDatabase();
  return figures;
}

/** Messages per second of all senders, each waiting for its answer. */
async function throughput(senders: number, one: (index: number) => Promise<unknown>, ms: number): Promise<number> {
  const startedAt = performance.now();
  let count = 0;
  const sender = async (index: number): Promise<void> => {
    do {
      await one(index);
      count += 1;
    } while (performance.now() - startedAt < ms);
  };
  await Promise.all(Array.from({ length: senders }, (_, index) => sender(index)));
  return (count * 1000) / (performance.now() - startedAt);
}

/** Messages per second when each is written by itself, one after the other. */
async function throughputAlone(one: (count: number) => Promise<unknown>, ms: number): Promise<number> {
  const startedAt = performance.now();
  let count = 0;
  for (; performance.now() - startedAt < ms; count += 1) await one(count);
  return (count * 1000) / (performance.now() - startedAt);
}

async function tripsOf(write: Write, log: CommandLog, operations: readonly WriteOp[]): Promise<number> {
  // What follows the answer of the last write is no part of this one.
  do await sleep(100);
  while (log.running > 0);
  log.take();
  await write(operations);
  return roundTrips(log.take());
}

/** For the newest message of two people who have written each other before. */
async function acknowledgementTrips(write: Write, log: CommandLog): Promise<number> {
  const [senderId = '', personId = ''] = makeUsers(10, 2).map(({ id }) => id);
  for (const _ of [1, 2]) {
    const atMs = Date.now();
    await write([{ type: 'append', id: newId(atMs), senderId, receiverId: personId, text: TEXT, atMs }]);
  }
  const ack: AdvanceOp = { type: 'advance', personId, otherId: senderId, kind: 'read', toSeq: 2, atMs: Date.now() };
  return tripsOf(write, log, [ack]);
}

function throughputFigures(
  kind: MongoServerKind,
  grouped: number[],
  single: number[],
  alone: number,
  insertAlone: number,
): Figure[] {
  const gain = grouped.map((rate, round) => (single[round] ?? Number.NaN) / rate);
  const rate = (id: string, label: string, values: number[]): Figure => ({
    id: `production.${kind}.${id}`,
    label: `${kind}: ${label}`,
    unit: '1/s',
    ours: median(values),
    oursRounds: values,
    charted: false,
  });
  return [
    rate('grouped', `${SENDERS[kind]} senders, group commit: messages/s`, grouped),
    rate('single', `${SENDERS[kind]} senders, one insert per round trip: messages/s`, single),
    {
      ...rate('gain', 'time of group commit per message, one insert = 1', gain),
      unit: 'x',
      targets: [{ kind: 'atMost', limit: 1 / LEAST_GAIN }],
    },
    rate('alone', 'the store without group commit, one message at a time: messages/s', [alone]),
    rate('insertAlone', 'one insert at a time, one sender: messages/s', [insertAlone]),
  ];
}

function tripFigures(kind: MongoServerKind, sending: number, acknowledging: number): Figure[] {
  const trips = (id: string, label: string, ours: number, limit: number): Figure => ({
    id: `production.${id}`,
    label: `${kind}: ${label}`,
    unit: 'trips',
    ours,
    targets: [{ kind: 'atMost', limit }],
    charted: false,
  });
  return [
    trips('trips.sending', 'round trips that a send waits for', sending, MOST_TRIPS_SENDING),
    trips(
      'trips.acknowledging',
      'round trips that an acknowledgement waits for',
      acknowledging,
      MOST_TRIPS_ACKNOWLEDGING,
    ),
  ];
}

/** The commands and documents of one page, with few conversations and with many. */
async function measurePage(context: ScenarioContext, uri: string, kind: MongoServerKind): Promise<Figure[]> {
  const cost = async (conversations: number, messagesEach: number) => {
    const database = `bench-${newId(Date.now()).slice(-8)}`;
    await using store = await openMongoStore({ uri, database, monitorCommands: true });
    const seed: Seed = { userId: 'nurse', conversations, messagesEach, fromMs: Date.UTC(2026, 0, 1) };
    await seedConversations(store.client.db(database), seed);
    const log = new CommandLog();
    log.watch(store.client);
    await store.messages.listConversations('nurse', { limit: PAGE });
    const commands = log.take();
    await store.client.db(database).dropDatabase();
    return { commands: commands.length, documents: returnedBySum(commands) };
  };
  const messagesEach = context.options.quick ? 10 : MESSAGES_EACH[kind];
  context.progress(`  ${CONVERSATIONS * messagesEach} messages`);
  const few = await cost(100, messagesEach);
  const many = await cost(CONVERSATIONS, messagesEach);
  const total = (CONVERSATIONS * messagesEach).toLocaleString('en-US');
  const figure = (id: string, label: string, ours: number, limit: number): Figure => ({
    id: `production.page.${id}`,
    label: `${kind}: page of ${PAGE} of 10,000 conversations, ${total} messages: ${label}`,
    unit: label,
    ours,
    targets: [{ kind: 'atMost', limit }],
    charted: false,
  });
  return [
    figure('commands', 'commands', many.commands, few.commands),
    figure('documents', 'documents', many.documents, few.documents),
  ];
}
