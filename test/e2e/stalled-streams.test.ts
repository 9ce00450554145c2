/** 200 event streams that nobody reads: each is cut at its bound, memory stays flat, and everybody else is served. */
import { expect, it } from 'vitest';
import { EventFeed } from './support/event-feed.ts';
import { MEMORY_IS_TOLD, residentMb } from './support/process-memory.ts';
import { RestartableServer } from './support/restartable.ts';
import { typedClient } from './support/rpc-clients.ts';
import { tokenFor } from './support/server.ts';
import { StalledStreams } from './support/stalled-streams.ts';

const USERS = 20;
const STREAMS_PER_USER = 10;
const STREAMS = USERS * STREAMS_PER_USER;
/** A reader that stalls holds this, and as much as HTTP/2 lets the server send without being asked for more. */
const QUEUE_MAX_BYTES = 32_768;
const TEXT = 'x'.repeat(5000);
/** What is on the way to a reader that stalls is less than 1 MB. */
const MAX_ROUNDS = 200;
/** Messages that wait for each user: several pages. */
const PENDING = 400;
/** 200 pages of 100 messages of 5 kB are 100 MB, everything that waits is 400 MB. */
const HEAP_MB = 256;
/** The first ones give the heap the size that this traffic needs. */
const GENERATIONS = 4;
const WARM_UP = 2;
/** What a busy heap varies by. Four generations would hold several times as much if anything of them stayed. */
const MAX_GROWTH_MB = 40;

async function openStreams(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^chat_rpc_streams (\d+)$/m.exec(text)?.[1]);
}

it.skipIf(!MEMORY_IS_TOLD)(
  '200 stalled streams are cut at their bound, memory stays flat and a reader that keeps up misses nothing',
  async () => {
    await using server = await RestartableServer.start({
      SESSION_QUEUE_MAX_BYTES: String(QUEUE_MAX_BYTES),
      EVENT_LOG_MAX_EVENTS: '10',
    });
    using alice = typedClient(server.url, await tokenFor('alice'));
    using bob = typedClient(server.url, await tokenFor('bob'));
    const send = async (receiverId: string, text: string): Promise<void> => {
      await alice.chat.sendMessage({ receiverId, text });
    };
    await using reader = await EventFeed.open(bob.chat, 'streamEvents');
    let rounds = 0;
    const peaksMb: number[] = [];
    for (let generation = 0; generation < GENERATIONS; generation += 1) {
      // Others each time: who comes back is replayed what was missed, which is paced and not bounded in bytes.
      const users = Array.from({ length: USERS }, (_, n) => `stalled-${generation}-${n}`);
      using connections = new DisposableStack();
      const stalled: StalledStreams[] = [];
      for (const user of users) {
        stalled.push(connections.use(await StalledStreams.open(server.url, await tokenFor(user), STREAMS_PER_USER)));
      }
      expect(await openStreams(server.url)).toBe(STREAMS + 1);
      let peakMb = 0;
      const lastRound = rounds + MAX_ROUNDS;
      for (; (await openStreams(server.url)) > 1; rounds += 1) {
        expect(rounds).toBeLessThan(lastRound);
        await Promise.all(users.map((user) => send(user, TEXT)));
        await send('bob', `round ${rounds}`);
        await reader.until(() => reader.texts.includes(`round ${rounds}`));
        peakMb = Math.max(peakMb, await residentMb(server.pid));
      }
      peaksMb.push(peakMb);
      await expect.poll(() => stalled.reduce((sum, { ended }) => sum + ended, 0)).toBe(STREAMS);
    }
    expect(Math.max(...peaksMb.slice(WARM_UP)) - Math.max(...peaksMb.slice(0, WARM_UP))).toBeLessThan(MAX_GROWTH_MB);
    expect(reader.texts).toEqual(Array.from({ length: rounds }, (_, round) => `round ${round}`));

    // What they did not take is there when they come back.
    using returning = typedClient(server.url, await tokenFor('stalled-0-0'));
    await using feed = await EventFeed.open(returning.chat, 'streamEvents');
    await feed.until(() => feed.position !== undefined);
    const seqs = feed.messages.map(({ seq }) => seq);
    expect(seqs.length).toBeGreaterThan(3);
    expect(seqs).toEqual(seqs.map((_, index) => index + 1));
  },
  60_000,
);

it('200 streams that stall while they are replayed hold a page each, and are cut at their age', async () => {
  // A heap that has room for a page of each stream, and not for all that is replayed to it.
  await using server = await RestartableServer.start({
    NODE_OPTIONS: `--max-old-space-size=${HEAP_MB}`,
    SESSION_QUEUE_MAX_AGE_MS: '2000',
    EVENT_LOG_MAX_EVENTS: '10',
  });
  using alice = typedClient(server.url, await tokenFor('alice'));
  const users = Array.from({ length: USERS }, (_, n) => `replayed-${n}`);
  for (let n = 0; n < PENDING; n += 1) {
    await Promise.all(users.map((receiverId) => alice.chat.sendMessage({ receiverId, text: TEXT })));
  }
  for (let generation = 0; generation < 2; generation += 1) {
    using connections = new DisposableStack();
    for (const user of users) {
      connections.use(await StalledStreams.open(server.url, await tokenFor(user), STREAMS_PER_USER));
    }
    await expect.poll(() => openStreams(server.url), { timeout: 20_000 }).toBe(0);
    expect(server.isRunning).toBe(true);
  }
  using returning = typedClient(server.url, await tokenFor('replayed-0'));
  await using feed = await EventFeed.open(returning.chat, 'subscribe');
  await feed.until(() => feed.position !== undefined);
  expect(feed.messages.map(({ seq }) => seq)).toEqual(Array.from({ length: PENDING }, (_, index) => index + 1));
}, 60_000);
