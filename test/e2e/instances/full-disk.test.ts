/** The disk of the store's server is full: sends are refused, nothing acknowledged is lost, and it goes on when there is room. */
import { spawnSync } from 'node:child_process';
import { ConnectError } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { durableMongoChoice, withReason } from '../support/production.ts';
import { typedClient } from '../support/rpc-clients.ts';
import { startServer, temporaryFolder, tokenFor } from '../support/server.ts';

const choice = durableMongoChoice;
const canMount = process.platform === 'linux' && process.getuid?.() === 0;
const ROOM = choice?.kind === 'MongoDB' ? '400m' : '3m';
const reason =
  choice === undefined
    ? 'no MongoDB of ours that keeps data'
    : (choice.missing ?? (canMount ? undefined : 'needs root'));

describe.skipIf(reason !== undefined)(withReason('A full disk', reason), () => {
  test('refuses what does not fit, keeps what it acknowledged, and goes on when there is room', async ({ skip }) => {
    const folder = await temporaryFolder();
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${ROOM}`, 'tmpfs', folder]).status !== 0) {
      skip('mounting is not allowed here');
    }
    try {
      await using mongo = await choice?.start(folder);
      const env = { MONGODB_URI: mongo?.uri ?? '', MONGODB_DATABASE: 'full', LOG_LEVEL: 'silent' };
      await using server = await startServer(env);
      using client = typedClient(server.url, await tokenFor('alice'));
      const acknowledged: string[] = [];
      const send = async (text: string): Promise<void> => {
        const { message } = await client.chat.sendMessage({ receiverId: 'bob', text });
        acknowledged.push(message?.id ?? '');
      };
      let error: unknown;
      for (let n = 0; error === undefined; n += 1) {
        expect(n).toBeLessThan(100_000);
        await send(`${n} ${'x'.repeat(4900)}`).catch((thrown: unknown) => {
          error = thrown;
        });
      }
      expect(acknowledged.length).toBeGreaterThan(10);
      expect(ConnectError.from(error).rawMessage).toBe('The message store is unavailable, try again');
      expect(spawnSync('mount', ['-o', 'remount,size=1g', folder]).status).toBe(0);
      await expect.poll(() => send('there is room again').then(() => 'sent', String), { timeout: 20_000 }).toBe('sent');
      const stored: string[] = [];
      for (let more = true; more; ) {
        const start = { case: 'afterSeq' as const, value: stored.length };
        const page = await client.chat.listMessages({ otherUserId: 'bob', pageSize: 200, start });
        stored.push(...page.messages.map(({ id }) => id));
        more = page.hasMore;
      }
      // What was refused may have been stored all the same, but what was acknowledged is there, in order.
      const ids = new Set(acknowledged);
      expect(stored.filter((id) => ids.has(id))).toEqual(acknowledged);
      await server[Symbol.asyncDispose]();
    } finally {
      spawnSync('umount', ['-l', folder]);
    }
  }, 120_000);
});
