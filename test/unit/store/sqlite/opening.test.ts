import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { SCHEMA_VERSION } from '../../../../src/store/sqlite/schema.ts';
import { openSqliteStore } from '../../../../src/store/sqlite/store.ts';
import { mountSmall } from './small-file-system.ts';
import { append, temporaryDirectory, texts } from './temporary-store.ts';

const busyProcess = fileURLToPath(new URL('./busy-process.ts', import.meta.url));

describe('opening the SQLite store', () => {
  test('makes the directory, and finds everything again the next time', async () => {
    await using directory = await temporaryDirectory();
    const dataDir = join(directory.path, 'a', 'b');
    {
      await using store = await openSqliteStore({ dataDir });
      await append(store.messages, 'kept');
      await store.users.upsert({ userId: 'ann', name: 'Ann' });
    }
    await using store = await openSqliteStore({ dataDir });
    expect(await texts(store.messages)).toEqual(['kept']);
    expect((await store.users.find(['ann'])).get('ann')?.name).toBe('Ann');
    expect(await append(store.messages, 'next')).toBe(2);
  });

  test('leaves one file and an empty lock when it is closed, and can be closed twice', async () => {
    await using directory = await temporaryDirectory();
    const store = await openSqliteStore({ dataDir: directory.path });
    await append(store.messages);
    await Promise.all([store.close(), store.close()]);
    expect((await readdir(directory.path)).toSorted()).toEqual(['chat.lock', 'chat.sqlite']);
    await expect(store.messages.findMessage('x')).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE' });
    await expect(append(store.messages)).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE' });
  });

  test('finishes what was asked before it closes', async () => {
    await using directory = await temporaryDirectory();
    const store = await openSqliteStore({ dataDir: directory.path });
    const writes = Array.from({ length: 50 }, (_, index) => append(store.messages, `${index}`));
    const read = store.messages.findMessage('x');
    await store.close();
    await expect(Promise.all(writes)).resolves.toHaveLength(50);
    await expect(read).resolves.toBeUndefined();
    await using again = await openSqliteStore({ dataDir: directory.path });
    expect(await texts(again.messages)).toHaveLength(50);
  });

  test('refuses a directory that another store of this process has', async () => {
    await using directory = await temporaryDirectory();
    const first = await openSqliteStore({ dataDir: directory.path });
    await expect(openSqliteStore({ dataDir: directory.path })).rejects.toThrow(/in use by another process; stop/);
    await append(first.messages);
    await first.close();
    await (await openSqliteStore({ dataDir: directory.path })).close();
  });

  test('refuses a directory that another process has, until that is killed', async () => {
    await using directory = await temporaryDirectory();
    const child = spawn(process.execPath, [busyProcess, directory.path, '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    child.stdout.resume();
    await expect(openSqliteStore({ dataDir: directory.path })).rejects.toThrow(/in use by another process; stop/);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await (await openSqliteStore({ dataDir: directory.path })).close();
  });

  test('refuses a schema from the future and says what to do, and leaves it alone', async () => {
    await using directory = await temporaryDirectory();
    await (await openSqliteStore({ dataDir: directory.path })).close();
    const path = join(directory.path, 'chat.sqlite');
    let database = new DatabaseSync(path);
    database.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`);
    database.close();
    await expect(openSqliteStore({ dataDir: directory.path })).rejects.toThrow(
      /has schema 2, this version of the server knows 1; start the newer version, or restore/,
    );
    database = new DatabaseSync(path);
    expect(database.prepare('PRAGMA user_version').get()).toEqual({ user_version: SCHEMA_VERSION + 1 });
    database.close();
  });

  test('refuses the database of another program', async () => {
    await using directory = await temporaryDirectory();
    const database = new DatabaseSync(join(directory.path, 'chat.sqlite'));
    database.exec('CREATE TABLE theirs (a)');
    database.close();
    await expect(openSqliteStore({ dataDir: directory.path })).rejects.toThrow(/belongs to another program/);
  });

  test('refuses a file that is no database', async () => {
    await using directory = await temporaryDirectory();
    await writeFile(join(directory.path, 'chat.sqlite'), 'This is a letter, not a database. '.repeat(300));
    await expect(openSqliteStore({ dataDir: directory.path })).rejects.toThrow(/not a SQLite database; move it away/);
  });

  test('refuses a path that is a file', async () => {
    await using directory = await temporaryDirectory();
    const dataDir = join(directory.path, 'file');
    await writeFile(dataDir, '');
    await expect(openSqliteStore({ dataDir })).rejects.toThrow(/cannot be made|cannot be written/);
  });

  test('refuses a directory that cannot be written', async (context) => {
    await using directory = await temporaryDirectory();
    const dataDir = join(directory.path, 'locked');
    await mkdir(dataDir);
    // The superuser may write everywhere but on a file system that is read-only.
    const disk = process.getuid?.() === 0 ? mountSmall(dataDir, 1) : undefined;
    if (disk === undefined && process.getuid?.() === 0)
      return context.skip('needs the right to mount, or a plain user');
    if (disk === undefined) await chmod(dataDir, 0o500);
    else disk.remount('ro');
    try {
      await expect(openSqliteStore({ dataDir })).rejects.toThrow(/cannot be written; check its owner/);
    } finally {
      if (disk === undefined) await chmod(dataDir, 0o700);
      else disk.unmount();
    }
  });
});
