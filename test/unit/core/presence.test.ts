import fc from 'fast-check';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { MemoryBroker } from '../../../src/broker/memory.ts';
import type { Presence } from '../../../src/core/message.ts';
import { noMetrics } from '../../../src/core/metrics.ts';
import { Policy } from '../../../src/core/policy.ts';
import type { Broker } from '../../../src/core/ports.ts';
import { type PresenceOptions, PresenceTracker } from '../../../src/core/presence.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';
import { FakePresenceStore } from '../../fixtures/fake-presence-store.ts';
import { identityOf } from '../../fixtures/identities.ts';
import { settle } from '../../fixtures/settle.ts';

interface Announcement {
  readonly atMs: number;
  readonly changes: readonly Presence[];
  readonly audience: readonly string[] | undefined;
}

let clock: FakeClock;
let store: FakePresenceStore;
let broker: MemoryBroker;
let announced: Announcement[];
let errors: unknown[];
let partners: Record<string, string[]>;

beforeEach(() => {
  clock = new FakeClock();
  store = new FakePresenceStore();
  broker = new MemoryBroker({ clock });
  announced = [];
  errors = [];
  partners = {};
  broker.onBroadcast((event, audience) => {
    if (event.type === 'presenceChanged')
      announced.push({ atMs: clock.monotonicMs(), changes: event.changes, audience });
  });
});

const policy = new Policy({ record: () => undefined });

function make(options: Partial<PresenceOptions> = {}): PresenceTracker {
  return new PresenceTracker(
    {
      store,
      partners: { listPartners: (userId) => Promise.resolve(partners[userId] ?? []) },
      broker,
      policy,
      clock,
      metrics: noMetrics,
      onError: (error) => errors.push(error),
    },
    { instanceId: 'one', audience: 'everyone', graceMs: 5000, leaseMs: 15_000, coalesceMs: 50, ...options },
  );
}

async function started(options: Partial<PresenceOptions> = {}): Promise<PresenceTracker> {
  const tracker = make(options);
  await tracker.start();
  return tracker;
}

/** What a watcher believes after everything it was told. */
const told = (): string[] =>
  announced.flatMap(({ changes }) => changes.map((change) => `${change.userId} ${change.online ? 'on' : 'off'}`));

const online = async (userId: string): Promise<boolean> =>
  (await store.find([userId], clock.now())).get(userId)?.online ?? false;

const down = (): never => {
  throw new Error('The store is away');
};

describe('a user', () => {
  test('is announced online with the first connection only', async () => {
    const tracker = await started();
    tracker.connected('alice', 'c1');
    tracker.connected('alice', 'c2');
    await settle();
    await clock.advance(100);
    expect(told()).toEqual(['alice on']);
    expect(await online('alice')).toBe(true);
  });

  test('is announced online although the answer to the first connection was lost', async () => {
    const tracker = await started();
    const apply = store.apply.bind(store);
    store.apply = async (...args) => {
      store.apply = apply;
      await apply(...args);
      return down();
    };
    tracker.connected('alice', 'c1');
    await settle();
    await clock.advance(2000);
    expect(told()).toEqual(['alice on']);
  });

  test('is announced offline once, when the grace after the last connection has passed and not much later', async () => {
    const tracker = await started();
    await clock.advance(1234);
    tracker.connected('alice', 'c1');
    tracker.connected('alice', 'c2');
    await settle();
    await clock.advance(2000);
    tracker.disconnected('alice', 'c1');
    await clock.advance(20_000);
    expect(told()).toEqual(['alice on']);
    const lastSeenMs = clock.now();
    const endedMs = clock.monotonicMs();
    tracker.disconnected('alice', 'c2');
    await clock.advance(4990);
    expect(told()).toEqual(['alice on']);
    await clock.advance(60_000);
    expect(told()).toEqual(['alice on', 'alice off']);
    expect(announced[1]?.changes).toEqual([{ userId: 'alice', online: false, lastSeenMs }]);
    expect((announced[1]?.atMs ?? 0) - endedMs).toBeLessThanOrEqual(5000 + 51 + 50);
  });

  test('has a grace of their own, however many others end around it', async () => {
    const tracker = await started();
    const users = Array.from({ length: 40 }, (_, index) => `user${index}`);
    for (const userId of users) tracker.connected(userId, `c-${userId}`);
    await settle();
    const endedMs = new Map<string, number>();
    for (const userId of users) {
      await clock.advance(333);
      endedMs.set(userId, clock.monotonicMs());
      tracker.disconnected(userId, `c-${userId}`);
    }
    await clock.advance(20_000);
    for (const { changes, atMs } of announced) {
      for (const change of changes) {
        if (change.online) continue;
        const lateMs = atMs - (endedMs.get(change.userId) ?? 0) - 5000;
        expect(lateMs).toBeGreaterThanOrEqual(0);
        expect(lateMs).toBeLessThanOrEqual(101);
      }
    }
    expect(told().filter((item) => item.endsWith('off'))).toHaveLength(40);
  });

  test('who reloads the page within the grace is no event', async () => {
    const tracker = await started();
    tracker.connected('alice', 'c1');
    await settle();
    await clock.advance(1000);
    tracker.disconnected('alice', 'c1');
    await settle();
    await clock.advance(4000);
    tracker.connected('alice', 'c2');
    await settle();
    await clock.advance(60_000);
    expect(told()).toEqual(['alice on']);
  });

  test('who goes and comes back within one announcement is never announced as offline', async () => {
    const tracker = await started({ coalesceMs: 1000 });
    tracker.connected('alice', 'c1');
    await clock.advance(2000);
    tracker.disconnected('alice', 'c1');
    await settle();
    await clock.advance(5100);
    expect(await online('alice')).toBe(false);
    tracker.connected('alice', 'c2');
    await settle();
    await clock.advance(60_000);
    expect(told()).not.toContain('alice off');
    expect(told().at(-1)).toBe('alice on');
  });

  test('counts without grace if there is none', async () => {
    const tracker = await started({ graceMs: 0 });
    tracker.connected('alice', 'c1');
    await clock.advance(100);
    tracker.disconnected('alice', 'c1');
    await clock.advance(151);
    expect(told()).toEqual(['alice on', 'alice off']);
  });
});

describe('announcements', () => {
  test('take all changes of the time in one event', async () => {
    const tracker = await started();
    for (let index = 0; index < 300; index += 1) tracker.connected(`user${index}`, `c${index}`);
    await settle();
    await clock.advance(100);
    expect(announced).toHaveLength(1);
    expect(announced[0]?.changes).toHaveLength(300);
  });

  test('are not made if the audience is nobody, and partners may ask all the same', async () => {
    const tracker = await started({ audience: 'nobody' });
    partners.alice = ['bob'];
    tracker.connected('alice', 'c1');
    await clock.advance(1_000);
    expect(announced).toEqual([]);
    expect(await tracker.visibleTo(identityOf('alice'), ['alice', 'bob', 'carol'])).toEqual(['alice', 'bob']);
    await tracker.stop();
  });

  test('go to the conversation partners and the user alone if the audience is contacts', async () => {
    const tracker = await started({ audience: 'contacts' });
    partners = { alice: ['bob'], carol: [] };
    tracker.connected('alice', 'c1');
    tracker.connected('carol', 'c2');
    await settle();
    await clock.advance(100);
    expect(announced.map(({ changes, audience }) => [changes[0]?.userId, audience])).toEqual([
      ['alice', ['bob', 'alice']],
      ['carol', ['carol']],
    ]);
  });

  test('of the others go out although the partners of one cannot be read', async () => {
    const tracker = await started({ audience: 'contacts' });
    Object.defineProperty(partners, 'alice', { get: down });
    tracker.connected('alice', 'c1');
    tracker.connected('carol', 'c2');
    await settle();
    await clock.advance(100);
    expect(told()).toEqual(['carol on']);
    expect(errors).toHaveLength(1);
  });

  test('do not overtake each other, even if the earlier one takes longer', async () => {
    const slow = Promise.withResolvers<void>();
    let calls = 0;
    const broadcast = broker.broadcast.bind(broker);
    broker.broadcast = async (...args) => {
      calls += 1;
      if (calls === 1) await slow.promise;
      return broadcast(...args);
    };
    const tracker = await started({ graceMs: 0 });
    tracker.connected('alice', 'c1');
    await clock.advance(100);
    tracker.disconnected('alice', 'c1');
    await clock.advance(1000);
    slow.resolve();
    await settle();
    expect(told()).toEqual(['alice on', 'alice off']);
  });

  test('that another instance has turned round since are left out, so that watchers end with the truth', async () => {
    const slow = await started({ instanceId: 'slow', coalesceMs: 500 });
    slow.connected('alice', 'c1');
    await settle();
    await clock.advance(1000);
    slow.disconnected('alice', 'c1');
    await settle();
    await clock.advance(5060);
    expect(await online('alice')).toBe(false);
    const quick = await started({ instanceId: 'quick', coalesceMs: 10 });
    quick.connected('alice', 'c2');
    await settle();
    await clock.advance(2000);
    expect(told()).toEqual(['alice on', 'alice on']);
  });

  test.each(['everyone', 'contacts'] as const)(
    'that the broker refuses are made when it is back, unless they are no longer true (%s)',
    async (audience) => {
      const tracker = await started({ audience });
      for (const userId of ['bob', 'carol']) tracker.connected(userId, userId);
      await clock.advance(100);
      announced = [];
      const broadcast = broker.broadcast.bind(broker);
      broker.broadcast = () => Promise.reject(new Error('away'));
      for (const userId of ['bob', 'carol']) tracker.disconnected(userId, userId);
      await clock.advance(20_000);
      tracker.connected('carol', 'again');
      await clock.advance(1000);
      expect(errors.length).toBeLessThan(60);
      broker.broadcast = broadcast;
      await clock.advance(2000);
      const changes = announced.flatMap((announcement) => announcement.changes);
      expect(changes.map(({ online, userId }) => [userId, online])).toEqual(
        expect.arrayContaining([
          ['bob', false],
          ['carol', true],
        ]),
      );
      expect(changes).toHaveLength(2);
      await clock.advance(60_000);
      expect(announced.flatMap((announcement) => announcement.changes)).toHaveLength(2);
    },
  );

  test('that wait for the broker are not all looked up with each try, and all made when it is back', async () => {
    const tracker = await started();
    const userIds = Array.from({ length: 1200 }, (_, index) => `user-${index}`);
    const broadcast = broker.broadcast.bind(broker);
    broker.broadcast = () => Promise.reject(new Error('away'));
    for (const userId of userIds) tracker.connected(userId, userId);
    await settle();
    await clock.advance(2000);
    const finds = vi.spyOn(store, 'find');
    await clock.advance(10_000);
    expect(finds.mock.calls.length).toBeLessThanOrEqual(11);
    broker.broadcast = broadcast;
    await clock.advance(2000);
    expect(told().toSorted()).toEqual(userIds.map((userId) => `${userId} on`).toSorted());
  });

  test('are made again for an instance that was deaf meanwhile, as far as they are still true', async () => {
    const deaf: ((deafMs: number) => void)[] = [];
    const onBroadcast = broker.onBroadcast.bind(broker);
    broker.onBroadcast = (listener: Parameters<Broker['onBroadcast']>[0], onDeaf?: (deafMs: number) => void) => {
      if (onDeaf !== undefined) deaf.push(onDeaf);
      return onBroadcast(listener);
    };
    const [one, two] = [await started(), await started({ instanceId: 'two' })];
    for (const userId of ['old', 'bob', 'carol']) one.connected(userId, userId);
    await clock.advance(60_000);
    for (const userId of ['bob', 'carol']) one.disconnected(userId, userId);
    await clock.advance(10_000);
    two.connected('carol', 'again');
    await settle();
    await clock.advance(1000);
    announced = [];
    const broadcast = broker.broadcast.bind(broker);
    broker.broadcast = () => Promise.reject(new Error('not yet'));
    deaf[1]?.(5000);
    await clock.advance(1500);
    broker.broadcast = broadcast;
    // Others that were deaf as well ask within a few seconds, and are answered together.
    await clock.advance(500);
    deaf[0]?.(1000);
    await clock.advance(10_000);
    const asked = announced.filter(({ changes }) => changes.length === 0);
    expect(asked).toHaveLength(2);
    const again = announced.flatMap(({ changes }) => changes).map(({ online, userId }) => [userId, online]);
    expect(again.toSorted()).toEqual([
      ['bob', false],
      ['carol', true],
    ]);
    await one.stop();
    await two.stop();
    expect(clock.pending).toBe(0);
  });

  test('wait while the store cannot say what is true now', async () => {
    const tracker = await started();
    tracker.connected('alice', 'c1');
    await settle();
    store.fault = (method) => {
      if (method === 'find') down();
    };
    await clock.advance(3000);
    expect(told()).toEqual([]);
    store.fault = () => undefined;
    await clock.advance(1100);
    expect(told()).toEqual(['alice on']);
  });
});

describe('the store', () => {
  test('gets one batch at a time; what comes meanwhile is the next, in order', async () => {
    const tracker = await started();
    const gate = Promise.withResolvers<void>();
    let inFlight = 0;
    let most = 0;
    const apply = store.apply.bind(store);
    store.apply = async (...args) => {
      inFlight += 1;
      most = Math.max(most, inFlight);
      await gate.promise;
      const outcome = await apply(...args);
      inFlight -= 1;
      return outcome;
    };
    tracker.connected('alice', 'c1');
    await settle();
    tracker.disconnected('alice', 'c1');
    tracker.connected('bob', 'c2');
    await settle();
    gate.resolve();
    await settle();
    expect(most).toBe(1);
    expect(store.batches.map((batch) => batch.map((write) => `${write.type} ${write.userId}`))).toEqual([
      ['connected alice'],
      ['disconnected alice', 'connected bob'],
    ]);
  });

  test('gets every write after a failure, once and in order, and is left alone in between', async () => {
    const tracker = await started();
    let tries = 0;
    store.fault = (method) => {
      if (method !== 'apply') return;
      tries += 1;
      down();
    };
    for (let index = 0; index < 50; index += 1) {
      tracker.connected(`user${index}`, `c${index}`);
      await settle(2);
    }
    expect(tries).toBe(1);
    expect(clock.pending).toBeLessThan(8);
    store.fault = () => undefined;
    await clock.advance(1100);
    expect(store.batches.flat().map((write) => write.connectionId)).toEqual(
      Array.from({ length: 50 }, (_, index) => `c${index}`),
    );
    expect(told()).toHaveLength(50);
  });

  test('is asked about presence after the writes that were reported before', async () => {
    const tracker = await started();
    tracker.connected('alice', 'c1');
    expect((await tracker.find(['alice'])).get('alice')?.online).toBe(true);
    tracker.connected('bob', 'c2');
    expect(await tracker.listOnline({ limit: 10 })).toEqual(['alice', 'bob']);
    expect(await tracker.find([])).toEqual(new Map());
  });
});

describe('the store', () => {
  test('hears who has been told to be offline, when it has been told', async () => {
    const confirmed: string[] = [];
    Object.assign(store, { confirmTold: async (userIds: readonly string[]) => void confirmed.push(...userIds) });
    const tracker = await started();
    tracker.connected('alice', 'c1');
    tracker.connected('bob', 'c2');
    await settle();
    await clock.advance(100);
    const broadcast = broker.broadcast.bind(broker);
    broker.broadcast = () => Promise.reject(new Error('The broker is away'));
    tracker.disconnected('alice', 'c1');
    await clock.advance(20_000);
    expect(confirmed).toEqual([]);
    broker.broadcast = broadcast;
    await clock.advance(2000);
    expect(told()).toEqual(['alice on', 'bob on', 'alice off']);
    expect(confirmed).toEqual(['alice']);
  });
});

describe('leases', () => {
  test('are renewed for as long as the tracker runs, in time', async () => {
    const tracker = await started();
    tracker.connected('alice', 'c1');
    await clock.advance(120_000);
    expect(await online('alice')).toBe(true);
    expect(told()).toEqual(['alice on']);
  });

  test('of a killed instance run out, and the survivors say so once, within lease and grace', async () => {
    const killed = await started({ instanceId: 'killed' });
    killed.connected('alice', 'c1');
    await clock.advance(100);
    store.fault = () => undefined;
    await started({ instanceId: 'two' });
    await started({ instanceId: 'three' });
    await kill(killed);
    const killedMs = clock.monotonicMs();
    await clock.advance(60_000);
    expect(told()).toEqual(['alice on', 'alice off']);
    expect((announced[1]?.atMs ?? 0) - killedMs).toBeLessThanOrEqual(15_000 + 5000 + 100);
  });

  test('that ran out while the store was away are taken again with all connections', async () => {
    const tracker = await started();
    tracker.connected('alice', 'c1');
    tracker.connected('bob', 'c2');
    await clock.advance(100);
    store.fault = down;
    await clock.advance(30_000);
    store.fault = () => undefined;
    await clock.advance(10_000);
    expect(await online('alice')).toBe(true);
    tracker.disconnected('bob', 'c2');
    await clock.advance(10_000);
    expect(await online('bob')).toBe(false);
    expect(
      told()
        .filter((item) => item.startsWith('alice'))
        .at(-1),
    ).toBe('alice on');
    expect(told().at(-1)).toBe('bob off');
  });

  test('that ran out are taken again although a survivor swept the rows meanwhile', async () => {
    await loseLeaseAndMayHaveItAgain();
    await clock.advance(6000);
    expect(await online('alice')).toBe(true);
    expect(told()).toEqual(['alice on', 'alice off', 'alice on']);
  });

  test('that ran out are told once to be there again, however long the writing takes', async () => {
    await loseLeaseAndMayHaveItAgain();
    const apply = store.apply.bind(store);
    store.apply = async (...args) => {
      const outcomes = await apply(...args);
      await new Promise<void>((resolve) => clock.schedule(500, resolve));
      return outcomes;
    };
    await clock.advance(10_000);
    expect(told()).toEqual(['alice on', 'alice off', 'alice on']);
  });

  test('that another instance took for over are taken again, although they run by the own clock', async () => {
    const tracker = await started({ instanceId: 'one' });
    tracker.connected('alice', 'c1');
    await settle();
    await clock.advance(100);
    for (const presence of await store.sweep(clock.now() + 15_000)) {
      await broker.broadcast({ type: 'presenceChanged', changes: [presence] });
    }
    expect(await online('alice')).toBe(false);
    await clock.advance(6000);
    expect(await online('alice')).toBe(true);
    expect(told()).toEqual(['alice on', 'alice off', 'alice on']);
  });

  test('that could not be taken at the start are taken later', async () => {
    store.fault = down;
    const tracker = await started();
    tracker.connected('alice', 'c1');
    await settle();
    store.fault = () => undefined;
    await clock.advance(10_000);
    expect(await online('alice')).toBe(true);
    expect(told().at(-1)).toBe('alice on');
  });

  /** The instance of alice's connection cannot renew its lease until another one has swept the row; then it can. */
  async function loseLeaseAndMayHaveItAgain(): Promise<void> {
    const tracker = await started({ instanceId: 'one' });
    await started({ instanceId: 'two' });
    tracker.connected('alice', 'c1');
    await clock.advance(100);
    const renewLease = store.renewLease.bind(store);
    store.renewLease = (instanceId, untilMs) =>
      instanceId === 'one' ? Promise.reject(new Error('cut off')) : renewLease(instanceId, untilMs);
    await clock.advance(30_000);
    expect(told()).toEqual(['alice on', 'alice off']);
    store.renewLease = renewLease;
  }

  /** Ends an instance without a word: nothing of it runs on. */
  async function kill(tracker: PresenceTracker): Promise<void> {
    const { apply, sweep } = store;
    store.apply = () => Promise.resolve([]);
    store.sweep = () => Promise.resolve([]);
    await tracker.stop();
    store.apply = apply;
    store.sweep = sweep;
  }
});

describe('stopping', () => {
  test('writes what is left and leaves no timer behind', async () => {
    const tracker = await started();
    tracker.connected('alice', 'c1');
    await settle();
    tracker.disconnected('alice', 'c1');
    await tracker.stop();
    expect(store.batches.flat().map((write) => write.type)).toEqual(['connected', 'disconnected']);
    await clock.advance(0);
    const renewals: string[] = [];
    store.fault = (method) => void renewals.push(method);
    await clock.advance(60_000);
    expect(renewals).toEqual([]);
  });

  test('ends the connections that are left, and takes no notice of what is reported later', async () => {
    const tracker = await started();
    tracker.connected('alice', 'c1');
    tracker.connected('bob', 'c2');
    await tracker.stop();
    tracker.disconnected('alice', 'c1');
    tracker.connected('carol', 'c3');
    await settle();
    expect(store.batches.flat().map(({ type, userId }) => `${userId} ${type}`)).toEqual([
      'alice connected',
      'bob connected',
      'alice disconnected',
      'bob disconnected',
    ]);
  });

  test('tries once more what had failed', async () => {
    const tracker = await started();
    store.fault = down;
    tracker.connected('alice', 'c1');
    await settle();
    store.fault = () => undefined;
    await tracker.stop();
    expect(store.batches.flat().map((write) => write.type)).toEqual(['connected', 'disconnected']);
  });

  test('does not hang on a store that stays away', async () => {
    const tracker = await started();
    store.fault = down;
    tracker.connected('alice', 'c1');
    await settle();
    await tracker.stop();
    await clock.advance(60_000);
    expect(store.batches).toEqual([]);
  });

  test('announces what it swept, since nobody else will', async () => {
    const tracker = await started({ graceMs: 0, coalesceMs: 1000 });
    tracker.connected('alice', 'c1');
    await clock.advance(2000);
    tracker.disconnected('alice', 'c1');
    await clock.advance(200);
    expect(told()).toEqual(['alice on']);
    await tracker.stop();
    expect(told()).toEqual(['alice on', 'alice off']);
  });
});

describe('whose presence somebody may see', () => {
  const everybody = ['alice', 'bob', 'carol'];

  test('is everybody, if the audience is everyone', async () => {
    expect(await make().visibleTo(identityOf('alice'), everybody)).toEqual(everybody);
  });

  test('is themselves and their partners, if it is contacts', async () => {
    partners = { alice: ['bob'] };
    const tracker = make({ audience: 'contacts' });
    expect(await tracker.visibleTo(identityOf('alice'), everybody)).toEqual(['alice', 'bob']);
    expect(await tracker.visibleTo(identityOf(undefined), everybody)).toEqual([]);
  });

  test.each(['Admin', 'SuperAdmin', 'Service'] as const)('is everybody for the role %s', async (role) => {
    expect(await make({ audience: 'contacts' }).visibleTo(identityOf('root', role), everybody)).toEqual(everybody);
  });
});

describe('whatever comes and goes on two instances, and however often the store is away', () => {
  const USERS = ['alice', 'bob', 'carol'];
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ type: fc.constant('connect' as const), on: fc.nat(1), user: fc.constantFrom(...USERS) }),
    },
    { weight: 4, arbitrary: fc.record({ type: fc.constant('disconnect' as const), pick: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('store' as const), away: fc.boolean() }) },
    {
      weight: 5,
      arbitrary: fc.record({
        type: fc.constant('time' as const),
        ms: fc.constantFrom(1, 30, 60, 1000, 4990, 5060, 20_000),
      }),
    },
  );

  test('watchers end with the truth, and the truth is who is connected', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 50, size: 'max' }),
        fc.constantFrom(0, 5000),
        fc.constantFrom(10, 700),
        async (steps, graceMs, coalesceMs) => {
          clock = new FakeClock();
          store = new FakePresenceStore();
          broker = new MemoryBroker({ clock });
          const belief = new Map<string, boolean>();
          broker.onBroadcast((event) => {
            if (event.type !== 'presenceChanged') return;
            for (const change of event.changes) belief.set(change.userId, change.online);
          });
          const trackers = [
            await started({ instanceId: 'one', graceMs, coalesceMs: 50 }),
            await started({ instanceId: 'two', graceMs, coalesceMs }),
          ];
          const open: { readonly tracker: PresenceTracker; readonly userId: string; readonly id: string }[] = [];
          let ids = 0;
          for (const item of steps) {
            if (item.type === 'connect') {
              const tracker = trackers[item.on] ?? make();
              ids += 1;
              open.push({ tracker, userId: item.user, id: `c${ids}` });
              tracker.connected(item.user, `c${ids}`);
            } else if (item.type === 'disconnect') {
              const [connection] = open.splice(item.pick % Math.max(1, open.length), 1);
              connection?.tracker.disconnected(connection.userId, connection.id);
            } else if (item.type === 'store') {
              store.fault = item.away ? down : () => undefined;
            } else {
              await settle(2);
              await clock.advance(item.ms);
            }
          }
          store.fault = () => undefined;
          await settle();
          await clock.advance(60_000);
          for (const userId of USERS) {
            const connected = open.some((connection) => connection.userId === userId);
            expect(await online(userId)).toBe(connected);
            expect(belief.get(userId) ?? false).toBe(connected);
          }
        },
      ),
      { numRuns: 300 },
    );
  }, 120_000);
});
