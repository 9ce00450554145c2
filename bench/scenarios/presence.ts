/** Scenario 2: users come and go before 1,000 watchers. */
import type { Figure, ScenarioResult } from '../figures.ts';
import type { PresenceLoad } from '../load/presence.ts';
import { JSON_WEB_SOCKETS, type ReceiverKind } from '../load/receivers.ts';
import { startLoad } from '../load/remote.ts';
import type { MeasuredWindow } from '../load/window.ts';
import { alternate, type Measurements, makeUsers, type ScenarioContext, startContenders } from './context.ts';
import { distortionNotes, figureOf } from './rounds-to-figure.ts';

const SCRIPT = new URL('../load/presence.ts', import.meta.url);
const WATCHERS = 1000;
const BURST = 50;

/** How the watchers are connected. */
const KINDS: readonly {
  readonly id: string;
  readonly label: string;
  readonly kind: ReceiverKind;
  readonly limitUs?: number;
}[] = [
  { id: 'json', label: 'WebSockets, JSON', kind: JSON_WEB_SOCKETS, limitUs: 1.5 },
  {
    id: 'messagepack',
    label: 'WebSockets, MessagePack',
    kind: { transport: 'WebSockets', protocol: 'messagepack' },
    limitUs: 1.5,
  },
  { id: 'sse', label: 'ServerSentEvents', kind: { transport: 'ServerSentEvents' } },
  { id: 'lp', label: 'LongPolling', kind: { transport: 'LongPolling' } },
];

export async function measurePresence(context: ScenarioContext): Promise<ScenarioResult> {
  const figures: Figure[] = [];
  const measurements: Measurements<MeasuredWindow>[] = [];
  for (const { id, kind, label, limitUs } of KINDS) {
    const { bursts, single } = await measureKind(context, kind, label);
    measurements.push(bursts, single);
    figures.push(
      figureOf(
        {
          id: `presence.${id}.burst.cpu`,
          label: `presence, bursts of ${BURST}, ${label}: CPU per event and connection`,
          unit: 'us',
          ...(limitUs !== undefined && { targets: [{ kind: 'atMost', limit: limitUs }] }),
        },
        bursts,
        perEvent,
      ),
      figureOf(
        { id: `presence.${id}.single.cpu`, label: `presence, one user at a time, ${label}: the same`, unit: 'us' },
        single,
        perEvent,
      ),
    );
  }
  return {
    figures,
    notes: [
      `${WATCHERS} watchers; ${BURST} users (or one) connect together, are seen by all, disconnect, are seen to be gone`,
      'an event is one UserStatusChanged at one connection; the CPU includes accepting and ending the connections of the users',
      'ours waits 200 ms (PRESENCE_GRACE_MS) before it says Offline; the incumbent runs with STATUS_BROADCAST=1',
      ...distortionNotes(measurements),
    ],
  };
}

function perEvent({ count, serverCpuUs }: MeasuredWindow): number {
  return serverCpuUs / count;
}

async function measureKind(context: ScenarioContext, kind: ReceiverKind, label: string) {
  await using stack = new AsyncDisposableStack();
  const { durations } = context;
  const servers = await startContenders(context, { ours: { PRESENCE_AUDIENCE: 'everyone' }, statusBroadcast: true });
  for (const server of servers) stack.use(server);
  const tokensOf = (group: number, count: number): string[] => makeUsers(group, count).map((user) => user.token);
  const loaded = servers.map((server) => ({ ...server, load: stack.use(startLoad<PresenceLoad>(SCRIPT)) }));
  for (const { contender, host, port, pid, load } of loaded) {
    context.progress(`  ${label}: connecting and warming up ${contender}`);
    await load.call('connect', {
      address: { host, port },
      serverPid: pid,
      kind,
      watcherTokens: tokensOf(2, WATCHERS),
      visitorTokens: tokensOf(3, BURST),
    });
    await load.call('run', { burst: BURST, warmUpMs: durations.firstWarmUpMs, measureMs: 0 });
  }
  const measure = (burst: number) =>
    alternate(loaded, durations.rounds, ({ load }) =>
      load.call('run', { burst, warmUpMs: durations.warmUpMs, measureMs: durations.measureMs }),
    );
  return { bursts: await measure(BURST), single: await measure(1) };
}
