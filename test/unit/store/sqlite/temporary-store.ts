/** Stores in directories of their own that are gone after the test. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '../../../../src/core/ids.ts';
import type { Appended, AppendOp, MessageStore } from '../../../../src/core/ports.ts';
import { openSqliteStore, type SqliteStore, type SqliteStoreOptions } from '../../../../src/store/sqlite/store.ts';

export interface TemporaryDirectory extends AsyncDisposable {
  readonly path: string;
}

export async function temporaryDirectory(): Promise<TemporaryDirectory> {
  const path = await mkdtemp(join(tmpdir(), 'store-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export interface TemporaryStore {
  readonly dataDir: string;
  readonly store: SqliteStore;
  close(): Promise<void>;
}

export async function temporaryStore(options: Partial<SqliteStoreOptions> = {}): Promise<TemporaryStore> {
  const directory = await temporaryDirectory();
  const store = await openSqliteStore({ ...options, dataDir: directory.path });
  return {
    dataDir: directory.path,
    store,
    async close() {
      await store.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}

export function message(text = 'hello', more: Partial<AppendOp> = {}): AppendOp {
  const nowMs = Date.now();
  return { type: 'append', id: newId(nowMs), senderId: 'ann', receiverId: 'bob', text, atMs: nowMs, ...more };
}

/** Stores one message and answers its seq. */
export async function append(store: MessageStore, text?: string, more?: Partial<AppendOp>): Promise<number> {
  const [outcome] = await store.write([message(text, more)]);
  if (outcome?.type !== 'appended') throw new Error(`The message was not stored: ${outcome?.type}`);
  return (outcome as Appended).message.seq;
}

export async function texts(store: MessageStore): Promise<string[]> {
  const listed = await store.listMessages('ann', 'bob', { afterSeq: 0, limit: 100_000 });
  return listed.map((item) => item.text);
}
