/**
 * Scenario 9: instances on the production pair. What a second one adds to a message, and what an instance costs per
 * connection and per message there.
 */
import type { Figure, ScenarioResult } from '../figures.ts';
import type { IdleLoad } from '../load/idle.ts';
import type { InstancesLoad, InstancesMeasured } from '../load/instances.ts';
import { JSON_WEB_SOCKETS } from '../load/receivers.ts';
import { type RemoteLoad, startLoad } from '../load/remote.ts';
import { sleep } from '../load/window.ts';
import { describeServer, missingServers, type ProductionServers, startProductionServers } from '../production/pair.ts';
import type { ServerUnderTest } from '../servers/server-under-test.ts';
import { median } from '../statistics.ts';
import { cpuMicroseconds, residentBytes } from '../system/usage.ts';
import { makeUsers, type ScenarioContext, startOurSide } from './context.ts';

const INSTANCES_SCRIPT = new URL('../load/instances.ts', import.meta.url);
const IDLE_SCRIPT = new URL('../load/idle.ts', import.meta.url);
const PAIRS = 200;
const WINDOW = 2;
const IDLE_CONNECTIONS = 2000;
const IDLE_WATCHED_MS = 15_000;
/** What a second instance may add to a message, in microseconds of CPU of both. */
const MOST_ADDED_US = 15;

/** A way of carrying the same messages. */
interface Setup {
  readonly name: 'two' | 'oneRedis' | 'oneAlone';
  readonly servers: readonly ServerUnderTest[];
  readonly load: RemoteLoad<InstancesLoad>;
}

type Measured = Record<Setup['name'], InstancesMeasured[]>;

export async function measureProductionInstances(context: ScenarioContext): Promise<ScenarioResult> {
  const missing = await missingServers();
  if (missing !== undefined) return { figures: [], notes: [`skipped: ${missing}`] };
  await using pair = await startProductionServers();
  const notes = [
    describeServer(pair.kind),
    `${PAIRS} pairs of WebSocket connections, JSON, window ${WINDOW}, 80-character messages from one to the other`,
    'two instances: all senders on the one, all receivers on the other; CPU of both together, that of MongoDB and Redis not counted',
    'done = answered, delivered and, where acknowledged, the status told to the sender',
  ];
  const figures = [
    ...(await measureSecondInstance(context, pair, notes)),
    ...(await measureConnections(context, pair)),
  ];
  return { figures, notes };
}

async function measureSecondInstance(
  context: ScenarioContext,
  pair: ProductionServers,
  notes: string[],
): Promise<Figure[]> {
  await using stack = new AsyncDisposableStack();
  const start = async (name: Setup['name'], count: number, withRedis: boolean): Promise<Setup> => {
    const servers: ServerUnderTest[] = [];
    for (let n = 0; n < count; n += 1) {
      servers.push(stack.use(await startOurSide(context, { env: pair.env(name, { withRedis }) })));
    }
    const load = stack.use(startLoad<InstancesLoad>(INSTANCES_SCRIPT));
    const users = makeUsers(7, 2 * PAIRS);
    const end = (index: number, server: ServerUnderTest | undefined) => {
      const user = users[index];
      if (user === undefined || server === undefined) throw new Error('no such end');
      return { ...user, address: { host: server.host, port: server.port } };
    };
    const pairs = Array.from({ length: PAIRS }, (_, n) => ({
      sender: end(2 * n, servers[0]),
      receiver: end(2 * n + 1, servers.at(-1)),
    }));
    await load.call('connect', { pairs });
    return { name, servers, load };
  };
  const setups = [await start('two', 2, true), await start('oneRedis', 1, true), await start('oneAlone', 1, false)];
  const run = ({ load, servers }: Setup, acknowledge: boolean, warmUpMs: number, measureMs: number) =>
    load.call('run', { window: WINDOW, acknowledge, warmUpMs, measureMs, serverPids: servers.map(({ pid }) => pid) });
  const { firstWarmUpMs, measureMs, rounds, warmUpMs } = context.durations;
  for (const setup of setups) {
    context.progress(`  warming up ${setup.name}`);
    await run(setup, true, firstWarmUpMs, 100);
  }
  const figures: Figure[] = [];
  // Acknowledged first: afterwards no message waits to be passed.
  for (const acknowledge of [true, false]) {
    context.progress(acknowledge ? '  acknowledged' : '  not acknowledged');
    const measured: Measured = { two: [], oneRedis: [], oneAlone: [] };
    for (let round = 0; round < rounds; round += 1) {
      for (const setup of round % 2 === 0 ? setups : setups.toReversed()) {
        measured[setup.name].push(await run(setup, acknowledge, warmUpMs, 2 * measureMs));
      }
    }
    figures.push(...figuresOf(measured, acknowledge));
  }
  notes.push(`${rounds} rounds of ${(2 * measureMs) / 1000} s each, alternating; medians`);
  return figures;
}

function figuresOf(measured: Measured, acknowledge: boolean): Figure[] {
  const suffix = acknowledge ? ', acknowledged' : '';
  const id = `production.${acknowledge ? 'acknowledged' : 'plain'}`;
  const cpu = (name: Setup['name']): number[] => measured[name].map(({ count, serverCpuUs }) => serverCpuUs / count);
  const added = (name: Setup['name']): number[] => cpu('two').map((us, round) => us - (cpu(name)[round] ?? Number.NaN));
  const figure = (quantity: string, label: string, values: number[], unit = 'us'): Figure => ({
    id: `${id}.${quantity}`,
    label: `${label}${suffix}`,
    unit,
    ours: median(values),
    oursRounds: values,
    charted: false,
  });
  const rate = measured.two.map(({ count, seconds }) => count / seconds);
  return [
    figure('one', 'one instance, MongoDB without Redis: CPU per message', cpu('oneAlone')),
    figure('oneRedis', 'one instance, MongoDB and Redis: CPU per message', cpu('oneRedis')),
    figure('two', 'two instances, MongoDB and Redis: CPU per message, both', cpu('two')),
    {
      ...figure('added', 'a second instance adds per message', added('oneRedis')),
      targets: acknowledge ? [] : [{ kind: 'atMost', limit: MOST_ADDED_US }],
    },
    figure('addedToNone', 'a second instance and Redis add per message', added('oneAlone')),
    figure('rate', 'two instances: messages/s', rate, '1/s'),
  ];
}

async function measureConnections(context: ScenarioContext, pair: ProductionServers): Promise<Figure[]> {
  const count = context.options.quick ? 500 : IDLE_CONNECTIONS;
  context.progress(`  ${count} idle connections`);
  await using server = await startOurSide(context, { env: pair.env('idle', { withRedis: true }) });
  const address = { host: server.host, port: server.port };
  const settled = async (): Promise<number> => {
    await sleep(context.options.quick ? 2000 : 5000);
    await server.ask?.('collectGarbage');
    await sleep(500);
    return residentBytes(server.pid);
  };
  {
    await using first = startLoad<IdleLoad>(IDLE_SCRIPT);
    await first.call('connect', {
      address,
      kind: JSON_WEB_SOCKETS,
      tokens: makeUsers(8, 50).map(({ token }) => token),
    });
  }
  const base = await settled();
  const idleCpu = async (): Promise<number> => {
    const before = cpuMicroseconds(server.pid);
    await sleep(IDLE_WATCHED_MS);
    return (cpuMicroseconds(server.pid) - before) / (IDLE_WATCHED_MS / 1000);
  };
  const emptyCpuUs = await idleCpu();
  await using load = startLoad<IdleLoad>(IDLE_SCRIPT);
  const before = cpuMicroseconds(server.pid);
  await load.call('connect', {
    address,
    kind: JSON_WEB_SOCKETS,
    tokens: makeUsers(9, count).map(({ token }) => token),
  });
  const bytes = await settled();
  const openingUs = cpuMicroseconds(server.pid) - before;
  const idleCpuUs = await idleCpu();
  if ((await load.call('countOpen', {})) !== count) throw new Error('idle connections were closed');
  const value = (id: string, label: string, unit: string, ours: number): Figure => ({
    id: `production.${id}`,
    label,
    unit,
    ours,
    charted: false,
  });
  return [
    value('base', 'instance on MongoDB and Redis without connections: RSS', 'MB', base / 1e6),
    value('connection.memory', `idle connection there, ${count} open: RSS each`, 'kB', (bytes - base) / count / 1000),
    value('connection.opening', 'opening a connection there: CPU', 'us', openingUs / count),
    value('connection.idle', 'idle connection there: CPU per second', 'us', (idleCpuUs - emptyCpuUs) / count),
    value('idle', 'instance there without connections: CPU per second', 'us', emptyCpuUs),
  ];
}
