import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { CursorKind } from '../../../../src/core/message.ts';
import { openSqliteStore } from '../../../../src/store/sqlite/store.ts';
import { temporaryDirectory } from './temporary-store.ts';

const ROUNDS = 10;
const script = fileURLToPath(new URL('./busy-process.ts', import.meta.url));

interface Acknowledged {
  readonly texts: Map<string, Map<number, string>>;
  readonly deleted: Map<string, Set<number>>;
  readonly cursors: Map<string, number>;
}

/** Runs the process until it has acknowledged `facts` things, then kills it; answers how many it did. */
async function runAndKill(dataDir: string, round: number, facts: number, known: Acknowledged): Promise<number> {
  const child = spawn(process.execPath, [script, dataDir, String(round)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let count = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    let fact: unknown[];
    try {
      fact = JSON.parse(line) as unknown[];
    } catch {
      break; // The line in which the process died.
    }
    note(known, fact);
    count += 1;
    if (count === facts) child.kill('SIGKILL');
  }
  return count;
}

function note(known: Acknowledged, fact: unknown[]): void {
  const [what, name, ...rest] = fact as [string, string, ...unknown[]];
  if (what === 'sent') {
    const [seq, text] = rest as [number, string];
    const texts = known.texts.get(name) ?? new Map<number, string>();
    if (texts.has(seq)) throw new Error('One seq was given twice');
    known.texts.set(name, texts.set(seq, text));
  } else if (what === 'deleted') {
    known.deleted.set(name, (known.deleted.get(name) ?? new Set()).add(rest[0] as number));
  } else if (what === 'moved') {
    const [personId, kind, to] = rest as [string, string, number];
    const key = `${name} ${personId} ${kind}`;
    known.cursors.set(key, Math.max(known.cursors.get(key) ?? 0, to));
  }
}

test('after SIGKILL amid writes everything acknowledged is there once, ten times over', {
  timeout: 120_000,
}, async () => {
  await using directory = await temporaryDirectory();
  const known: Acknowledged = { texts: new Map(), deleted: new Map(), cursors: new Map() };
  for (let round = 0; round < ROUNDS; round += 1) {
    expect(await runAndKill(directory.path, round, 400 + round * 137, known)).toBeGreaterThan(300);
  }
  await using store = await openSqliteStore({ dataDir: directory.path });
  for (const [name, texts] of known.texts) {
    const listed = await store.messages.listMessages('hub', name, { afterSeq: 0, limit: 100_000 });
    expect(listed.map((message) => message.seq)).toEqual(listed.map((_, index) => index + 1));
    for (const [seq, text] of texts) {
      const message = listed[seq - 1];
      const gone = known.deleted.get(name)?.has(seq) ?? false;
      if (gone) expect(message?.deletedAtMs).toBeDefined();
      if (message?.deletedAtMs === undefined) expect(message?.text).toBe(text);
    }
    const living = listed.filter((message) => message.deletedAtMs === undefined).map((message) => message.text);
    expect(new Set(living).size).toBe(living.length);
  }
  for (const [key, to] of known.cursors) {
    const [name = '', personId = '', kind] = key.split(' ');
    const view = await store.messages.findConversation(personId, personId === 'hub' ? name : 'hub');
    expect(view?.own[kind as CursorKind]).toBeGreaterThanOrEqual(to);
  }
});
