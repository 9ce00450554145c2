/** Inserts messages of many conversations at once, those of one conversation in order. */
import type { Collection } from 'mongodb';
import { allLimited } from './all-limited.ts';
import type { MessageDocument } from './documents.ts';
import { insertAll } from './failure.ts';

/** Commands side by side that hold the conversations with several messages: a sharded server works through each in order. */
const COMMANDS = 8;
const AT_ONCE = 16;

/** The messages of one conversation, in order. */
export interface Run {
  readonly documents: readonly MessageDocument[];
  /** Told how many of them are durable, and why the next one failed: true if its key was taken; absent if none did. */
  readonly settle: (stored: number, failure?: true | Error) => Promise<void>;
}

/**
 * One round trip if no key is taken. Where one is, what stood behind it in its command goes again, in a command for each
 * conversation.
 */
export async function insertRuns(messages: Collection<MessageDocument>, runs: readonly Run[]): Promise<void> {
  const single = runs.filter(({ documents }) => documents.length === 1);
  const several = runs.filter(({ documents }) => documents.length > 1);
  const size = Math.ceil(several.length / COMMANDS);
  const groups = Array.from({ length: Math.min(COMMANDS, several.length) }, (_, n) =>
    several.slice(n * size, (n + 1) * size),
  );
  await Promise.all([insertSingle(messages, single), ...groups.map((group) => insertInOrder(messages, group))]);
}

async function insertSingle(messages: Collection<MessageDocument>, runs: readonly Run[]): Promise<void> {
  const { failed } = await insertAll(messages, documentsOf(runs));
  await allLimited([...runs.entries()], AT_ONCE, ([at, { settle }]) => settle(failed.has(at) ? 0 : 1, failed.get(at)));
}

/** Nothing is inserted after the first that fails. */
async function insertInOrder(messages: Collection<MessageDocument>, runs: readonly Run[]): Promise<void> {
  const [first] = (await insertAll(messages, documentsOf(runs), true)).failed;
  const left: Run[] = [];
  let from = 0;
  for (const run of runs) {
    const { length } = run.documents;
    const stored = first === undefined ? length : Math.min(length, first[0] - from);
    if (stored === length) await run.settle(length);
    else if (stored >= 0) await run.settle(stored, first?.[1]);
    else left.push(run);
    from += length;
  }
  await allLimited(left, AT_ONCE, (run) => insertInOrder(messages, [run]));
}

function documentsOf(runs: readonly Run[]): MessageDocument[] {
  return runs.flatMap(({ documents }) => documents);
}
