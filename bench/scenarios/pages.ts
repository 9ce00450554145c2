/** Scenario 5: whether reading the newest page costs more in a large store than in a small one. */
import type { Figure, ScenarioResult } from '../figures.ts';
import type { PagesLoad, PagesMeasured } from '../load/pages.ts';
import { startLoad } from '../load/remote.ts';
import { prefill } from '../prefill.ts';
import { median } from '../statistics.ts';
import { makeTemporaryFolder } from '../system/temporary.ts';
import { makeUsers, type ScenarioContext, startOurSide } from './context.ts';
import { distortionNotes } from './rounds-to-figure.ts';

const SCRIPT = new URL('../load/pages.ts', import.meta.url);
const CONNECTIONS = 4;
const PAGE_SIZE = 50;
const SMALL = 1000;
const LARGE = 1_000_000;

export async function measurePages(context: ScenarioContext): Promise<ScenarioResult> {
  await using stack = new AsyncDisposableStack();
  const large = context.options.quick ? LARGE / 20 : LARGE;
  const small = await startPrefilled(context, stack, SMALL);
  const big = await startPrefilled(context, stack, large);
  const { durations } = context;
  for (const load of [small.load, big.load]) {
    await load.call('run', { warmUpMs: durations.firstWarmUpMs, measureMs: 0 });
  }
  context.progress('  reading pages');
  const measured = { small: [] as PagesMeasured[], large: [] as PagesMeasured[] };
  for (let round = 0; round < durations.rounds; round++) {
    const phase = { warmUpMs: durations.warmUpMs, measureMs: durations.measureMs };
    const order = round % 2 === 0 ? (['small', 'large'] as const) : (['large', 'small'] as const);
    for (const size of order) measured[size].push(await (size === 'small' ? small : big).load.call('run', phase));
  }
  return {
    figures: figuresOf(measured, large),
    notes: [
      `pages of ${PAGE_SIZE} through the hub's GetMessageHistory, ${CONNECTIONS} connections asking one page after the other`,
      'half of each store is one conversation, and every second page is of it; the others go round all conversations',
      'both stores are served by a process each, measured in turn; ours only',
      ...distortionNotes([{ ours: [...measured.small, ...measured.large] }]),
    ],
  };
}

async function startPrefilled(context: ScenarioContext, stack: AsyncDisposableStack, messages: number) {
  const [reader] = makeUsers(9, 1);
  if (reader === undefined) throw new Error('no reader');
  const folder = stack.use(await makeTemporaryFolder(context.options.temporaryFolder));
  context.progress(`  filling a store with ${messages.toLocaleString('en-US')} messages`);
  const { otherIds } = await prefill({
    dataFolder: folder.path,
    readerId: reader.id,
    messages,
    otherId: (index) => `aa${index.toString(16).padStart(22, '0')}`,
  });
  const server = stack.use(await startOurSide(context, { dataFolder: folder.path }));
  const load = stack.use(startLoad<PagesLoad>(SCRIPT));
  await load.call('connect', {
    address: { host: server.host, port: server.port },
    serverPid: server.pid,
    readerId: reader.id,
    token: reader.token,
    connections: CONNECTIONS,
    otherIds: withLongOneOften(otherIds),
    pageSize: PAGE_SIZE,
  });
  return { load };
}

/** Every second page is of the long conversation, so that its size counts. */
function withLongOneOften(otherIds: readonly string[]): string[] {
  const [long, ...others] = otherIds;
  return long === undefined ? [] : others.flatMap((other) => [long, other]);
}

function figuresOf(
  measured: { readonly small: readonly PagesMeasured[]; readonly large: readonly PagesMeasured[] },
  large: number,
): Figure[] {
  const figure = (
    size: 'small' | 'large',
    quantity: string,
    unit: string,
    pick: (value: PagesMeasured) => number,
  ): Figure & { readonly ours: number } => {
    const values = measured[size].map(pick);
    const messages = (size === 'small' ? SMALL : large).toLocaleString('en-US');
    return {
      id: `pages.${size}.${quantity.replace(' ', '-')}`,
      label: `newest page, ${messages} messages: ${quantity}`,
      unit,
      ours: median(values),
      oursRounds: values,
    };
  };
  const cpu = (value: PagesMeasured): number => value.serverCpuUs / value.count;
  const smallCpu = figure('small', 'CPU', 'us', cpu);
  const largeCpu = figure('large', 'CPU', 'us', cpu);
  const smallP50 = figure('small', 'latency p50', 'ms', (value) => value.latencyP50Ms);
  const largeP50 = figure('large', 'latency p50', 'ms', (value) => value.latencyP50Ms);
  const ratio = (id: string, label: string, over: number, under: number): Figure => ({
    id: `pages.ratio.${id}`,
    label: `newest page, ${label}: large store over small`,
    unit: 'x',
    ours: over / under,
    targets: [{ kind: 'atMost', limit: 1.5 }],
    charted: false,
  });
  return [
    smallCpu,
    largeCpu,
    ratio('cpu', 'CPU', largeCpu.ours, smallCpu.ours),
    smallP50,
    largeP50,
    ratio('latency', 'latency p50', largeP50.ours, smallP50.ours),
  ];
}
