/** Scenario 4: the typed door. Unary SendMessage by three clients; one message to a user with 1,000 event streams. */
import type { Figure, ScenarioResult } from '../figures.ts';
import { startLoad } from '../load/remote.ts';
import type { StreamsLoad } from '../load/streams.ts';
import type { UnaryClient, UnaryLoad } from '../load/unary.ts';
import type { MeasuredWindow } from '../load/window.ts';
import { alternate, type Measurements, makeUsers, type ScenarioContext, startOurSide } from './context.ts';
import { distortionNotes, figureOf } from './rounds-to-figure.ts';

const UNARY_SCRIPT = new URL('../load/unary.ts', import.meta.url);
const STREAMS_SCRIPT = new URL('../load/streams.ts', import.meta.url);
const CONCURRENCY = 16;
const STREAMS = 1000;
const SESSIONS = 20;
const BURST = 10;

const CLIENTS: readonly { readonly client: UnaryClient; readonly label: string }[] = [
  { client: 'grpcJs', label: 'gRPC, grpc-js' },
  { client: 'connectNodeGrpc', label: 'gRPC, connect-node' },
  { client: 'connectNodeConnect', label: 'Connect over HTTP/2, connect-node' },
];

export async function measureRpc(context: ScenarioContext): Promise<ScenarioResult> {
  const windows: Measurements<MeasuredWindow>[] = [];
  const figures = [...(await measureUnary(context, windows)), ...(await measureStreams(context, windows))];
  return {
    figures,
    notes: [
      `unary: ${CONCURRENCY} calls in flight from as many users, each to a receiver who is away; ours only`,
      `streams: one receiver with ${STREAMS} StreamEvents streams on ${SESSIONS} HTTP/2 sessions; 1 or ${BURST} senders write at once`,
      ...distortionNotes(windows),
    ],
  };
}

async function measureUnary(context: ScenarioContext, windows: Measurements<MeasuredWindow>[]): Promise<Figure[]> {
  const { durations } = context;
  await using server = await startOurSide(context);
  await using load = startLoad<UnaryLoad>(UNARY_SCRIPT);
  const receivers = makeUsers(7, CONCURRENCY);
  const callers = makeUsers(6, CONCURRENCY).map((user, index) => ({ ...user, receiverId: receivers[index]?.id ?? '' }));
  await load.call('connect', { baseUrl: `http://${server.host}:${server.port}`, serverPid: server.pid, callers });
  const figures: Figure[] = [];
  for (const { client, label } of CLIENTS) {
    context.progress(`  unary SendMessage: ${label}`);
    await load.call('run', { client, warmUpMs: durations.firstWarmUpMs / 2, measureMs: 100 });
    const measured = await alternate([server], durations.rounds, () =>
      load.call('run', { client, warmUpMs: durations.warmUpMs, measureMs: durations.measureMs }),
    );
    windows.push(measured);
    const about = { id: `rpc.unary.${client}`, label: `SendMessage, ${label}` };
    figures.push(
      figureOf(
        { id: `${about.id}.cpu`, label: `${about.label}: CPU per call`, unit: 'us' },
        measured,
        (value) => value.serverCpuUs / value.count,
      ),
      figureOf(
        { id: `${about.id}.p99`, label: `${about.label}: latency p99`, unit: 'ms', charted: false },
        measured,
        (value) => value.latencyP99Ms,
      ),
    );
  }
  return figures;
}

async function measureStreams(context: ScenarioContext, windows: Measurements<MeasuredWindow>[]): Promise<Figure[]> {
  const { durations } = context;
  await using server = await startOurSide(context, { env: { PRESENCE_AUDIENCE: 'contacts' } });
  await using load = startLoad<StreamsLoad>(STREAMS_SCRIPT);
  const [receiver, ...senders] = makeUsers(8, 1 + BURST);
  if (receiver === undefined) throw new Error('no receiver');
  context.progress(`  one event to ${STREAMS} streams`);
  await load.call('connect', {
    address: { host: server.host, port: server.port },
    serverPid: server.pid,
    streams: STREAMS,
    sessions: SESSIONS,
    receiver,
    senders,
  });
  await load.call('run', { burst: BURST, warmUpMs: durations.firstWarmUpMs / 2, measureMs: 0 });
  const figures: Figure[] = [];
  for (const burst of [1, BURST]) {
    const measured = await alternate([server], durations.rounds, () =>
      load.call('run', { burst, warmUpMs: durations.warmUpMs, measureMs: durations.measureMs }),
    );
    windows.push(measured);
    figures.push(
      figureOf(
        {
          id: `rpc.streams.burst${burst}.cpu`,
          label: `${burst === 1 ? 'one event' : `${burst} events at once`} to ${STREAMS} streams: CPU per event and stream`,
          unit: 'us',
        },
        measured,
        (value) => value.serverCpuUs / value.count,
      ),
    );
  }
  return figures;
}
