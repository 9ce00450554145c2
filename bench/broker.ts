/**
 * What the Redis broker costs: CPU of this process per entry appended (by entries per append) and per entry delivered by a
 * second instance, CPU of the Redis server per entry, and the look at the places of streams that are listened to.
 *
 * Run: `node bench/broker.ts [--quick]`, with `REDIS_URL` or `redis-server` on the PATH.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from 'redis';
import { openRedisBroker, type RedisBroker } from '../src/broker/redis/broker.ts';
import type { StreamEvent } from '../src/core/events.ts';
import { newId } from '../src/core/ids.ts';

const quick = process.argv.includes('--quick');
const USERS = 200;
/** Events kept of each user; every phase appends more. */
const EVENTS_KEPT = 20;
/** Messages so far from each sender, who writes to one other only. */
const sent = new Map<string, number>();

const TEXT = 'A message of seventy bytes, as people write them on the way to work..'.slice(0, 70);

/** Counts what a second instance delivers. */
class Listening {
  #heard = 0;
  #wanted = 0;
  #resolve: () => void = () => undefined;

  onEntry(): void {
    this.#heard += 1;
    if (this.#heard === this.#wanted) this.#resolve();
  }

  onTransient(): void {}

  onDoubt(): void {
    throw new Error('A doubt in a bench: the figures are worth nothing');
  }

  /** Resolves when `count` more have come from now on. */
  more(count: number): Promise<void> {
    this.#wanted = this.#heard + count;
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }
}

await withServer(async (url) => {
  const prefix = `carepro_bench_${process.pid}_`;
  await using sender = await openRedisBroker({ url, prefix, maxEvents: EVENTS_KEPT });
  print({ node: process.version, redis: (await serverInfo(url)).version });
  const listening = new Listening();
  for (const batch of [1, 10, 100]) await measure(url, sender, batch, undefined);
  await using receiver = await openRedisBroker({ url, prefix, maxEvents: EVENTS_KEPT });
  await Promise.all(users(USERS).map((userId) => receiver.subscribe(userId, listening)));
  for (const batch of [1, 10, 100]) await measure(url, sender, batch, listening);
  await measureChecks(receiver, listening);
});

/** One append at a time, as the publisher does; each message goes to the streams of two people. */
async function measure(
  url: string,
  sender: RedisBroker,
  batch: number,
  listening: Listening | undefined,
): Promise<void> {
  const run = async (messages: number): Promise<void> => {
    const delivered = listening?.more(messages * 2);
    for (let done = 0; done < messages; done += batch) {
      const entries = Array.from({ length: batch }, (_, index) => {
        const pair = (done + index) % USERS;
        const people = [`user-${pair}`, `user-${(pair + 1) % USERS}`] as const;
        const event = message(...people);
        return people.map((userId) => ({ userId, event }));
      }).flat();
      await sender.append(entries);
    }
    await delivered;
  };
  await run(2000);
  const messages = quick ? 4000 : batch === 1 ? 20_000 : 60_000;
  const serverBefore = await serverInfo(url);
  const before = process.cpuUsage();
  const startMs = performance.now();
  await run(messages);
  const { user, system } = process.cpuUsage(before);
  const elapsedMs = performance.now() - startMs;
  const serverAfter = await serverInfo(url);
  print({
    'messages per append (two entries each)': batch,
    delivered: listening === undefined ? 'to nobody' : 'both entries, same process',
    'CPU µs per message': ((user + system) / messages).toFixed(1),
    'per entry': ((user + system) / messages / 2).toFixed(1),
    'Redis CPU µs per entry': ((serverAfter.cpuUs - serverBefore.cpuUs) / messages / 2).toFixed(1),
    'messages/s': Math.round((messages * 1000) / elapsedMs),
    'bytes in Redis per entry kept': Math.round(serverAfter.memoryBytes / (USERS * EVENTS_KEPT)),
  });
}

/** The look at the places of many streams, which every instance takes every ten seconds. */
async function measureChecks(receiver: RedisBroker, listening: Listening): Promise<void> {
  const count = quick ? 2000 : 20_000;
  await Promise.all(users(count).map((userId) => receiver.subscribe(userId, listening)));
  for (const userId of users(count)) await receiver.top(userId);
  await receiver.check();
  const before = process.cpuUsage();
  await receiver.check();
  const { user, system } = process.cpuUsage(before);
  print({ 'streams looked at': count, 'CPU µs per stream': ((user + system) / count).toFixed(2) });
}

/** The next message of a conversation: out of its order a shared broker would leave it out. */
function message(senderId: string, receiverId: string): StreamEvent {
  const sentAtMs = Date.now();
  const seq = (sent.get(senderId) ?? 0) + 1;
  sent.set(senderId, seq);
  return { type: 'messageSent', message: { id: newId(sentAtMs), seq, senderId, receiverId, text: TEXT, sentAtMs } };
}

function users(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `user-${index}`);
}

function print(row: Record<string, string | number>): void {
  const cells = Object.entries(row).map(([name, value]) => `${name} ${value}`);
  process.stdout.write(`${cells.join(' · ')}\n`);
}

async function serverInfo(
  url: string,
): Promise<{ readonly version: string; readonly cpuUs: number; readonly memoryBytes: number }> {
  const client = createClient({ url });
  await client.connect();
  const info = await client.info();
  client.destroy();
  const value = (name: string): string => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1] ?? '0';
  const seconds = Number(value('used_cpu_sys')) + Number(value('used_cpu_user'));
  return { version: value('redis_version'), cpuUs: seconds * 1e6, memoryBytes: Number(value('used_memory_dataset')) };
}

async function withServer(use: (url: string) => Promise<void>): Promise<void> {
  const given = process.env.REDIS_URL;
  if (given !== undefined) return use(given);
  const port = await freePort();
  const dir = await mkdtemp(join(tmpdir(), 'broker-bench-'));
  const server = spawn('redis-server', ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir, '--save', '']);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.stdout.on('data', (chunk: Buffer) => chunk.includes('Ready to accept') && resolve());
    });
    await use(`redis://127.0.0.1:${port}`);
  } finally {
    server.kill('SIGKILL');
    await rm(dir, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('No port');
  return address.port;
}
