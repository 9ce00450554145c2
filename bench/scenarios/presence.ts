/** Scenario 2: users come and go before 1,000 watchers. */
import type { ScenarioResult } from '../figures.ts';
import type { PresenceLoad } from '../load/presence.ts';
import { startLoad } from '../load/remote.ts';
import type { MeasuredWindow } from '../load/window.ts';
import { alternate, makeUsers, type ScenarioContext, startContenders } from './context.ts';
import { distortionNotes, figureOf } from './rounds-to-figure.ts';

const SCRIPT = new URL('../load/presence.ts', import.meta.url);
const WATCHERS = 1000;
const BURST = 50;

export async function measurePresence(context: ScenarioContext): Promise<ScenarioResult> {
  await using stack = new AsyncDisposableStack();
  const { durations } = context;
  const servers = await startContenders(context, { ours: { PRESENCE_AUDIENCE: 'everyone' }, statusBroadcast: true });
  for (const server of servers) stack.use(server);
  const tokensOf = (kind: number, count: number): string[] => makeUsers(kind, count).map((user) => user.token);
  const loaded = servers.map((server) => ({ ...server, load: stack.use(startLoad<PresenceLoad>(SCRIPT)) }));
  for (const { contender, host, port, pid, load } of loaded) {
    context.progress(`  connecting and warming up ${contender}`);
    const watcherTokens = tokensOf(2, WATCHERS);
    await load.call('connect', {
      address: { host, port },
      serverPid: pid,
      watcherTokens,
      visitorTokens: tokensOf(3, BURST),
    });
    await load.call('run', { burst: BURST, warmUpMs: durations.firstWarmUpMs, measureMs: 0 });
  }
  const measure = (burst: number) =>
    alternate(loaded, durations.rounds, ({ load }) =>
      load.call('run', { burst, warmUpMs: durations.warmUpMs, measureMs: durations.measureMs }),
    );
  context.progress(`  bursts of ${BURST} users`);
  const bursts = await measure(BURST);
  context.progress('  one user at a time');
  const single = await measure(1);
  const perFrame = (value: MeasuredWindow): number => value.serverCpuUs / value.count;
  return {
    figures: [
      figureOf(
        {
          id: 'presence.burst.cpu',
          label: `presence, bursts of ${BURST}: CPU per frame`,
          unit: 'us',
          targets: [{ kind: 'atMost', limit: 3 }],
        },
        bursts,
        perFrame,
      ),
      figureOf(
        { id: 'presence.single.cpu', label: 'presence, one user at a time: CPU per frame', unit: 'us' },
        single,
        perFrame,
      ),
      figureOf(
        { id: 'presence.burst.rate', label: `presence, bursts of ${BURST}: frames/s`, unit: '1/s', charted: false },
        bursts,
        (value) => value.count / value.seconds,
      ),
    ],
    notes: [
      `${WATCHERS} watchers; ${BURST} users (or one) connect together, are seen by all, disconnect, are seen to be gone`,
      'a frame is one UserStatusChanged at one connection; the CPU includes accepting and ending the connections',
      'ours waits 200 ms (PRESENCE_GRACE_MS) before it says Offline; the incumbent runs with STATUS_BROADCAST=1',
      ...distortionNotes([bursts, single]),
    ],
  };
}
