/**
 * What can go wrong on the production pair, drawn by seed. Three lanes go on at the same time, so that faults meet: one of
 * instances, one of their ways to the store, one of the broker. A plan is made before anything happens: the same seed gives the
 * same faults on the same instances for the same times.
 */
import type { Dice } from '../../fuzz/dice.ts';
import type { Cluster, Instance } from './cluster.ts';

interface Misfortune {
  readonly name: string;
  begin(): Promise<unknown> | unknown;
  end?(): Promise<unknown> | unknown;
}

interface Step {
  readonly misfortune: Misfortune;
  /** How long it lasts, in milliseconds. */
  readonly lastsMs: number;
  /** How long the lane rests afterwards, in milliseconds. */
  readonly restMs: number;
}

export interface Plan {
  /** What will happen, a line per lane. */
  readonly text: string;
  /** Lets it happen; resolves when everything is mended. */
  carryOut(): Promise<void>;
}

/** Longer than the lease of the tests' instances, and than the driver's time for a call. */
const LONGEST_MS = 4500;
const LONGEST_REST_MS = 1500;
const LONGEST_START_MS = 60_000;
const RESTART_MS = 500;

/** @param steps How many faults each lane has. */
export function planMisfortunes(cluster: Cluster, dice: Dice, steps: number): Plan {
  const lanes = [ofInstances, ofTheStore, ofTheBroker].map((draw) =>
    Array.from({ length: steps }, () => {
      const misfortune = draw(cluster, dice);
      return { misfortune, lastsMs: 100 + dice.number(LONGEST_MS), restMs: dice.number(LONGEST_REST_MS) };
    }),
  );
  return {
    text: lanes
      .map((lane) => lane.map(({ lastsMs, misfortune }) => `${misfortune.name} ${lastsMs} ms`).join(', '))
      .join('\n'),
    async carryOut() {
      await Promise.all(lanes.map(walk));
    },
  };
}

async function walk(lane: readonly Step[]): Promise<void> {
  for (const { lastsMs, misfortune, restMs } of lane) {
    await misfortune.begin();
    await pause(lastsMs);
    await misfortune.end?.();
    await pause(restMs);
  }
}

function ofInstances(cluster: Cluster, dice: Dice): Misfortune {
  const index = dice.number(cluster.instances.length);
  const { server } = cluster.instance(index);
  return dice.of<Misfortune>([
    { name: `${index} is killed`, begin: () => server.stop('SIGKILL'), end: () => startAgain(server) },
    { name: `${index} is asked to stop`, begin: () => server.stop('SIGTERM'), end: () => startAgain(server) },
    {
      name: `${index} stands still`,
      begin: () => process.kill(server.pid, 'SIGSTOP'),
      end: () => process.kill(server.pid, 'SIGCONT'),
    },
  ]);
}

/** A server that finds no store or broker ends with what to do; whatever keeps it running starts it again. */
async function startAgain(server: Instance['server']): Promise<void> {
  const givesUpAtMs = performance.now() + LONGEST_START_MS;
  for (;;) {
    try {
      return await server.start();
    } catch (error) {
      if (performance.now() > givesUpAtMs) throw error;
      await pause(RESTART_MS);
    }
  }
}

function ofTheStore(cluster: Cluster, dice: Dice): Misfortune {
  const index = dice.number(cluster.instances.length);
  const way = cluster.instance(index).mongo;
  const ways = cluster.instances.map(({ mongo }) => mongo);
  return dice.of<Misfortune>([
    ...troublesOf(`${index} and MongoDB`, way),
    { name: 'all and MongoDB: cut', begin: () => ways.map((way) => way.cut()) },
    {
      name: 'all and MongoDB: away',
      begin: () => ways.map(close),
      end: () => ways.map(open),
    },
  ]);
}

function ofTheBroker(cluster: Cluster, dice: Dice): Misfortune {
  const index = dice.number(cluster.instances.length);
  const { redis } = cluster.pair;
  return dice.of<Misfortune>([
    ...troublesOf(`${index} and Redis`, cluster.instance(index).redis),
    { name: 'Redis forgets', begin: () => redis.use((client) => client.flushAll()) },
    { name: 'Redis is killed and comes back empty', begin: () => redis.kill(), end: () => redis.run() },
    { name: 'Redis stands still', begin: () => redis.signal('SIGSTOP'), end: () => redis.signal('SIGCONT') },
  ]);
}

function troublesOf(between: string, way: Instance['mongo']): Misfortune[] {
  const mend = (): void => {
    way.thaw();
    way.cut();
  };
  return [
    { name: `${between}: away`, begin: () => close(way), end: () => open(way) },
    { name: `${between}: frozen`, begin: () => way.freeze(), end: () => way.thaw() },
    { name: `${between}: answers are lost`, begin: () => way.swallowAnswers(), end: mend },
    { name: `${between}: requests are lost`, begin: () => way.swallowRequests(), end: mend },
    {
      name: `${between}: slow`,
      begin: () => {
        way.delayMs = 150;
      },
      end: () => {
        way.delayMs = 0;
      },
    },
  ];
}

function close(way: Instance['mongo']): void {
  way.accepting = false;
  way.cut();
}

function open(way: Instance['mongo']): void {
  way.accepting = true;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
