/** Scenario 1: 200 connections in pairs, each sending to its partner as fast as its window allows. */
import type { Figure, ScenarioResult, Target } from '../figures.ts';
import type { PairsLoad, PairsMeasured } from '../load/pairs.ts';
import { type RemoteLoad, startLoad } from '../load/remote.ts';
import type { ServerUnderTest } from '../servers/server-under-test.ts';
import { alternate, type Measurements, makeUsers, type ScenarioContext, startContenders } from './context.ts';
import { distortionNotes, figureOf } from './rounds-to-figure.ts';

export const PAIRS_SCRIPT = new URL('../load/pairs.ts', import.meta.url);
export const CONNECTIONS = 200;

interface Variant {
  readonly id: string;
  readonly label: string;
  readonly window: number;
  readonly acknowledge: boolean;
  readonly cpuTargets: readonly Target[];
}

const INCUMBENT: Target = { kind: 'noMoreThanIncumbent' };

const VARIANTS: readonly Variant[] = [
  {
    id: 'window4',
    label: 'pairs, window 4, acknowledged',
    window: 4,
    acknowledge: true,
    cpuTargets: [INCUMBENT, { kind: 'atMost', limit: 40 }],
  },
  { id: 'window1', label: 'pairs, window 1, acknowledged', window: 1, acknowledge: true, cpuTargets: [INCUMBENT] },
  { id: 'window4plain', label: 'pairs, window 4, no acks', window: 4, acknowledge: false, cpuTargets: [INCUMBENT] },
];

export interface LoadedServer {
  readonly contender: ServerUnderTest['contender'];
  readonly server: ServerUnderTest;
  readonly load: RemoteLoad<PairsLoad>;
}

export async function measurePairs(context: ScenarioContext): Promise<ScenarioResult> {
  await using stack = new AsyncDisposableStack();
  const loaded = await startLoadedPairs(context, stack);
  const { durations } = context;
  for (const { contender, load } of loaded) {
    context.progress(`  warming up ${contender}`);
    const warmUp = { acknowledge: true, pace: { window: 4 }, warmUpMs: durations.firstWarmUpMs, measureMs: 100 };
    await load.call('run', warmUp);
  }
  const figures: Figure[] = [];
  const all: Measurements<PairsMeasured>[] = [];
  for (const variant of VARIANTS) {
    context.progress(`  ${variant.label}`);
    const measured = await alternate(loaded, durations.rounds, ({ load }) =>
      load.call('run', {
        acknowledge: variant.acknowledge,
        pace: { window: variant.window },
        warmUpMs: durations.warmUpMs,
        measureMs: durations.measureMs,
      }),
    );
    all.push(measured);
    figures.push(...figuresOf(variant, measured));
  }
  return { figures, notes: [...notes(context), ...distortionNotes(all)] };
}

/** Both servers with their own load generator, all connections open. */
export async function startLoadedPairs(context: ScenarioContext, stack: AsyncDisposableStack): Promise<LoadedServer[]> {
  const users = makeUsers(1, CONNECTIONS);
  const servers = await startContenders(context, {
    ours: { PRESENCE_AUDIENCE: 'contacts' },
    statusBroadcast: false,
  });
  for (const server of servers) stack.use(server);
  const loaded = servers.map((server) => ({
    contender: server.contender,
    server,
    load: stack.use(startLoad<PairsLoad>(PAIRS_SCRIPT)),
  }));
  for (const { server, load } of loaded) {
    await load.call('connect', { address: { host: server.host, port: server.port }, serverPid: server.pid, users });
  }
  return loaded;
}

function figuresOf(variant: Variant, measured: Measurements<PairsMeasured>): Figure[] {
  const about = (quantity: string, label: string, unit: string): { id: string; label: string; unit: string } => ({
    id: `pairs.${variant.id}.${quantity}`,
    label: `${variant.label}: ${label}`,
    unit,
  });
  const perMessage = (value: PairsMeasured): number => value.serverCpuUs / value.count;
  return [
    figureOf({ ...about('cpu', 'CPU per message', 'us'), targets: variant.cpuTargets }, measured, perMessage),
    figureOf(about('p50', 'latency p50', 'ms'), measured, (value) => value.latencyP50Ms),
    figureOf(about('p99', 'latency p99', 'ms'), measured, (value) => value.latencyP99Ms),
    figureOf(
      { ...about('rate', 'messages/s', '1/s'), charted: false },
      measured,
      (value) => value.count / value.seconds,
    ),
  ];
}

function notes({ durations }: ScenarioContext): string[] {
  return [
    `${CONNECTIONS} WebSocket connections without negotiate, JSON, in pairs, both sides send; 70-byte messages`,
    "a send is done when its completion and, if acknowledged, the sender's MessageStatusChanged have come",
    'acknowledgement: MessageReceived as a non-blocking invocation (no id), for both servers alike',
    "latency: from the send to the receiver's ReceiveMessage, all windows full (so it is mostly queueing)",
    'ours commits every message to disk before it answers; the incumbent keeps everything in memory',
    `warm-up ${durations.firstWarmUpMs / 1000} s, then ${durations.rounds} rounds of ${durations.measureMs / 1000} s each, alternating; medians`,
  ];
}
