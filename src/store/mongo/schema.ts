/**
 * The collections as data: validators, indexes and shard keys. What queries may rely on stands here and nowhere else;
 * a test compares every command of the adapter with it.
 *
 * Shard keys are ranged: a unique index must begin with the shard key, and a hashed one cannot be unique. Places and
 * client ids are found by `_id` alone and may be sharded by `{ _id: 'hashed' }`. The small ones stay on one shard.
 */
import type { CreateIndexesOptions, Document, IndexSpecification } from 'mongodb';

export interface IndexDeclaration {
  readonly key: Readonly<Record<string, 1 | -1>>;
  readonly unique?: true;
}

export interface CollectionDeclaration {
  /** Properties that every document has, with their BSON types. */
  readonly required: Readonly<Record<string, string>>;
  /** Properties that a document may have. */
  readonly optional?: Readonly<Record<string, string>>;
  /** Besides the one on `_id`. */
  readonly indexes: readonly IndexDeclaration[];
  /** What to shard by; absent for a collection that stays on one shard. */
  readonly shardKey?: Readonly<Record<string, 1 | 'hashed'>>;
}

const NUMBER = 'number';
const STRING = 'string';

export const COLLECTIONS = {
  messages: {
    required: { _id: STRING, c: STRING, s: NUMBER, f: NUMBER, n: NUMBER, at: NUMBER, t: STRING },
    optional: { w: 'bool', del: NUMBER },
    // The second is for places in time; `at` never decreases along `s`, so both sort alike.
    indexes: [{ key: { c: 1, s: 1 }, unique: true }, { key: { c: 1, at: 1, s: 1 } }],
    shardKey: { c: 1 },
  },
  places: { required: { _id: STRING, c: STRING }, optional: { k: STRING }, indexes: [], shardKey: { _id: 'hashed' } },
  client_ids: {
    required: { _id: STRING, m: STRING, c: STRING, d: STRING },
    indexes: [],
    shardKey: { _id: 'hashed' },
  },
  rows: {
    required: { _id: STRING, person: STRING, other: STRING, activity: NUMBER, top: NUMBER, s: NUMBER },
    optional: { in: NUMBER, open: 'bool', at: NUMBER, low: NUMBER, received: NUMBER, delivered: NUMBER, read: NUMBER },
    indexes: [
      { key: { person: 1, other: 1 }, unique: true },
      { key: { person: 1, activity: -1, other: 1 } },
      { key: { person: 1, open: 1 } },
    ],
    shardKey: { person: 1, other: 1 },
  },
  moves: {
    required: { _id: STRING, row: STRING, k: STRING, to: NUMBER, at: NUMBER },
    indexes: [{ key: { row: 1, k: 1, to: 1 }, unique: true }],
    shardKey: { row: 1 },
  },
  tombstones: {
    required: { _id: STRING, c: STRING, f: NUMBER, s: NUMBER },
    indexes: [{ key: { c: 1, f: 1, s: 1 }, unique: true }],
    shardKey: { c: 1 },
  },
  journal: {
    required: { _id: STRING, by: STRING, at: NUMBER, cs: 'array' },
    optional: { del: STRING },
    indexes: [{ key: { by: 1, at: 1 } }],
  },
  presence: {
    required: { _id: STRING, version: NUMBER, connections: 'array', instances: 'array', online: 'bool' },
    optional: { endsAtMs: NUMBER, lastSeenMs: NUMBER, untoldMs: NUMBER },
    indexes: [
      { key: { online: 1, _id: 1 } },
      { key: { instances: 1 } },
      { key: { endsAtMs: 1 } },
      { key: { untoldMs: 1 } },
    ],
    shardKey: { _id: 1 },
  },
  leases: {
    required: { _id: STRING, untilMs: NUMBER, renewedAtMs: NUMBER },
    optional: { lapsedMs: NUMBER, previousSignMs: NUMBER },
    indexes: [{ key: { untilMs: 1 } }, { key: { renewedAtMs: -1 } }],
  },
  profiles: {
    required: { _id: STRING },
    optional: { name: STRING, email: STRING, avatarUrl: STRING, role: STRING },
    indexes: [],
    shardKey: { _id: 'hashed' },
  },
} as const satisfies Readonly<Record<string, CollectionDeclaration>>;

export type CollectionName = keyof typeof COLLECTIONS;

/** Where the version of the schema and the lock of a migration are. */
export const SCHEMA_COLLECTION = 'schema';

export const COLLECTION_NAMES = Object.keys(COLLECTIONS) as CollectionName[];

export function declarationOf(name: CollectionName): CollectionDeclaration {
  return COLLECTIONS[name];
}

/** The validator of a collection. Unknown properties are allowed, so that an older version can read a newer one's. */
export function validatorOf({ required, optional = {} }: CollectionDeclaration): Document {
  const properties = Object.fromEntries(
    Object.entries({ ...required, ...optional }).map(([name, bsonType]) => [name, { bsonType }]),
  );
  return { $jsonSchema: { bsonType: 'object', required: Object.keys(required), properties } };
}

/** The arguments of `createIndex`. */
export function indexArguments({ key, unique }: IndexDeclaration): [IndexSpecification, CreateIndexesOptions] {
  return [{ ...key }, { ...(unique && { unique }) }];
}
