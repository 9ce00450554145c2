import { describe, expect, test } from 'vitest';
import { declarationOf } from '../../../../src/store/mongo/schema.ts';
import { objectionTo, questionsOf } from './command-check.ts';

const SCANS = 'no index serves it';

function judge(name: string, command: object, collection: Parameters<typeof declarationOf>[0] = 'messages') {
  return questionsOf(name, { [name]: collection, ...command }).map((question) =>
    objectionTo(question, declarationOf(collection)),
  );
}

describe('The check of commands against the indexes', () => {
  test.each([
    ['equality, then range in the order of the index', { filter: { c: 'x', s: { $gt: 1 } }, sort: { c: 1, s: 1 } }],
    ['the reverse order', { filter: { c: 'x', s: { $lt: 9 } }, sort: { c: -1, s: -1 } }],
    [
      'sort and range on the next field, the rest filtered',
      { filter: { c: 'x', at: { $gte: 1 }, t: 'y' }, sort: { at: 1, s: 1 } },
    ],
    [
      'alternatives that each have an index',
      {
        filter: {
          $or: [
            { c: 'x', s: 1 },
            { c: 'y', s: { $gte: 2 } },
          ],
        },
      },
    ],
    ['an id on its shard', { filter: { c: 'x', _id: 'm' } }],
  ])('lets %s pass', (_, command) => {
    expect(judge('find', command)).toEqual([undefined]);
  });

  test.each([
    ['a field without an index', { filter: { t: 'x' } }],
    ['nothing at all', { filter: {} }],
    ['an order that the index does not have', { filter: { c: 'x' }, sort: { n: 1 } }],
    ['mixed directions', { filter: { c: 'x' }, sort: { at: 1, s: -1 } }],
    ['a range before the order', { filter: { c: { $in: ['x', 'y'] } }, sort: { s: 1 } }],
    ['one alternative without an index', { filter: { $or: [{ c: 'x', s: 1 }, { t: 'y' }] } }],
  ])('objects to %s', (_, command) => {
    expect(judge('find', command)).toEqual([SCANS]);
  });

  test('objects to a message that is asked for on every shard', () => {
    expect(judge('find', { filter: { _id: 'm' } })).toEqual(['it lacks the shard key c']);
  });

  test('objects to an upsert that does not name its shard', () => {
    const q = { _id: 'r', person: 'ann' };
    expect(judge('update', { updates: [{ q, upsert: true }] }, 'rows')).toEqual(['it lacks the shard key other']);
    expect(judge('update', { updates: [{ q: { ...q, other: 'bob' }, upsert: true }] }, 'rows')).toEqual([undefined]);
  });

  test('looks into every update, deletion and leading match', () => {
    expect(judge('update', { updates: [{ q: { c: 'x', s: 1 } }, { q: { n: 1 } }] })).toEqual([undefined, SCANS]);
    expect(judge('delete', { deletes: [{ q: { t: 'x' } }] })).toEqual([SCANS]);
    expect(judge('aggregate', { pipeline: [{ $match: { n: 1 } }] })).toEqual([SCANS]);
    expect(judge('findAndModify', { query: { t: 'x' } })).toEqual([SCANS]);
    expect(judge('insert', { documents: [{}] })).toEqual([]);
  });
});
