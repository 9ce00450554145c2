/**
 * What the embedded store costs: CPU of the whole process (every thread) per message appended and acknowledged, by batch
 * size; the delay of the event loop at 2,000 messages/s; the newest page in a small and in a large conversation.
 *
 * Run: `node bench/store.ts [--quick]`. Uses a directory of its own under the system's temporary directory.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { GroupCommit } from '../src/core/group-commit.ts';
import { newId } from '../src/core/ids.ts';
import type { AppendOp, MessageStore, WriteOp } from '../src/core/ports.ts';
import { openSqliteStore, type SqliteStore } from '../src/store/sqlite/store.ts';

const quick = process.argv.includes('--quick');
const PAIRS = 100;
const TEXT = 'A message of seventy bytes, as people write them on the way to work..'.slice(0, 70);

type Row = Record<string, string | number>;

interface Place {
  seq: number;
  readonly low: string;
  readonly high: string;
}

const rows: Row[] = [];

await withStore(async (store) => {
  for (const batch of [1, 10, 50, 100]) {
    rows.push(await appendAndAdvance(store.messages, batch, quick ? 4000 : batch === 1 ? 10_000 : 60_000));
  }
});
await withStore(async (store) => {
  for (const receipts of [false, true]) rows.push(await steadyRate(store.messages, receipts, quick ? 3 : 10));
});
await withStore(async (store) => {
  const small = await newestPage(store.messages, 1000);
  const large = await newestPage(store.messages, quick ? 50_000 : 1_000_000);
  rows.push(small, large);
});
for (const row of rows) {
  const cells = Object.entries(row).map(([name, value]) => `${name} ${value}`);
  process.stdout.write(`${cells.join(' · ')}\n`);
}

async function withStore(use: (store: SqliteStore) => Promise<void>): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'store-bench-'));
  try {
    await using store = await openSqliteStore({ dataDir });
    await use(store);
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

function pairs(count: number): Place[] {
  return Array.from({ length: count }, () => ({ seq: 0, low: newId(Date.now()), high: newId(Date.now()) }));
}

function append(place: Place, withClientId = false): AppendOp {
  const nowMs = Date.now();
  place.seq += 1;
  const [senderId, receiverId] = place.seq % 2 === 0 ? [place.low, place.high] : [place.high, place.low];
  const op = { type: 'append', id: newId(nowMs), senderId, receiverId, text: TEXT, atMs: nowMs } as const;
  return withClientId ? { ...op, clientMessageId: newId(nowMs), digest: 'x'.repeat(43) } : { ...op, withoutId: true };
}

/** The receiver's acknowledgement of the newest message. */
function advance(place: Place): WriteOp {
  const [personId, otherId] = place.seq % 2 === 0 ? [place.high, place.low] : [place.low, place.high];
  return { type: 'advance', personId, otherId, kind: 'delivered', toSeq: place.seq, atMs: Date.now() };
}

/** Batches of `size` operations: each batch acknowledges the messages of the one before and appends as many new ones. */
async function appendAndAdvance(store: MessageStore, size: number, messages: number): Promise<Row> {
  const places = pairs(PAIRS);
  let turn = 0;
  const run = async (count: number): Promise<void> => {
    let waiting: Place[] = [];
    for (let done = 0; done < count; ) {
      const operations: WriteOp[] = waiting.map(advance);
      waiting = [];
      while (operations.length < size || waiting.length === 0) {
        const place = places[turn % PAIRS];
        turn += 1;
        if (place === undefined) break;
        operations.push(append(place));
        waiting.push(place);
        done += 1;
        if (waiting.length >= Math.ceil(size / 2)) break;
      }
      await store.write(operations);
    }
  };
  await run(PAIRS * 20);
  const before = process.cpuUsage();
  const startMs = performance.now();
  await run(messages);
  const { user, system } = process.cpuUsage(before);
  const elapsedMs = performance.now() - startMs;
  return {
    'append + advance, operations per batch': size,
    'CPU µs per message': ((user + system) / messages).toFixed(1),
    user: (user / messages).toFixed(1),
    'messages/s': Math.round((messages * 1000) / elapsedMs),
  };
}

/** 2,000 messages/s through group commit, each acknowledged as soon as it is stored. */
async function steadyRate(store: MessageStore, read: boolean, seconds: number): Promise<Row> {
  const commits = new GroupCommit(store);
  const places = pairs(PAIRS);
  const open = new Set<Promise<unknown>>();
  const latencies: number[] = [];
  const send = async (place: Place): Promise<void> => {
    const startMs = performance.now();
    const { seq } = { ...place, seq: place.seq + 1 };
    await commits.submit(append(place, read));
    latencies.push(performance.now() - startMs);
    const ack = { ...advance({ ...place, seq }), ...(read && { kind: 'read' as const }) } as WriteOp & {
      type: 'advance';
    };
    await commits.submit(ack);
  };
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const before = process.cpuUsage();
  const startMs = performance.now();
  let sent = 0;
  while (performance.now() - startMs < seconds * 1000) {
    const due = Math.floor((performance.now() - startMs) * 2);
    for (; sent < due; sent += 1) {
      const place = places[sent % PAIRS];
      if (place === undefined) break;
      const promise = send(place);
      open.add(promise);
      promise.finally(() => open.delete(promise)).catch(() => undefined);
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await Promise.all(open);
  delay.disable();
  const { user, system } = process.cpuUsage(before);
  latencies.sort((a, b) => a - b);
  return {
    [`2,000 messages/s, ${read ? 'client ids, read' : 'no client ids, delivered'}`]: `${sent} sent`,
    'p99 loop delay ms': (delay.percentile(99) / 1e6).toFixed(2),
    'max ms': (delay.max / 1e6).toFixed(1),
    'commit p50 ms': (latencies[Math.floor(latencies.length / 2)] ?? 0).toFixed(2),
    'p99 ms': (latencies[Math.floor(latencies.length * 0.99)] ?? 0).toFixed(2),
    'CPU µs per message': ((user + system) / sent).toFixed(1),
  };
}

async function newestPage(store: MessageStore, size: number): Promise<Row> {
  const [place] = pairs(1);
  if (place === undefined) throw new Error('No pair');
  for (let done = 0; done < size; done += 1000) {
    await store.write(Array.from({ length: Math.min(1000, size - done) }, () => append(place)));
  }
  const read = async (times: number): Promise<void> => {
    for (let index = 0; index < times; index += 1) await store.listMessages(place.low, place.high, { limit: 50 });
  };
  await read(200);
  const before = process.cpuUsage();
  const startMs = performance.now();
  await read(2000);
  const { user, system } = process.cpuUsage(before);
  return {
    'newest 50 of': size,
    'CPU µs': ((user + system) / 2000).toFixed(0),
    'wall µs': (((performance.now() - startMs) * 1000) / 2000).toFixed(0),
  };
}
