/** What every UserDirectory must do (src/core/ports.ts). */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '../../src/core/ids.ts';
import type { UserDirectory } from '../../src/core/ports.ts';

export interface OpenedUserDirectory {
  readonly users: UserDirectory;
  close(): Promise<void>;
}

export function describeUserDirectory(name: string, open: () => Promise<OpenedUserDirectory>): void {
  let opened: OpenedUserDirectory;
  let users: UserDirectory;
  const person = (): string => `user-${newId(Date.now())}`;

  describe(`${name} as a UserDirectory`, () => {
    beforeAll(async () => {
      opened = await open();
      users = opened.users;
    });
    afterAll(() => opened.close());

    test('finds what was stored, and nothing for the unknown', async () => {
      const ann = {
        userId: person(),
        name: 'Åsa 👩‍⚕️',
        email: "o'neil@example.org",
        avatarUrl: '/a.png',
        role: 'Admin',
      };
      const bob = { userId: person() };
      await users.upsert(ann);
      await users.upsert(bob);
      const found = await users.find([ann.userId, bob.userId, person(), ann.userId]);
      expect([...found.entries()].toSorted()).toEqual(
        [
          [ann.userId, ann],
          [bob.userId, bob],
        ].toSorted(),
      );
      expect(await users.find([])).toEqual(new Map());
    });

    test('replaces only the fields that an upsert carries', async () => {
      const userId = person();
      await users.upsert({ userId, name: 'Ann', role: 'Client' });
      await users.upsert({ userId, email: 'ann@example.org' });
      await users.upsert({ userId, name: 'Anna', role: '' });
      await users.upsert({ userId });
      expect((await users.find([userId])).get(userId)).toEqual({
        userId,
        name: 'Anna',
        email: 'ann@example.org',
        role: '',
      });
    });

    test('merges concurrent upserts of one user', async () => {
      const userId = person();
      await Promise.all([
        users.upsert({ userId, name: 'Ann' }),
        users.upsert({ userId, email: 'ann@example.org' }),
        users.upsert({ userId, avatarUrl: '/ann.png' }),
      ]);
      expect((await users.find([userId])).get(userId)).toEqual({
        userId,
        name: 'Ann',
        email: 'ann@example.org',
        avatarUrl: '/ann.png',
      });
    });
  });
}
