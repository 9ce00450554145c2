import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GroupCommit } from '../../../src/core/group-commit.ts';
import type { AppendOp, WriteOp, WriteOutcome } from '../../../src/core/ports.ts';
import { settle } from '../../fixtures/settle.ts';

function append(number: number): AppendOp {
  return { type: 'append', id: `m${number}`, senderId: 'alice', receiverId: 'bob', text: 'x', atMs: number };
}

function stored(operation: WriteOp): WriteOutcome {
  if (operation.type !== 'append') throw new Error('Only appends here');
  const { id, senderId, receiverId, text, atMs } = operation;
  return { type: 'appended', message: { id, seq: 1, senderId, receiverId, text, sentAtMs: atMs }, duplicate: false };
}

/** A store whose flushes end when the test says so. */
class GatedStore {
  readonly batches: (readonly WriteOp[])[] = [];
  readonly #gates: PromiseWithResolvers<WriteOutcome[] | undefined>[] = [];
  inFlight = 0;
  mostInFlight = 0;

  async write(operations: readonly WriteOp[]): Promise<WriteOutcome[]> {
    this.batches.push(operations);
    this.inFlight += 1;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    const gate = Promise.withResolvers<WriteOutcome[] | undefined>();
    this.#gates.push(gate);
    try {
      return (await gate.promise) ?? operations.map(stored);
    } finally {
      this.inFlight -= 1;
    }
  }

  async finish(outcomes?: WriteOutcome[]): Promise<void> {
    this.#gates.shift()?.resolve(outcomes);
    await settle();
  }

  async fail(error: Error): Promise<void> {
    this.#gates.shift()?.reject(error);
    await settle();
  }
}

const sizes = (store: GatedStore): number[] => store.batches.map((batch) => batch.length);

describe('group commit', () => {
  test('puts what is submitted in one turn into one commit, and what comes meanwhile into the next', async () => {
    const store = new GatedStore();
    const commits = new GroupCommit(store);
    const first = [1, 2, 3].map((number) => commits.submit(append(number)));
    await settle();
    const second = [4, 5].map((number) => commits.submit(append(number)));
    await settle();
    expect(sizes(store)).toEqual([3]);
    await store.finish();
    await Promise.all(first);
    expect(sizes(store)).toEqual([3, 2]);
    await store.finish();
    await Promise.all(second);
    expect(store.mostInFlight).toBe(1);
  });

  test('answers nothing before the commit', async () => {
    const store = new GatedStore();
    let answered = false;
    void new GroupCommit(store).submit(append(1)).then(() => {
      answered = true;
    });
    await settle();
    expect(answered).toBe(false);
    await store.finish();
    expect(answered).toBe(true);
  });

  test('settles in the order of submission, whatever becomes of the single ones', async () => {
    const store = new GatedStore();
    const commits = new GroupCommit(store, { maxBatch: 3 });
    const settled: string[] = [];
    for (let number = 1; number <= 7; number += 1) {
      const note = (): unknown => settled.push(`m${number}`);
      commits.submit(append(number)).then(note, note);
    }
    await settle();
    await store.finish([stored(append(1)), { type: 'failed', error: new Error('bad') }, stored(append(3))]);
    await store.fail(new Error('away'));
    await store.finish();
    expect(settled).toEqual(['m1', 'm2', 'm3', 'm4', 'm5', 'm6', 'm7']);
  });

  test('fails one bad item alone', async () => {
    const store = new GatedStore();
    const commits = new GroupCommit(store);
    const results = Promise.allSettled([1, 2, 3].map((number) => commits.submit(append(number))));
    await settle();
    const error = new Error('bad item');
    await store.finish([stored(append(1)), { type: 'failed', error }, stored(append(3))]);
    expect(await results).toMatchObject([
      { status: 'fulfilled', value: { message: { id: 'm1' } } },
      { status: 'rejected', reason: error },
      { status: 'fulfilled', value: { message: { id: 'm3' } } },
    ]);
  });

  test('fails the whole of a commit that failed, and nothing of the next', async () => {
    const store = new GatedStore();
    const commits = new GroupCommit(store);
    const first = Promise.allSettled([1, 2].map((number) => commits.submit(append(number))));
    await settle();
    const next = commits.submit(append(3));
    const error = new Error('disk full');
    await store.fail(error);
    expect(await first).toEqual([
      { status: 'rejected', reason: error },
      { status: 'rejected', reason: error },
    ]);
    await store.finish();
    expect(await next).toMatchObject({ message: { id: 'm3' } });
  });

  test('survives a store that throws instead of rejecting', async () => {
    let throws = true;
    const commits = new GroupCommit({
      write: (operations) => {
        if (throws) throw new Error('closed');
        return Promise.resolve(operations.map(stored));
      },
    });
    await expect(commits.submit(append(1))).rejects.toThrow('closed');
    throws = false;
    await expect(commits.submit(append(2))).resolves.toMatchObject({ message: { id: 'm2' } });
  });

  test('fails the items that a store forgot to answer', async () => {
    const store = new GatedStore();
    const commits = new GroupCommit(store);
    const results = Promise.allSettled([1, 2].map((number) => commits.submit(append(number))));
    await settle();
    await store.finish([stored(append(1))]);
    expect((await results).map((result) => result.status)).toEqual(['fulfilled', 'rejected']);
  });

  test('bounds a commit', async () => {
    const store = new GatedStore();
    const commits = new GroupCommit(store, { maxBatch: 2 });
    for (let number = 1; number <= 5; number += 1) void commits.submit(append(number));
    await settle();
    for (let flush = 0; flush < 3; flush += 1) await store.finish();
    expect(sizes(store)).toEqual([2, 2, 1]);
  });

  test('refuses more than may wait, with a hint when to come again, and takes more when there is room', async () => {
    const store = new GatedStore();
    const commits = new GroupCommit(store, { maxBatch: 2, maxWaiting: 3 });
    for (let number = 1; number <= 3; number += 1) void commits.submit(append(number));
    await expect(commits.submit(append(4))).rejects.toMatchObject({
      code: 'resourceExhausted',
      reason: 'OVERLOADED',
      retryAfterMs: 1000,
    });
    await settle();
    void commits.submit(append(5));
    for (let flush = 0; flush < 3; flush += 1) await store.finish();
    expect(store.batches.flat().map((operation) => 'id' in operation && operation.id)).toEqual([
      'm1',
      'm2',
      'm3',
      'm5',
    ]);
  });

  test('commits everything once and in order, however submissions and flushes interleave', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('submit', 'finish', 'fail', 'turn'), { maxLength: 60, size: 'max' }),
        async (steps) => {
          const store = new GatedStore();
          const commits = new GroupCommit(store, { maxBatch: 4 });
          const settled: string[] = [];
          let submitted = 0;
          const finish = async (): Promise<void> => {
            while (settled.length < submitted) await store.finish();
          };
          for (const step of steps) {
            if (step === 'finish') await store.finish();
            else if (step === 'fail') await store.fail(new Error('away'));
            else if (step === 'turn') await settle(1);
            else {
              submitted += 1;
              const id = `m${submitted}`;
              const note = (): unknown => settled.push(id);
              commits.submit(append(submitted)).then(note, note);
            }
          }
          await finish();
          const expected = Array.from({ length: submitted }, (_, index) => `m${index + 1}`);
          expect(settled).toEqual(expected);
          expect(store.batches.flat().map((operation) => 'id' in operation && operation.id)).toEqual(expected);
          expect(store.mostInFlight).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 100 },
    );
  });
});
