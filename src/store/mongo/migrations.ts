/**
 * Brings a database to this version's schema. Every step can be repeated, so an instance that dies in one leaves nothing
 * that the next cannot finish; a lock keeps two instances from doing it at once.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { type Collection, type Db, MongoServerError } from 'mongodb';
import { UnusableServerError } from './connection.ts';
import { isDuplicateKey, isNotSupported } from './failure.ts';
import {
  COLLECTION_NAMES,
  type CollectionName,
  declarationOf,
  indexArguments,
  SCHEMA_COLLECTION,
  validatorOf,
} from './schema.ts';

/** Told what the server does not have, once each. */
export type LogLine = (line: string) => void;

/** From version N to N + 1. Each may be repeated. */
const STEPS: readonly ((database: Db) => Promise<void>)[] = [
  // Version 1: what `ensureCollections` makes.
  async () => undefined,
];

/** The schema this version writes and reads. */
export const SCHEMA_VERSION = STEPS.length;

/** A lock that was not given back is taken over after this, in milliseconds. */
const LOCK_LEASE_MS = 60_000;
const LOCK_POLL_MS = 50;
const NAMESPACE_EXISTS = 48;

interface SchemaDocument {
  readonly _id: 'version' | 'lock';
  readonly version?: number;
  readonly owner?: string;
  readonly untilMs?: number;
}

/**
 * Idempotent.
 * @throws UnusableServerError for a schema from the future; else the driver's.
 */
export async function prepareDatabase(database: Db, nowMs: () => number, log: LogLine): Promise<void> {
  const schema = database.collection<SchemaDocument>(SCHEMA_COLLECTION);
  if ((await versionOf(schema)) === SCHEMA_VERSION) {
    await ensureCollections(database, log);
    return;
  }
  const owner = randomUUID();
  await takeLock(schema, owner, nowMs);
  try {
    await ensureCollections(database, log);
    for (let version = await versionOf(schema); version < SCHEMA_VERSION; version += 1) {
      await STEPS[version]?.(database);
      await schema.updateOne({ _id: 'version' }, { $max: { version: version + 1 } }, { upsert: true });
    }
  } finally {
    await schema.deleteOne({ _id: 'lock', owner });
  }
}

/** @throws UnusableServerError for a version that this one does not know. */
async function versionOf(schema: Collection<SchemaDocument>): Promise<number> {
  const version = (await schema.findOne({ _id: 'version' }))?.version ?? 0;
  if (version <= SCHEMA_VERSION) return version;
  throw new UnusableServerError(
    `The database has schema ${version}, this version of the server knows ${SCHEMA_VERSION}; ` +
      'start the newer version, or restore a backup from before the upgrade',
  );
}

/** Inserts under a unique key are safe under races on every server, so the lock is one. */
async function takeLock(schema: Collection<SchemaDocument>, owner: string, nowMs: () => number): Promise<void> {
  for (;;) {
    try {
      await schema.insertOne({ _id: 'lock', owner, untilMs: nowMs() + LOCK_LEASE_MS });
      return;
    } catch (error) {
      if (!isDuplicateKey(error)) throw error;
    }
    const held = await schema.findOne({ _id: 'lock' });
    if (held !== null && (held.untilMs ?? 0) < nowMs()) {
      await schema.deleteOne({ _id: 'lock', owner: held.owner ?? '' });
    } else {
      await delay(LOCK_POLL_MS);
    }
  }
}

async function ensureCollections(database: Db, log: LogLine): Promise<void> {
  const lacking = new Set<string>();
  const present = await validatorsIn(database);
  for (const name of COLLECTION_NAMES) {
    if (!(await ensureValidator(database, name, present))) lacking.add('validators');
    for (const index of declarationOf(name).indexes) {
      const [key, options] = indexArguments(index);
      await database.collection(name).createIndex(key, options);
    }
  }
  for (const what of lacking) log(`The MongoDB server has no ${what}; the store goes on without`);
}

/** By name, the validators of the collections that the database has; undefined for one without. */
type Validators = ReadonlyMap<string, unknown>;

async function validatorsIn(database: Db): Promise<Validators> {
  const collections = await database.listCollections().toArray();
  return new Map(
    collections.map((collection) => [collection.name, 'options' in collection && collection.options?.validator]),
  );
}

/**
 * Answers false if the server has no validators. A validator that is as it should be is left alone: to change it stops the
 * collection for a moment, and is a right that the role readWrite has not.
 */
async function ensureValidator(database: Db, name: CollectionName, before: Validators): Promise<boolean> {
  const validator = validatorOf(declarationOf(name));
  let present = before;
  if (!present.has(name)) {
    try {
      await database.createCollection(name, { validator });
      return true;
    } catch (error) {
      if (isNotSupported(error)) {
        await createPlain(database, name);
        return false;
      }
      if (!isNamespaceExists(error)) throw error;
      present = await validatorsIn(database);
    }
  }
  if (isDeepStrictEqual(present.get(name), validator)) return true;
  try {
    await database.command({ collMod: name, validator });
    return true;
  } catch (error) {
    if (isNotSupported(error)) return false;
    throw error;
  }
}

async function createPlain(database: Db, name: CollectionName): Promise<void> {
  try {
    await database.createCollection(name);
  } catch (error) {
    if (!isNamespaceExists(error)) throw error;
  }
}

function isNamespaceExists(error: unknown): boolean {
  return error instanceof MongoServerError && error.code === NAMESPACE_EXISTS;
}
