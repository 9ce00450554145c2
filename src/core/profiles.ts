/**
 * User profiles: written by internal services and from token claims as they are seen; read for conversation lists.
 *
 * Claims are compared with what was last seen of the user, so that a stable profile costs no writes.
 */
import { invalidField } from './errors.ts';
import type { Identity } from './identity.ts';
import { checkId } from './ids.ts';
import { MAX_USERS_PER_QUESTION } from './limits.ts';
import { Lru } from './lru.ts';
import type { UserProfile } from './message.ts';
import type { Metrics } from './metrics.ts';
import type { Policy } from './policy.ts';
import type { UserDirectory } from './ports.ts';

const MAX_LENGTHS = { name: 256, email: 320, avatarUrl: 2048, role: 64 } as const;
const SEEN_USERS = 50_000;

export class Profiles {
  readonly #directory: UserDirectory;
  readonly #policy: Policy;
  readonly #metrics: Metrics;
  readonly #seen = new Lru<string, string>(SEEN_USERS);

  constructor(directory: UserDirectory, policy: Policy, metrics: Metrics) {
    this.#directory = directory;
    this.#policy = policy;
    this.#metrics = metrics;
  }

  /** Takes the profile that a verified token carries. Never fails its caller; over-long claims are left out. */
  observe(identity: Identity): void {
    const { userId, name, email, picture, roleClaim } = identity;
    if (userId === undefined) return;
    const profile: UserProfile = {
      userId,
      ...fitting('name', name),
      ...fitting('email', email),
      ...fitting('avatarUrl', picture),
      ...fitting('role', roleClaim),
    };
    if (Object.keys(profile).length === 1) return;
    const digest = JSON.stringify(profile);
    if (this.#seen.get(userId) === digest) return;
    this.#seen.set(userId, digest);
    this.#directory.upsert(profile).catch(() => {
      this.#seen.delete(userId);
      this.#metrics.count('chat_profile_failures_total');
    });
  }

  /** Creates or updates a profile: fields that are set replace, absent ones stay. Role Service. */
  async upsert(identity: Identity, profile: UserProfile): Promise<UserProfile> {
    const userId = checkId(profile.userId, 'profile.user_id');
    this.#policy.authorize(identity, 'writeProfile', userId, 'profile.user_id');
    for (const [field, max] of Object.entries(MAX_LENGTHS)) {
      const value = profile[field as keyof typeof MAX_LENGTHS];
      if (value !== undefined && value.length > max) {
        throw invalidField(
          `profile.${field === 'avatarUrl' ? 'avatar_url' : field}`,
          `must not be longer than ${max} characters`,
        );
      }
    }
    // What the token was seen to say stays known, so that the same token does not overwrite this.
    await this.#directory.upsert(profile);
    return (await this.#directory.find([userId])).get(userId) ?? profile;
  }

  /** Profiles of the known ones among at most 500 users. */
  async read(identity: Identity, userIds: readonly string[]): Promise<Map<string, UserProfile>> {
    this.#policy.authorize(identity, 'readProfile');
    if (userIds.length === 0 || userIds.length > MAX_USERS_PER_QUESTION) {
      throw invalidField('user_ids', `must name 1 to ${MAX_USERS_PER_QUESTION} users`);
    }
    return this.#directory.find(userIds.map((userId) => checkId(userId, 'user_ids')));
  }

  /** Profiles for a list that the caller may see. */
  find(userIds: readonly string[]): Promise<Map<string, UserProfile>> {
    return userIds.length === 0 ? Promise.resolve(new Map()) : this.#directory.find(userIds);
  }
}

function fitting(field: keyof typeof MAX_LENGTHS, value: string | undefined): Partial<UserProfile> {
  if (value === undefined || value === '' || value.length > MAX_LENGTHS[field]) return {};
  return { [field]: value.toWellFormed() };
}
