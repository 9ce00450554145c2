/**
 * 200 pages hang: their sockets stay open and take nothing. Each is cut at its bound, the memory of the server stays
 * flat, everybody else is served meanwhile, and who comes back is replayed everything.
 */
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { openPage } from './support/pages.ts';
import { RestartableServer } from './support/restartable.ts';
import { typedClient } from './support/rpc-clients.ts';
import { tokenFor } from './support/server.ts';
import { openStalledPage } from './support/stalled-page.ts';

const USERS = 20;
const PAGES_PER_USER = 10;
const QUEUE_MAX_BYTES = 65_536;
const MESSAGES_PER_ROUND = 10;
/** The operating system takes some megabytes for a socket that nobody reads; this is far above. */
const MAX_ROUNDS = 150;
/** Messages to each user before anybody stalls, so that heap and caches have the size that this traffic gives them. */
const WARM_UP_MESSAGES = 200;
/**
 * 200 queues of 0.2 MB at most with their buffers, and what a busy heap varies by. A fifth of what is sent; with a bound
 * of 256 MB per page it grows by 240 MB before the time limit for sending cuts the pages.
 */
const MAX_GROWTH_MB = 150;
/** The longest message, in characters that take three bytes each. */
const FILLING = '語'.repeat(4980);

/** Memory of a process in megabytes, or 0 where the system does not tell. */
async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
}

/** Hub connections that the server has. */
async function hubConnections(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^chat_hub_connections (\d+)$/m.exec(text)?.[1]);
}

test('200 stalled pages are cut at their bound, memory stays flat, and their users get everything when they return', async () => {
  await using server = await RestartableServer.start({
    SESSION_QUEUE_MAX_BYTES: String(QUEUE_MAX_BYTES),
    // The log of events keeps messages in memory too, whoever reads.
    EVENT_LOG_MAX_EVENTS: '10',
  });
  const users = Array.from({ length: USERS }, (_, n) => `hung-${n}`);
  await using bob = await openPage(server, 'bob');
  using sender = typedClient(server.url, await tokenFor('alice'));
  const send = async (receiverId: string, text: string): Promise<string> => {
    const { message } = await sender.chat.sendMessage({ receiverId, text });
    return message?.id ?? '';
  };
  for (let n = 1; n <= WARM_UP_MESSAGES; n += 1) {
    await Promise.all(users.map((user) => send(`absent ${user}`, `${FILLING} ${n}`)));
  }

  const sockets: Socket[] = [];
  for (const user of users) {
    const token = await tokenFor(user);
    const opening = Array.from({ length: PAGES_PER_USER }, () => openStalledPage(server.port, token));
    sockets.push(...(await Promise.all(opening)));
  }
  expect(await hubConnections(server.url)).toBe(USERS * PAGES_PER_USER + 1);
  const sentTo = new Map<string, string[]>(users.map((user) => [user, []]));
  const beforeMb = await residentMb(server.pid);
  let peakMb = beforeMb;
  let round = 0;
  for (let open = Number.POSITIVE_INFINITY; open > 1; open = await hubConnections(server.url)) {
    round += 1;
    expect(round).toBeLessThan(MAX_ROUNDS);
    for (let n = 0; n < MESSAGES_PER_ROUND; n += 1) {
      const ids = await Promise.all(users.map((user) => send(user, `${FILLING} ${round}.${n}`)));
      users.forEach((user, index) => void sentTo.get(user)?.push(ids[index] ?? ''));
    }
    const toBob = await send('bob', `round ${round}`);
    await bob.until(() => bob.received.includes(toBob));
    peakMb = Math.max(peakMb, await residentMb(server.pid));
  }
  const messages = round * MESSAGES_PER_ROUND;
  const sentMb = Math.round((messages * FILLING.length * 3 * USERS * PAGES_PER_USER) / 1_048_576);
  process.stdout.write(
    `Stalled pages: ${messages} messages to each of ${USERS} users, ${sentMb} MB to their ${sockets.length} sockets; ` +
      `server from ${Math.round(beforeMb)} to at most ${Math.round(peakMb)} MB\n`,
  );
  if (beforeMb > 0) expect(peakMb - beforeMb).toBeLessThan(MAX_GROWTH_MB);
  for (const socket of sockets) socket.destroy();

  for (const user of users) {
    await using page = await openPage(server, user);
    const sentinel = await send(user, 'sentinel');
    await page.until(() => page.received.includes(sentinel));
    expect(page.received).toEqual([...(sentTo.get(user) ?? []), sentinel]);
  }
}, 180_000);
