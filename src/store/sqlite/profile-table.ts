/** User profiles: one row per user; what an upsert does not carry stays. */
import type { UserProfile } from '../../core/message.ts';
import type { Database } from './database.ts';

type Row = readonly [
  userId: string,
  name: string | null,
  email: string | null,
  avatarUrl: string | null,
  role: string | null,
];

export class ProfileTable {
  readonly #find;
  readonly #upsert;

  constructor(database: Database) {
    this.#find = database.prepare<Row>('SELECT user_id, name, email, avatar_url, role FROM profile WHERE user_id = ?');
    this.#upsert = database.prepare(
      `INSERT INTO profile (user_id, name, email, avatar_url, role) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (user_id) DO UPDATE SET
         name = coalesce(excluded.name, name),
         email = coalesce(excluded.email, email),
         avatar_url = coalesce(excluded.avatar_url, avatar_url),
         role = coalesce(excluded.role, role)`,
    );
  }

  find(userIds: readonly string[]): UserProfile[] {
    const profiles: UserProfile[] = [];
    for (const userId of new Set(userIds)) {
      const row = this.#find.get(userId);
      if (row === undefined) continue;
      const [, name, email, avatarUrl, role] = row;
      profiles.push({
        userId,
        ...(name !== null && { name }),
        ...(email !== null && { email }),
        ...(avatarUrl !== null && { avatarUrl }),
        ...(role !== null && { role }),
      });
    }
    return profiles;
  }

  upsert(profile: UserProfile): void {
    const { userId, name, email, avatarUrl, role } = profile;
    this.#upsert.run(userId, name ?? null, email ?? null, avatarUrl ?? null, role ?? null);
  }
}
