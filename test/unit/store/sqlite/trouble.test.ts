import { copyFile, mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { openSqliteStore } from '../../../../src/store/sqlite/store.ts';
import { mountSmall } from './small-file-system.ts';
import { append, message, temporaryDirectory, temporaryStore, texts } from './temporary-store.ts';

const UNAVAILABLE = { code: 'unavailable', reason: 'STORE_UNAVAILABLE' };

describe('while another program holds the lock', () => {
  test('writes are refused as unavailable, reads go on, and afterwards writes do', async () => {
    const { close, dataDir, store } = await temporaryStore({ busyTimeoutMs: 50 });
    await append(store.messages, 'before');
    const other = new DatabaseSync(join(dataDir, 'chat.sqlite'));
    other.exec('BEGIN IMMEDIATE');
    await expect(append(store.messages, 'lost')).rejects.toMatchObject(UNAVAILABLE);
    await expect(store.users.upsert({ userId: 'ann' })).rejects.toMatchObject(UNAVAILABLE);
    await expect(store.presence.renewLease('i', 1)).rejects.toMatchObject(UNAVAILABLE);
    expect(await texts(store.messages)).toEqual(['before']);
    other.exec('ROLLBACK');
    other.close();
    expect(await append(store.messages, 'after')).toBe(2);
    expect(await texts(store.messages)).toEqual(['before', 'after']);
    await close();
  });
});

describe('when the disk is full', () => {
  test('writes are refused whole, nothing acknowledged is lost, and space brings the store back', async (context) => {
    await using directory = await temporaryDirectory();
    const dataDir = join(directory.path, 'small');
    await mkdir(dataDir);
    const disk = mountSmall(dataDir, 3);
    if (disk === undefined) return context.skip('needs the right to mount a small file system');
    try {
      await using store = await openSqliteStore({ dataDir });
      const kept: string[] = [];
      let refused = 0;
      for (let round = 0; refused < 3; round += 1) {
        const batch = [0, 1, 2, 3].map((n) => `${round}-${n} ${'x'.repeat(4000)}`);
        try {
          await store.messages.write(batch.map((text) => message(text)));
          kept.push(...batch);
        } catch (error) {
          expect(error).toMatchObject(UNAVAILABLE);
          refused += 1;
        }
      }
      expect(kept.length).toBeGreaterThan(50);
      expect(await texts(store.messages)).toEqual(kept);
      disk.remount('size=30m');
      expect(await append(store.messages, 'room again')).toBe(kept.length + 1);
      expect((await texts(store.messages)).at(-1)).toBe('room again');
      await store.close();
    } finally {
      disk.unmount();
    }
  });
});

/** Overwrites all but the first bytes of a file where it stands, as a failing disk would. */
async function damage(path: string, from: number): Promise<void> {
  const file = await open(path, 'r+');
  const { size } = await file.stat();
  await file.write(Buffer.alloc(size - from, 0xa5), 0, size - from, from);
  await file.sync();
  await file.close();
}

async function restore(path: string, content: Buffer): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(content, 0, content.length, 0);
  await file.close();
}

describe('when the file is corrupt', () => {
  test.each([
    ['its pages', 4096],
    ['its header too', 0],
  ])('%s: reads and writes are refused as unavailable, and a repaired file is taken up again', async (_, from) => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, 'chat.sqlite');
    {
      await using store = await openSqliteStore({ dataDir: directory.path });
      for (let n = 0; n < 20; n += 1) {
        await store.messages.write(
          Array.from({ length: 100 }, (_, i) => message(`${n * 100 + i}`, { senderId: `u${i}` })),
        );
      }
    }
    const healthy = await readFile(path);
    await copyFile(path, join(directory.path, 'backup'));
    await using store = await openSqliteStore({ dataDir: directory.path });
    await damage(path, from);
    const read = () => store.messages.listMessages('u7', 'bob', { limit: 100 });
    const write = () => append(store.messages, 'new', { senderId: 'u7' });
    await expect(read()).rejects.toMatchObject(UNAVAILABLE);
    await expect(write()).rejects.toMatchObject(UNAVAILABLE);
    await expect(read()).rejects.toMatchObject(UNAVAILABLE);
    await expect(write()).rejects.toMatchObject(UNAVAILABLE);
    await restore(path, healthy);
    expect(await write()).toBe(21);
    expect((await read()).map((item) => item.text)).toEqual([
      ...Array.from({ length: 20 }, (_, n) => `${n * 100 + 7}`),
      'new',
    ]);
    expect(await append(store.messages, 'other', { senderId: 'u8' })).toBe(21);
  });
});

describe('when a thread of the store dies', () => {
  test('what waited is refused, the next call starts another, and nothing acknowledged is missing', async () => {
    const workers: Worker[] = [];
    const note = (worker: Worker): void => void workers.push(worker);
    process.on('worker', note);
    const crashes: unknown[] = [];
    const { close, store } = await temporaryStore({ onError: (error) => crashes.push(error) });
    try {
      const kept: string[] = [];
      for (let round = 0; round < 6; round += 1) {
        const waiting = Array.from({ length: 40 }, (_, index) => {
          const text = `${round}-${index}`;
          return append(store.messages, text).then(() => kept.push(text));
        });
        const reads = Array.from({ length: 5 }, () => store.messages.listPartners('ann', 10));
        // Listened to before the threads die, which they do one after the other.
        const outcomes = Promise.allSettled([...waiting, ...reads]);
        if (round % 2 === 0) await waiting[10];
        for (const worker of workers.splice(0)) await worker.terminate();
        for (const outcome of await outcomes) {
          if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject(UNAVAILABLE);
        }
        await append(store.messages, `${round}-alive`);
        kept.push(`${round}-alive`);
      }
      const found = await texts(store.messages);
      expect(found.filter((text) => kept.includes(text)).toSorted()).toEqual(kept.toSorted());
      expect(new Set(found).size).toBe(found.length);
      expect(crashes.length).toBeGreaterThanOrEqual(6);
    } finally {
      process.off('worker', note);
      await close();
    }
  });
});
