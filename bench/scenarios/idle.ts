/** Scenario 3: what an idle connection costs in memory. */
import type { Figure, ScenarioResult, Target } from '../figures.ts';
import type { IdleLoad } from '../load/idle.ts';
import { JSON_WEB_SOCKETS, type ReceiverKind } from '../load/receivers.ts';
import { startLoad } from '../load/remote.ts';
import { sleep } from '../load/window.ts';
import type { Contender, ServerUnderTest } from '../servers/server-under-test.ts';
import { residentBytes } from '../system/usage.ts';
import { makeUsers, type ScenarioContext, startContenders } from './context.ts';

const SCRIPT = new URL('../load/idle.ts', import.meta.url);
const CONNECTIONS = 5000;
const BYTES_PER_KB = 1000;
const BYTES_PER_MB = 1_000_000;

interface Memory {
  readonly baseBytes: number;
  readonly perConnectionBytes: number;
}

/** How the connections are made. JSON in all of them: an idle connection holds no record. */
const KINDS: readonly { readonly id: string; readonly kind: ReceiverKind; readonly limitKb?: number }[] = [
  { id: 'webSockets', kind: JSON_WEB_SOCKETS, limitKb: 11 },
  { id: 'sse', kind: { transport: 'ServerSentEvents' } },
  { id: 'lp', kind: { transport: 'LongPolling' } },
];

export async function measureIdle(context: ScenarioContext): Promise<ScenarioResult> {
  const count = context.options.quick ? 1000 : CONNECTIONS;
  const settleMs = context.options.quick ? 2000 : 5000;
  const figures: Figure[] = [];
  for (const { id, kind, limitKb } of KINDS) {
    await using stack = new AsyncDisposableStack();
    const servers = await startContenders(context, {
      ours: { PRESENCE_AUDIENCE: 'contacts' },
      statusBroadcast: false,
    });
    for (const server of servers) stack.use(server);
    const memory: Partial<Record<Contender, Memory>> = {};
    for (const server of servers) {
      context.progress(`  ${count} connections to ${server.contender}, ${kind.transport}`);
      memory[server.contender] = await measureServer(server, kind, count, settleMs);
    }
    const targets: Target[] = limitKb === undefined ? [] : [{ kind: 'atMost', limit: limitKb }];
    figures.push({
      id: `idle.${id}`,
      label: `idle connection, ${kind.transport}, ${count.toLocaleString('en-US')} open: RSS each`,
      unit: 'kB',
      ...valuesOf(memory, ({ perConnectionBytes }) => perConnectionBytes / BYTES_PER_KB),
      targets,
    });
    if (kind === JSON_WEB_SOCKETS) {
      figures.push({
        id: 'idle.base',
        label: 'process without connections: RSS',
        unit: 'MB',
        ...valuesOf(memory, ({ baseBytes }) => baseBytes / BYTES_PER_MB),
      });
    }
  }
  return {
    figures,
    notes: [
      `${count} connections of as many users, JSON; resident memory after, less before, by their number; a fresh process for each transport`,
      'a LongPolling connection is one that has a poll waiting; connections that were only used to open it are dropped',
      `ours: 50 connections opened and closed first, then before and after alike ${settleMs / 1000} s of rest and a garbage collection that shrinks the heap (V8 does so by itself after half a minute)`,
      'the incumbent: the same, but .NET collects when it likes',
      'presence is told to contacts only (ours) or nobody (the incumbent), so that connecting is not a storm',
    ],
  };
}

async function measureServer(
  server: ServerUnderTest,
  kind: ReceiverKind,
  count: number,
  settleMs: number,
): Promise<Memory> {
  const address = { host: server.host, port: server.port };
  const settledBytes = async (): Promise<number> => {
    await sleep(settleMs);
    await server.ask?.('collectGarbage');
    await sleep(500);
    return residentBytes(server.pid);
  };
  {
    await using first = startLoad<IdleLoad>(SCRIPT);
    await first.call('connect', { address, kind, tokens: makeUsers(4, 50).map((user) => user.token) });
  }
  const baseBytes = await settledBytes();
  await using load = startLoad<IdleLoad>(SCRIPT);
  await load.call('connect', { address, kind, tokens: makeUsers(5, count).map((user) => user.token) });
  const bytes = await settledBytes();
  const open = await load.call('countOpen', {});
  if (open !== count) throw new Error(`${server.contender} has closed ${count - open} of ${count} idle connections`);
  return { baseBytes, perConnectionBytes: (bytes - baseBytes) / count };
}

function valuesOf(
  { incumbent, ours }: Partial<Record<Contender, Memory>>,
  pick: (memory: Memory) => number,
): { ours?: number; incumbent?: number } {
  return {
    ...(ours === undefined ? {} : { ours: pick(ours) }),
    ...(incumbent === undefined ? {} : { incumbent: pick(incumbent) }),
  };
}
