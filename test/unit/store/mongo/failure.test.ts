/** What the errors of a server come to that no server at hand answers with: elections, unreachable shards, refusals. */
import { type Collection, MongoBulkWriteError } from 'mongodb';
import { describe, expect, test } from 'vitest';
import { ChatError } from '../../../../src/core/errors.ts';
import { insertAll, insertMissing, updateAll } from '../../../../src/store/mongo/failure.ts';

/** A collection of a server that answers each write of many with these errors. */
function answering(...writeErrors: readonly { code: number; index: number }[]): Collection<{ _id: string }> {
  const result = { getWriteConcernError: () => undefined };
  const refuse = () => {
    const message = 'E11000 { _id: "secret" }';
    throw new MongoBulkWriteError({ message, code: writeErrors[0]?.code, writeErrors } as never, result as never);
  };
  return { insertMany: async () => refuse(), bulkWrite: async () => refuse() } as never;
}

const two = [{ _id: 'a' }, { _id: 'b' }];
const UNAVAILABLE = { code: 'unavailable', reason: 'STORE_UNAVAILABLE' };
/** PrimarySteppedDown, FailedToSatisfyReadPreference, HostUnreachable, StaleConfig. */
const TROUBLE = [189, 133, 6, 13_388];

describe('A write error', () => {
  test.each(TROUBLE)('of a server in trouble (%i) says that the same may succeed later', async (code) => {
    const { failed } = await insertAll(answering({ code, index: 1 }), two);
    expect([...failed.keys()]).toEqual([1]);
    expect(failed.get(1)).toBeInstanceOf(ChatError);
    expect(failed.get(1)).toMatchObject(UNAVAILABLE);
    await expect(updateAll(answering({ code, index: 0 }), [{ insertOne: { document: { _id: 'a' } } }])).rejects.toThrow(
      expect.objectContaining(UNAVAILABLE),
    );
  });

  test('of a document that the server refuses is no trouble of the store, and does not quote it', async () => {
    const { failed } = await insertAll(answering({ code: 121, index: 0 }), two);
    expect(failed.get(0)).not.toBeInstanceOf(ChatError);
    expect(String(failed.get(0))).toBe('Error: The server refused it (code 121)');
  });

  test('where only what is there already may be left out is not passed over', async () => {
    expect(await insertMissing(answering({ code: 11_000, index: 1 }), two)).toBe(1);
    const some = answering({ code: 11_000, index: 0 }, { code: 189, index: 1 });
    await expect(insertMissing(some, two)).rejects.toMatchObject(UNAVAILABLE);
  });
});
