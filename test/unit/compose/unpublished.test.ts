import { expect, test, vi } from 'vitest';
import { publishUnpublished } from '../../../src/compose/unpublished.ts';

function parts(isShared: boolean, taken = true) {
  const told: unknown[] = [];
  const publisher = {
    publishAgain: async (...of: unknown[]) => void told.push(of),
    publishDeletions: async (ids: readonly string[]) => void told.push(ids),
    published: vi.fn(async () => taken),
  };
  const broker = { endEpochs: async (userIds: readonly string[]) => void told.push({ ended: userIds }) };
  return { told, dependencies: { broker, isShared, publisher } };
}

const conversations = [
  { people: ['ann', 'bob'], sinceMs: 1, deleted: ['m1'] },
  { people: ['ann', 'carl'], sinceMs: 2, deleted: [] },
] as const;

test('a broker that instances share is told again what it may lack, and passes over the rest', async () => {
  const { dependencies, told } = parts(true);
  expect(await publishUnpublished(dependencies, conversations)).toBe(true);
  expect(told).toEqual([['ann', 'bob', 1], ['ann', 'carl', 2], ['m1']]);
});

test('a broker of one process, which would repeat messages behind later ones, sends everybody concerned to the store', async () => {
  const { dependencies, told } = parts(false);
  expect(await publishUnpublished(dependencies, conversations)).toBe(true);
  expect(told).toEqual([{ ended: ['ann', 'bob', 'carl'] }, ['m1']]);
});

test('what the broker has not taken is not published', async () => {
  expect(await publishUnpublished(parts(true, false).dependencies, conversations)).toBe(false);
});
