/**
 * User profiles: one document per user; what an upsert does not carry stays. What nobody upserted comes from `AppUsers`,
 * the users of the system that ran before, if the database has it; it is only read.
 */
import { type Db, type Document, MongoServerError, ObjectId } from 'mongodb';
import type { UserProfile } from '../../core/message.ts';
import type { UserDirectory } from '../../core/ports.ts';
import type { Collections } from './collections.ts';
import { guarded, insertMissing, updateAll } from './failure.ts';

export const LEGACY_USERS = 'AppUsers';

/** IndexOptionsConflict, IndexKeySpecsConflict: there is such an index under another name, or with other options. */
const INDEX_CONFLICTS = new Set([85, 86]);

/** Makes sure that users of the former system are found by index. Does nothing where there are none. */
export async function ensureLegacyUsersIndex(database: Db): Promise<boolean> {
  const [users] = await database.listCollections({ name: LEGACY_USERS }, { nameOnly: true }).toArray();
  // A view has the indexes of what it shows.
  if (users === undefined || users.type === 'view') return users !== undefined;
  try {
    await database.collection(LEGACY_USERS).createIndex({ AppUserId: 1 });
  } catch (error) {
    // The collection is the former system's, and so may the index be: a unique one, for example.
    if (!(error instanceof MongoServerError && INDEX_CONFLICTS.has(Number(error.code)))) throw error;
  }
  return true;
}

export function userDirectory(collections: Collections, database: Db, hasLegacyUsers: boolean): UserDirectory {
  const { profiles } = collections;

  async function find(userIds: readonly string[]): Promise<Map<string, UserProfile>> {
    const ids = [...new Set(userIds)];
    if (ids.length === 0) return new Map();
    const [own, former] = await Promise.all([
      profiles.find({ _id: { $in: ids } }).toArray(),
      hasLegacyUsers ? findLegacy(ids) : new Map<string, UserProfile>(),
    ]);
    const found = new Map(former);
    for (const { _id: userId, ...fields } of own) found.set(userId, { ...found.get(userId), ...fields, userId });
    return found;
  }

  async function findLegacy(ids: readonly string[]): Promise<Map<string, UserProfile>> {
    const objectIds = ids.filter((id) => /^[0-9a-f]{24}$/.test(id)).map((id) => new ObjectId(id));
    if (objectIds.length === 0) return new Map();
    const users = await database
      .collection(LEGACY_USERS)
      .find({ AppUserId: { $in: objectIds } })
      .toArray();
    return new Map(
      users.filter((user) => user.IsDeleted !== true).map((user) => [String(user.AppUserId), toProfile(user)]),
    );
  }

  async function upsert({ userId, ...fields }: UserProfile): Promise<void> {
    const set = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
    if (Object.keys(set).length === 0) {
      await insertMissing(profiles, [{ _id: userId }]);
    } else {
      await updateAll(profiles, [{ updateOne: { filter: { _id: userId }, update: { $set: set }, upsert: true } }]);
    }
  }

  return {
    find: (userIds) => guarded(() => find(userIds)),
    upsert: (profile) => guarded(() => upsert(profile)),
  };
}

/** The profile that a user of the former system has. */
export function toProfile(user: Document): UserProfile {
  const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
  const fullName = [text(user.FirstName), text(user.LastName)].filter((part) => part !== undefined).join(' ');
  const fields = {
    name: text(fullName),
    email: text(user.Email),
    avatarUrl: text(user.ProfilePicture),
    role: text(user.Role),
  };
  const known = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  return { userId: String(user.AppUserId), ...known };
}
