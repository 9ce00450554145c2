/** A store that is locked, damaged or full: everybody is told in the words of their protocol, and it heals by itself. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { openPage } from './support/pages.ts';
import { typedClient } from './support/rpc-clients.ts';
import { reasonOf, retryDelayMs } from './support/rpc-errors.ts';
import { startServer, type TestServer, temporaryFolder, tokenFor } from './support/server.ts';

const SEND_FAILED = 'An error occurred while sending your message';

/** Sends through each door while the store is in trouble, and shows that it heals and that nothing half-written stays. */
async function suffers(server: TestServer, trouble: { begin(): void; end(): void }): Promise<void> {
  using client = typedClient(server.url, await tokenFor('alice'));
  await using page = await openPage(server, 'alice');
  const before = await client.chat.sendMessage({ receiverId: 'bob', text: 'before' });
  const request = { receiverId: 'bob', text: 'by RPC', clientMessageId: 'by RPC' };
  const rest = (text: string) =>
    page.rest('POST', '/api/chat/send', { senderId: 'alice', receiverId: 'bob', message: text, timestamp: text });

  trouble.begin();
  try {
    const error = await client.chat.sendMessage(request).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(reasonOf(error)).toBe('Unavailable STORE_UNAVAILABLE');
    expect(retryDelayMs(error)).toBeGreaterThan(0);
    const hubError = await page.send('alice', 'bob', 'by hub').then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(String(hubError)).toMatch(new RegExp(`HubException: ${SEND_FAILED}$`));
    const refused = await rest('by REST');
    expect(refused).toMatchObject({ status: 503, body: { error: SEND_FAILED, message: SEND_FAILED } });
  } finally {
    trouble.end();
  }

  await expect.poll(() => client.chat.sendMessage(request).then(({ duplicate }) => duplicate, reasonOf)).toBe(false);
  const hubId = await page.send('alice', 'bob', 'by hub');
  expect(await rest('by REST')).toMatchObject({ status: 200 });
  const { messages } = await client.chat.listMessages({ otherUserId: 'bob' });
  expect(messages.map(({ text }) => text)).toEqual(['before', 'by RPC', 'by hub', 'by REST']);
  expect(messages.map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
  expect(messages[0]?.id).toBe(before.message?.id);
  expect(messages[2]?.id).toBe(hubId);
  expect(page.hub.state).toBe('Connected');
}

it('a store that somebody else has locked refuses, and takes messages again when the lock is gone', async () => {
  await using server = await startServer({ LOG_LEVEL: 'silent' });
  const intruder = new DatabaseSync(join(server.dataDir, 'chat.sqlite'), { timeout: 5000 });
  await suffers(server, {
    begin: () => intruder.exec('BEGIN EXCLUSIVE'),
    end: () => intruder.exec('ROLLBACK'),
  });
  intruder.close();
});

it('a store whose tables are damaged refuses, and works again when they are mended', async () => {
  await using server = await startServer({ LOG_LEVEL: 'silent' });
  const intruder = new DatabaseSync(join(server.dataDir, 'chat.sqlite'), { timeout: 5000 });
  await suffers(server, {
    begin: () => intruder.exec('ALTER TABLE message RENAME TO message_lost'),
    end: () => intruder.exec('ALTER TABLE message_lost RENAME TO message'),
  });
  intruder.close();
});

it('a file that turns to garbage is answered with errors, and loses nothing once it is restored', async () => {
  await using server = await startServer({ LOG_LEVEL: 'silent' });
  using alice = typedClient(server.url, await tokenFor('alice'));
  const acknowledged = new Map<string, string>();
  const send = async (n: number): Promise<void> => {
    const request = { receiverId: `bob ${n % 20}`, text: `${n} ${'x'.repeat(2000)}`, clientMessageId: `${n}` };
    const { message } = await alice.chat.sendMessage(request);
    acknowledged.set(`${n}`, message?.id ?? '');
  };
  await Promise.all(Array.from({ length: 1000 }, (_, n) => send(n)));
  const file = join(server.dataDir, 'chat.sqlite');
  // It stays open, so that the server's connections are never the last and the log is never copied into the garbage.
  const intruder = new DatabaseSync(file, { timeout: 5000 });
  intruder.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  const whole = readFileSync(file);
  overwrite(file, Buffer.alloc(whole.length, 0xaa));
  const reasons = new Set<string>();
  const read = async (other: number) => {
    const { messages } = await alice.chat.listMessages({ otherUserId: `bob ${other}`, pageSize: 200 });
    return messages.map(({ id }) => id);
  };
  for (let n = 0; n < 20; n += 1) {
    await read(n).catch((error: unknown) => reasons.add(reasonOf(error)));
    await send(1000 + n).catch((error: unknown) => reasons.add(reasonOf(error)));
  }
  expect([...reasons]).toEqual(['Unavailable STORE_UNAVAILABLE']);

  overwrite(file, whole);
  await expect.poll(() => read(0).then(() => 'read', reasonOf)).toBe('read');
  for (let n = 0; n < 20; n += 1) await send(1000 + n);
  const found = (await Promise.all(Array.from({ length: 20 }, (_, other) => read(other)))).flat();
  expect(found.toSorted()).toEqual([...acknowledged.values()].toSorted());
  expect(found).toHaveLength(1020);
  intruder.close();
});

/** Replaces what is in a file that others have open. */
function overwrite(file: string, bytes: Buffer): void {
  const handle = openSync(file, 'r+');
  writeSync(handle, bytes, 0, bytes.length, 0);
  closeSync(handle);
}

const canMount = process.platform === 'linux' && process.getuid?.() === 0;

it.skipIf(!canMount)(
  'a full disk refuses what does not fit, keeps what it acknowledged, and goes on when there is room (needs root)',
  async ({ skip }) => {
    const folder = await temporaryFolder();
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder]);
    if (mounted.status !== 0) skip('mounting is not allowed here');
    try {
      await using server = await startServer({ DATA_DIR: folder, LOG_LEVEL: 'silent' });
      using client = typedClient(server.url, await tokenFor('alice'));
      await using page = await openPage(server, 'alice');
      const acknowledged: string[] = [];
      const send = async (text: string): Promise<void> => {
        const { message } = await client.chat.sendMessage({ receiverId: 'bob', text });
        acknowledged.push(message?.id ?? '');
      };
      let error: unknown;
      for (let n = 0; error === undefined; n += 1) {
        expect(n).toBeLessThan(2000);
        await send(`${n} ${'x'.repeat(4900)}`).catch((thrown: unknown) => {
          error = thrown;
        });
      }
      expect(reasonOf(error)).toBe('Unavailable STORE_UNAVAILABLE');
      expect(acknowledged.length).toBeGreaterThan(10);
      const hubError = await page.send('alice', 'bob', 'x'.repeat(4900)).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(String(hubError)).toMatch(new RegExp(`HubException: ${SEND_FAILED}$`));
      const newest = await client.chat.listMessages({ otherUserId: 'bob', pageSize: 10 });
      expect(newest.messages.map(({ id }) => id)).toEqual(acknowledged.slice(-10));

      expect(spawnSync('mount', ['-o', 'remount,size=64m', folder]).status).toBe(0);
      await expect
        .poll(() => send('there is room again').then(() => 'sent', reasonOf), { timeout: 10_000 })
        .toBe('sent');
      const all: string[] = [];
      for (let more = true; more; ) {
        const start = { case: 'afterSeq' as const, value: all.length };
        const { hasMore, messages } = await client.chat.listMessages({ otherUserId: 'bob', pageSize: 200, start });
        all.push(...messages.map(({ id }) => id));
        more = hasMore;
      }
      expect(all).toEqual(acknowledged);
    } finally {
      spawnSync('umount', [folder]);
      await rm(folder, { recursive: true, force: true });
    }
  },
);
