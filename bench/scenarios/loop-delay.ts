/** Scenario 6: whether the store stalls the event loop: its delay at a steady 2,000 messages/s over the pairs. */
import type { Figure, ScenarioResult } from '../figures.ts';
import type { PairsMeasured } from '../load/pairs.ts';
import type { LoopDelay } from '../servers/preload.ts';
import { alternate, type ScenarioContext } from './context.ts';
import { CONNECTIONS, startLoadedPairs } from './pairs.ts';
import { distortionNotes, figureOf } from './rounds-to-figure.ts';

const PER_SECOND = 2000;

interface Measured extends PairsMeasured {
  /** Only ours tells. */
  readonly loop?: LoopDelay;
}

export async function measureLoopDelay(context: ScenarioContext): Promise<ScenarioResult> {
  await using stack = new AsyncDisposableStack();
  const loaded = await startLoadedPairs(context, stack);
  const { durations } = context;
  const pace = { perSecond: PER_SECOND };
  for (const { contender, load } of loaded) {
    context.progress(`  warming up ${contender}`);
    await load.call('run', { acknowledge: true, pace, warmUpMs: durations.firstWarmUpMs, measureMs: 100 });
  }
  context.progress(`  ${PER_SECOND} messages/s`);
  const measureMs = durations.measureMs * 2;
  const measured = await alternate(loaded, durations.rounds, async ({ server, load }): Promise<Measured> => {
    await server.ask?.('startLoopDelay');
    const window = await load.call('run', { acknowledge: true, pace, warmUpMs: durations.warmUpMs, measureMs });
    const loop = await server.ask?.('readLoopDelay');
    return { ...window, ...(loop === undefined ? {} : { loop }) };
  });
  const ours = { ...(measured.ours === undefined ? {} : { ours: measured.ours }) };
  const loopFigure = (quantity: string, pick: (loop: LoopDelay) => number, more: Partial<Figure>): Figure => ({
    ...figureOf(
      { id: `loop.${quantity}`, label: `event-loop delay at ${PER_SECOND}/s: ${quantity}`, unit: 'ms' },
      ours,
      (value) => (value.loop === undefined ? Number.NaN : pick(value.loop)),
    ),
    ...more,
  });
  const steady = (quantity: string, unit: string, pick: (value: Measured) => number): Figure =>
    figureOf({ id: `loop.${quantity}`, label: `at ${PER_SECOND} messages/s: ${quantity}`, unit }, measured, pick);
  return {
    figures: [
      loopFigure('p99', (loop) => loop.p99Ms, { targets: [{ kind: 'below', limit: 5 }] }),
      loopFigure('max', (loop) => loop.maxMs, { charted: false }),
      steady('latency p50', 'ms', (value) => value.latencyP50Ms),
      steady('latency p99', 'ms', (value) => value.latencyP99Ms),
      steady('CPU per message', 'us', (value) => value.serverCpuUs / value.count),
    ],
    notes: [
      `${PER_SECOND} acknowledged messages/s, evenly over ${CONNECTIONS} connections; ${durations.rounds} rounds of ${measureMs / 1000} s`,
      'sampled every millisecond (an idle loop shows 1.1 ms), drain of the load included',
      ...distortionNotes([measured]),
    ],
  };
}
