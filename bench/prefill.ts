/**
 * Fills a store by the store adapter itself, which is faster than sending. Half of the messages belong to one
 * conversation, the rest to many; everything is interleaved in time, both people write, and everything is read, as in a
 * store that has grown.
 */
import { newId } from '../src/core/ids.ts';
import type { WriteOp } from '../src/core/ports.ts';
import { openSqliteStore } from '../src/store/sqlite/store.ts';

export interface Prefilled {
  readonly messages: number;
  /** The other person of each conversation of the reader; the long conversation stands first. */
  readonly otherIds: readonly string[];
}

const BATCH = 500;
const PER_SMALL_CONVERSATION = 1000;
const TEXT = 'a message of seventy characters, as long as those of the other scenarios';

/** Writes `messages` (a multiple of 500) messages of `readerId` into a fresh store. */
export async function prefill(options: {
  readonly dataFolder: string;
  readonly readerId: string;
  readonly messages: number;
  /** Id of the n-th other person. */
  readonly otherId: (index: number) => string;
}): Promise<Prefilled> {
  const { readerId, otherId } = options;
  const batches = Math.ceil(options.messages / BATCH);
  const smallConversations = Math.max(1, Math.floor((batches * BATCH) / 2 / PER_SMALL_CONVERSATION));
  await using store = await openSqliteStore({ dataDir: options.dataFolder });
  const conversation = (other: string, messages: number): WriteOp[] => {
    const atMs = Date.now();
    const read = { type: 'advance', kind: 'read', toSeq: Number.MAX_SAFE_INTEGER, atMs } as const;
    return [
      ...Array.from({ length: messages }, (_, index): WriteOp => {
        const [senderId, receiverId] = index % 2 === 0 ? [readerId, other] : [other, readerId];
        return { type: 'append', id: newId(atMs), senderId, receiverId, text: TEXT, atMs };
      }),
      { ...read, personId: readerId, otherId: other },
      { ...read, personId: other, otherId: readerId },
    ];
  };
  for (let batch = 0; batch < batches; batch++) {
    const small = otherId(1 + (batch % smallConversations));
    const outcomes = await store.messages.write([
      ...conversation(otherId(0), BATCH / 2),
      ...conversation(small, BATCH / 2),
    ]);
    const bad = outcomes.find(({ type }) => type !== 'appended' && type !== 'advanced');
    if (bad !== undefined) {
      throw new Error(`prefill: a write was answered "${bad.type}"`, {
        cause: bad.type === 'failed' ? bad.error : bad,
      });
    }
  }
  return {
    messages: batches * BATCH,
    otherIds: Array.from({ length: 1 + Math.min(batches, smallConversations) }, (_, index) => otherId(index)),
  };
}
