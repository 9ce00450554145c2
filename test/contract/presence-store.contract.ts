/**
 * What every PresenceStore must do (src/core/ports.ts). The opener gets the clock that tells when leases are renewed.
 * Users and instances are new in every case, so one store serves all; `sweep` answers are filtered to the case's users.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '../../src/core/ids.ts';
import type { Presence } from '../../src/core/message.ts';
import type { PresenceStore, PresenceWrite } from '../../src/core/ports.ts';
import { FakeClock } from '../fixtures/fake-clock.ts';

export interface OpenedPresenceStore {
  readonly presence: PresenceStore;
  close(): Promise<void>;
}

const LEASE = 15_000;
const GRACE = 5000;

export function describePresenceStore(
  name: string,
  open: (options: { readonly clock: FakeClock }) => Promise<OpenedPresenceStore>,
): void {
  const clock = new FakeClock();
  let opened: OpenedPresenceStore;
  let store: PresenceStore;
  const fresh = (label: string): string => `${label}-${newId(Date.now())}`;
  /** The start of a case, later than anything before it. */
  const begin = async (): Promise<number> => {
    await clock.advance(10 * LEASE);
    const gone = await store.sweep(clock.now());
    await store.confirmTold?.(gone.map(({ userId }) => userId));
    return clock.now();
  };
  const instance = async (atMs: number): Promise<string> => {
    const id = fresh('instance');
    await store.renewLease(id, atMs + LEASE);
    return id;
  };
  const connected = (userId: string, connectionId: string, atMs: number): PresenceWrite => ({
    type: 'connected',
    userId,
    connectionId,
    atMs,
  });
  const disconnected = (userId: string, connectionId: string, atMs: number): PresenceWrite => ({
    type: 'disconnected',
    userId,
    connectionId,
    atMs,
    lingerUntilMs: atMs + GRACE,
  });
  const find = async (userId: string, nowMs: number): Promise<Presence | undefined> =>
    (await store.find([userId], nowMs)).get(userId);

  describe(`${name} as a PresenceStore`, () => {
    beforeAll(async () => {
      opened = await open({ clock });
      store = opened.presence;
    });
    afterAll(() => opened.close());

    test('knows nothing of a user it never saw', async () => {
      const t = await begin();
      expect(await store.find([fresh('ann')], t)).toEqual(new Map());
      expect(await store.find([], t)).toEqual(new Map());
      expect(await store.apply(await instance(t), [], t)).toEqual([]);
    });

    test('the first connection makes a user online, further ones change nothing', async () => {
      const t = await begin();
      const [a, ann] = [await instance(t), fresh('ann')];
      expect(await store.apply(a, [connected(ann, '1', t), connected(ann, '2', t)], t)).toEqual([
        { wasOffline: true },
        { wasOffline: false },
      ]);
      expect(await find(ann, t + 1)).toEqual({ userId: ann, online: true });
      await store.apply(a, [disconnected(ann, '1', t + 10)], t + 10);
      expect(await find(ann, t + 10 + GRACE + 1)).toMatchObject({ online: true });
      expect(await store.sweep(t + 10 + GRACE + 1)).toEqual([]);
    });

    test('after the last connection a user stays online for the grace, then is offline with the time of leaving', async () => {
      const t = await begin();
      const [a, ann] = [await instance(t), fresh('ann')];
      await store.apply(a, [connected(ann, '1', t), connected(ann, '2', t)], t);
      await store.apply(a, [disconnected(ann, '2', t + 30), disconnected(ann, '1', t + 20)], t + 30);
      expect(await find(ann, t + GRACE)).toMatchObject({ online: true });
      const late = t + 31 + GRACE;
      const gone = { userId: ann, online: false, lastSeenMs: t + 30 };
      expect(await find(ann, late)).toEqual(gone);
      expect(await store.sweep(late)).toEqual([gone]);
      expect(await store.sweep(late + 1)).toEqual([]);
      expect(await find(ann, late + 1)).toEqual(gone);
    });

    test('coming back within the grace is not an event; coming back after it is', async () => {
      const t = await begin();
      const [a, ann] = [await instance(t), fresh('ann')];
      await store.apply(a, [connected(ann, '1', t)], t);
      await store.apply(a, [disconnected(ann, '1', t + 10)], t + 10);
      const back = await store.apply(a, [connected(ann, '2', t + 500)], t + 500);
      expect(back).toEqual([{ wasOffline: false }]);
      expect(await store.sweep(t + 20 + GRACE)).toEqual([]);
      await store.apply(a, [disconnected(ann, '2', t + 6000)], t + 6000);
      const late = t + 6001 + GRACE;
      expect(await store.apply(a, [connected(ann, '3', late)], late)).toEqual([{ wasOffline: true }]);
      expect(await store.sweep(late + 1)).toEqual([]);
      expect(await find(ann, late + 1)).toEqual({ userId: ann, online: true, lastSeenMs: t + 6000 });
    });

    test('a connection that begins and ends in one batch lingers like any other', async () => {
      const t = await begin();
      const [a, ann] = [await instance(t), fresh('ann')];
      await store.apply(a, [connected(ann, '1', t), disconnected(ann, '1', t + 1)], t + 1);
      expect(await find(ann, t + 2)).toMatchObject({ online: true });
      expect(await store.sweep(t + 2 + GRACE)).toEqual([{ userId: ann, online: false, lastSeenMs: t + 1 }]);
    });

    test('the same write twice counts once', async () => {
      const t = await begin();
      const [a, ann] = [await instance(t), fresh('ann')];
      await store.apply(a, [connected(ann, '1', t)], t);
      await store.apply(a, [connected(ann, '1', t)], t);
      await store.apply(a, [disconnected(ann, '1', t + 1)], t + 1);
      expect(await store.sweep(t + 2 + GRACE)).toHaveLength(1);
    });

    test('connections of two instances are apart, also under the same connection id', async () => {
      const t = await begin();
      const [a, b, ann] = [await instance(t), await instance(t), fresh('ann')];
      expect(await store.apply(a, [connected(ann, '1', t)], t)).toEqual([{ wasOffline: true }]);
      expect(await store.apply(b, [connected(ann, '1', t)], t)).toEqual([{ wasOffline: false }]);
      await store.apply(a, [disconnected(ann, '1', t + 1)], t + 1);
      expect(await store.sweep(t + 2 + GRACE)).toEqual([]);
      expect(await find(ann, t + 2 + GRACE)).toMatchObject({ online: true });
    });

    test("a dead instance's users are offline when its lease runs out, told once, seen last at that time", async () => {
      const t = await begin();
      const [a, b] = [await instance(t), await instance(t)];
      const [ann, bob] = [fresh('ann'), fresh('bob')];
      await store.apply(a, [connected(ann, '1', t), connected(bob, '2', t)], t);
      await store.apply(b, [connected(bob, '3', t)], t);
      await store.renewLease(b, t + 3 * LEASE);
      expect(await store.sweep(t + LEASE - 1)).toEqual([]);
      const late = t + LEASE + 1;
      const gone = { userId: ann, online: false, lastSeenMs: t + LEASE };
      expect(await find(ann, late)).toEqual(gone);
      expect(await find(bob, late)).toMatchObject({ online: true });
      const told = await Promise.all([store.sweep(late), store.sweep(late), store.sweep(late)]);
      expect(told.flat()).toEqual([gone]);
      expect(await find(ann, late)).toEqual(gone);
    });

    test('renewing keeps the connections', async () => {
      const t = await begin();
      const [a, ann] = [await instance(t), fresh('ann')];
      await store.apply(a, [connected(ann, '1', t)], t);
      await store.renewLease(a, t + 5 * LEASE);
      expect(await store.sweep(t + 4 * LEASE)).toEqual([]);
      expect(await find(ann, t + 4 * LEASE)).toMatchObject({ online: true });
    });

    test('a connection of an instance without a lease does not count', async () => {
      const t = await begin();
      const [a, ann] = [fresh('instance'), fresh('ann')];
      expect(await store.apply(a, [connected(ann, '1', t)], t)).toEqual([{ wasOffline: true }]);
      expect(await find(ann, t)).toMatchObject({ online: false });
      await store.renewLease(a, t + LEASE);
      expect(await find(ann, t)).toMatchObject({ online: true });
    });

    test('many racing sweeps tell each user once', async () => {
      const t = await begin();
      const a = await instance(t);
      const users = Array.from({ length: 300 }, (_, index) => fresh(`u${index}`));
      await store.apply(
        a,
        users.map((userId) => connected(userId, userId, t)),
        t,
      );
      await store.apply(
        a,
        users.map((userId) => disconnected(userId, userId, t + 1)),
        t + 1,
      );
      const late = t + 2 + GRACE;
      const told = (await Promise.all(Array.from({ length: 10 }, () => store.sweep(late)))).flat();
      expect(told.map((presence) => presence.userId).toSorted()).toEqual(users.toSorted());
    });

    test('lists who is online in order of id, page by page, each once', async () => {
      const t = await begin();
      const [a, b] = [await instance(t), await instance(t)];
      const prefix = fresh('list');
      const users = Array.from({ length: 25 }, (_, index) => `${prefix}-${String(index).padStart(2, '0')}`);
      for (const id of [a, b]) {
        await store.apply(
          id,
          users.toReversed().map((userId) => connected(userId, userId, t)),
          t,
        );
      }
      const away = users[3] ?? '';
      await store.apply(a, [disconnected(away, away, t)], t);
      await store.apply(b, [disconnected(away, away, t)], t);
      const now = t + GRACE + 1;
      const seen: string[] = [];
      for (let after = prefix; ; ) {
        const page = await store.listOnline({ after, limit: 10 }, now);
        seen.push(...page.filter((userId) => userId.startsWith(prefix)));
        if (page.length < 10) break;
        after = page.at(-1) ?? '';
      }
      expect(seen).toEqual(users.filter((userId) => userId !== away));
      expect((await store.listOnline({ limit: 1000 }, now)).filter((id) => id.startsWith(prefix))).toEqual(seen);
    });

    test('keeps odd user ids exactly', async () => {
      const t = await begin();
      const a = await instance(t);
      for (const label of ["o'neil", '👩‍⚕️', '507f1f77bcf86cd799439011', '%_', ' ']) {
        const userId = `${label}${fresh('')}`;
        await store.apply(a, [connected(userId, `${label}1`, t)], t);
        expect(await find(userId, t)).toEqual({ userId, online: true });
        expect(await find(`${userId}x`, t)).toBeUndefined();
      }
    });

    test('tells when any instance last gave a sign of life before an instance began', async () => {
      await begin();
      const a = fresh('instance');
      await store.renewLease(a, clock.now() + LEASE);
      await clock.advance(7000);
      await store.renewLease(a, clock.now() + LEASE);
      const last = clock.now();
      await clock.advance(1000);
      const b = fresh('instance');
      expect(await store.previousSignOfLife(b)).toBeUndefined();
      await store.renewLease(b, clock.now() + LEASE);
      expect(await store.previousSignOfLife(b)).toBe(last);
      await clock.advance(1000);
      await store.renewLease(a, clock.now() + LEASE);
      await store.renewLease(b, clock.now() + LEASE);
      expect(await store.previousSignOfLife(b)).toBe(last);
    });

    test('still tells it after the dead instance was swept', async () => {
      await begin();
      const a = fresh('instance');
      await store.renewLease(a, clock.now() + LEASE);
      const last = clock.now();
      await store.apply(a, [connected(fresh('ann'), '1', clock.now())], clock.now());
      await clock.advance(60 * 24 * 3600 * 1000);
      await store.sweep(clock.now());
      const b = await instance(clock.now());
      expect(await store.previousSignOfLife(b)).toBe(last);
    });
  });
}
