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
/** What is on the way to 200 readers that stall is less than 1 MB for each. */
const MAX_ROUNDS = 200;
/** 200 queues and windows of 0.1 MB, and what a busy heap varies by. */
const MAX_GROWTH_MB = 80;

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
    const users = Array.from({ length: USERS }, (_, n) => `stalled-${n}`);
    // The heap gets the size that this traffic gives it before anybody stalls.
    for (let n = 0; n < 20; n += 1) await Promise.all(users.map((user) => send(`absent ${user}`, TEXT)));

    using connections = new DisposableStack();
    const stalled: StalledStreams[] = [];
    for (const user of users) {
      stalled.push(connections.use(await StalledStreams.open(server.url, await tokenFor(user), STREAMS_PER_USER)));
    }
    await using reader = await EventFeed.open(bob.chat, 'streamEvents');
    expect(await openStreams(server.url)).toBe(STREAMS + 1);

    const beforeMb = await residentMb(server.pid);
    let peakMb = beforeMb;
    let rounds = 0;
    for (; (await openStreams(server.url)) > 1; rounds += 1) {
      expect(rounds).toBeLessThan(MAX_ROUNDS);
      await Promise.all(users.map((user) => send(user, TEXT)));
      await send('bob', `round ${rounds}`);
      await reader.until(() => reader.texts.includes(`round ${rounds}`));
      peakMb = Math.max(peakMb, await residentMb(server.pid));
    }
    expect(peakMb - beforeMb).toBeLessThan(MAX_GROWTH_MB);
    expect(reader.texts).toEqual(Array.from({ length: rounds }, (_, round) => `round ${round}`));
    await expect.poll(() => stalled.reduce((sum, { ended }) => sum + ended, 0)).toBe(STREAMS);

    // What they did not take is there when they come back.
    using returning = typedClient(server.url, await tokenFor('stalled-0'));
    await using feed = await EventFeed.open(returning.chat, 'streamEvents');
    await feed.until(() => feed.position !== undefined);
    expect(feed.messages.map(({ seq }) => seq)).toEqual(Array.from({ length: rounds }, (_, index) => index + 1));
  },
  60_000,
);
