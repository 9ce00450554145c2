/** Scenario 7: an invocation with a result, beside a server that does nothing but send frames back. */
import type { Figure, ScenarioResult } from '../figures.ts';
import type { EchoLoad } from '../load/echo.ts';
import { startLoad } from '../load/remote.ts';
import type { MeasuredWindow } from '../load/window.ts';
import { startEcho } from '../servers/echo-server.ts';
import { startIncumbent } from '../servers/incumbent.ts';
import { median } from '../statistics.ts';
import { alternate, type Measurements, makeUsers, type ScenarioContext } from './context.ts';
import { distortionNotes } from './rounds-to-figure.ts';

const SCRIPT = new URL('../load/echo.ts', import.meta.url);
const CONNECTIONS = 100;
const WINDOWS = [1, 8] as const;

export async function measureInvocations(context: ScenarioContext): Promise<ScenarioResult> {
  await using stack = new AsyncDisposableStack();
  const { durations, incumbent, options } = context;
  const servers = [
    stack.use(await startEcho('hub', 'ours', options.cpuProfileFolder)),
    stack.use(await startEcho('ws', 'peer', undefined)),
  ];
  if (incumbent !== undefined) servers.push(stack.use(await startIncumbent(incumbent, { statusBroadcast: false })));
  const tokens = makeUsers(9, CONNECTIONS).map(({ token }) => token);
  const loaded = servers.map((server) => ({ ...server, load: stack.use(startLoad<EchoLoad>(SCRIPT)) }));
  for (const { contender, host, load, pid, port } of loaded) {
    context.progress(`  warming up ${contender}`);
    const kind = contender === 'peer' ? 'ws' : 'hub';
    await load.call('connect', { address: { host, port }, serverPid: pid, kind, tokens });
    await load.call('run', { window: 8, warmUpMs: durations.firstWarmUpMs, measureMs: 100 });
  }
  const figures: Figure[] = [];
  const notes: string[] = [];
  const all: Measurements<MeasuredWindow>[] = [];
  for (const window of WINDOWS) {
    context.progress(`  ${window} in flight on each connection`);
    const measured = await alternate(loaded, durations.rounds, ({ load }) =>
      load.call('run', { window, warmUpMs: durations.warmUpMs, measureMs: durations.measureMs }),
    );
    all.push(measured);
    const { bareUs, figure } = compared(measured, window);
    figures.push(...figure);
    notes.push(`${window} in flight: the bare echo takes ${bareUs.toFixed(1)} µs a frame`);
  }
  return {
    figures,
    notes: [
      `${CONNECTIONS} WebSocket connections, JSON, Echo of 72 characters; a frame for each call, from separate writes`,
      'the bare echo server is the ws package alone, and sends the same bytes back',
      ...notes,
      ...distortionNotes(all),
    ],
  };
}

/** Each round is compared with the bare echo of the same round. */
function compared(measured: Measurements<MeasuredWindow>, window: number): { figure: Figure[]; bareUs: number } {
  const costOf = ({ count, serverCpuUs }: MeasuredWindow): number => serverCpuUs / count;
  const bare = (measured.peer ?? []).map(costOf);
  const ratios = (windows: readonly MeasuredWindow[]): number[] =>
    windows.map((each, round) => costOf(each) / (bare[round] ?? Number.NaN));
  const about = { id: `invocation.window${window}`, label: `invocation with result, ${window} in flight` };
  const [ours, theirs] = [measured.ours ?? [], measured.incumbent];
  const costs = { ours: ours.map(costOf), theirs: theirs?.map(costOf) };
  return {
    bareUs: median(bare),
    figure: [
      {
        id: `${about.id}.cpu`,
        label: `${about.label}: CPU per call`,
        unit: 'us',
        ours: median(costs.ours),
        oursRounds: costs.ours,
        ...(costs.theirs && { incumbent: median(costs.theirs), incumbentRounds: costs.theirs }),
      },
      {
        id: `${about.id}.ratio`,
        label: `${about.label}: CPU, bare ws echo = 1`,
        unit: 'x',
        ours: median(ratios(ours)),
        oursRounds: ratios(ours),
        ...(theirs && { incumbent: median(ratios(theirs)), incumbentRounds: ratios(theirs) }),
        targets: [{ kind: 'atMost', limit: 1.3 }],
        charted: false,
      },
    ],
  };
}
