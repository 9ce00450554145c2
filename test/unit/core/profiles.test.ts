import { beforeEach, describe, expect, test } from 'vitest';
import type { UserProfile } from '../../../src/core/message.ts';
import { noMetrics } from '../../../src/core/metrics.ts';
import { Policy } from '../../../src/core/policy.ts';
import type { UserDirectory } from '../../../src/core/ports.ts';
import { Profiles } from '../../../src/core/profiles.ts';
import { identityOf } from '../../fixtures/identities.ts';
import { settle } from '../../fixtures/settle.ts';

class FakeDirectory implements UserDirectory {
  readonly profiles = new Map<string, UserProfile>();
  writes = 0;
  away = false;

  find(userIds: readonly string[]): Promise<Map<string, UserProfile>> {
    return Promise.resolve(
      new Map(
        userIds.flatMap((userId) => {
          const profile = this.profiles.get(userId);
          return profile === undefined ? [] : [[userId, profile] as const];
        }),
      ),
    );
  }

  upsert(profile: UserProfile): Promise<void> {
    if (this.away) return Promise.reject(new Error('away'));
    this.writes += 1;
    this.profiles.set(profile.userId, { ...this.profiles.get(profile.userId), ...profile });
    return Promise.resolve();
  }
}

let directory: FakeDirectory;
let failures: number;
let profiles: Profiles;

beforeEach(() => {
  directory = new FakeDirectory();
  failures = 0;
  profiles = new Profiles(directory, new Policy({ record: () => undefined }), {
    ...noMetrics,
    count: () => {
      failures += 1;
    },
  });
});

const alice = {
  ...identityOf('alice'),
  name: 'Alice',
  email: 'alice@example.org',
  picture: 'https://example.org/a.png',
  roleClaim: 'Caregiver',
};
const service = identityOf('gateway', 'Service');

describe('the claims of a token', () => {
  test('become the profile, once as long as they do not change', () => {
    profiles.observe(alice);
    profiles.observe({ ...alice });
    expect(directory.writes).toBe(1);
    expect(directory.profiles.get('alice')).toEqual({
      userId: 'alice',
      name: 'Alice',
      email: 'alice@example.org',
      avatarUrl: 'https://example.org/a.png',
      role: 'Caregiver',
    });
    profiles.observe({ ...alice, name: 'Alice B.' });
    expect(directory.profiles.get('alice')?.name).toBe('Alice B.');
  });

  test('that say nothing write nothing', () => {
    profiles.observe(identityOf('bob'));
    profiles.observe({ ...identityOf(undefined), name: 'Nobody' });
    profiles.observe({ ...identityOf('bob'), name: '' });
    expect(directory.writes).toBe(0);
  });

  test('that are too long are left out, and broken text is repaired', () => {
    profiles.observe({ ...alice, name: 'x'.repeat(257), roleClaim: 'a\ud800' });
    expect(directory.profiles.get('alice')).toMatchObject({ role: 'a\ufffd' });
    expect(directory.profiles.get('alice')).not.toHaveProperty('name');
  });

  test('are tried again at the next sight if the directory failed, and fail nobody', async () => {
    directory.away = true;
    profiles.observe(alice);
    await settle();
    expect(failures).toBe(1);
    directory.away = false;
    profiles.observe(alice);
    expect(directory.profiles.get('alice')?.name).toBe('Alice');
  });
});

describe('a profile that a service writes', () => {
  test('replaces the fields it carries and keeps the others', async () => {
    profiles.observe(alice);
    expect(await profiles.upsert(service, { userId: 'alice', name: 'Dr. Alice' })).toEqual({
      ...directory.profiles.get('alice'),
      name: 'Dr. Alice',
      role: 'Caregiver',
    });
  });

  test.each(['user', 'Admin', 'SuperAdmin'] as const)(
    'is not for the role %s, not even for the own one',
    async (role) => {
      await expect(profiles.upsert(identityOf('alice', role), { userId: 'alice', name: 'A' })).rejects.toMatchObject({
        code: 'permissionDenied',
      });
      expect(directory.writes).toBe(0);
    },
  );

  test.each([
    ['name', 256, 'profile.name'],
    ['email', 320, 'profile.email'],
    ['avatarUrl', 2048, 'profile.avatar_url'],
    ['role', 64, 'profile.role'],
  ] as const)('bounds %s', async (field, max, name) => {
    await profiles.upsert(service, { userId: 'alice', [field]: 'x'.repeat(max) });
    await expect(profiles.upsert(service, { userId: 'alice', [field]: 'x'.repeat(max + 1) })).rejects.toMatchObject({
      violations: [{ field: name }],
    });
  });

  test('fails with the directory', async () => {
    directory.away = true;
    await expect(profiles.upsert(service, { userId: 'alice', name: 'A' })).rejects.toThrow('away');
  });
});

describe('reading profiles', () => {
  test('answers the known ones', async () => {
    profiles.observe(alice);
    expect([...(await profiles.read(identityOf('bob'), ['alice', 'nobody'])).keys()]).toEqual(['alice']);
    expect(await profiles.find([])).toEqual(new Map());
  });

  test.each<[string, string[]]>([
    ['nobody', []],
    ['too many', Array.from({ length: 501 }, () => 'alice')],
    ['an impossible id', ['']],
  ])('refuses %s', async (_name, userIds) => {
    await expect(profiles.read(identityOf('bob'), userIds)).rejects.toMatchObject({ code: 'invalidArgument' });
  });

  test('is for known users', async () => {
    await expect(profiles.read(identityOf(undefined), ['alice'])).rejects.toMatchObject({ code: 'unauthenticated' });
  });
});
