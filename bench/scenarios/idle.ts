/** Scenario 3: what an idle connection costs in memory. */
import type { Figure, ScenarioResult } from '../figures.ts';
import type { IdleLoad } from '../load/idle.ts';
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

export async function measureIdle(context: ScenarioContext): Promise<ScenarioResult> {
  const count = context.options.quick ? 1000 : CONNECTIONS;
  const settleMs = context.options.quick ? 2000 : 5000;
  await using stack = new AsyncDisposableStack();
  const servers = await startContenders(context, {
    ours: { PRESENCE_AUDIENCE: 'contacts' },
    statusBroadcast: false,
  });
  for (const server of servers) stack.use(server);
  const memory: Partial<Record<Contender, Memory>> = {};
  for (const server of servers) {
    context.progress(`  ${count} connections to ${server.contender}`);
    memory[server.contender] = await measureServer(server, count, settleMs);
  }
  return {
    figures: figuresOf(memory, count),
    notes: [
      `${count} WebSocket connections of as many users, JSON; resident memory after, less before, by their number`,
      `ours: 50 connections opened and closed first, then before and after alike ${settleMs / 1000} s of rest and a garbage collection that shrinks the heap (V8 does so by itself after half a minute)`,
      'the incumbent: the same, but .NET collects when it likes',
      'presence is told to contacts only (ours) or nobody (the incumbent), so that connecting is not a storm',
    ],
  };
}

async function measureServer(server: ServerUnderTest, count: number, settleMs: number): Promise<Memory> {
  const address = { host: server.host, port: server.port };
  const settledBytes = async (): Promise<number> => {
    await sleep(settleMs);
    await server.ask?.('collectGarbage');
    await sleep(500);
    return residentBytes(server.pid);
  };
  {
    await using first = startLoad<IdleLoad>(SCRIPT);
    await first.call('connect', { address, tokens: makeUsers(4, 50).map((user) => user.token) });
  }
  const baseBytes = await settledBytes();
  await using load = startLoad<IdleLoad>(SCRIPT);
  await load.call('connect', { address, tokens: makeUsers(5, count).map((user) => user.token) });
  const bytes = await settledBytes();
  const open = await load.call('countOpen', {});
  if (open !== count) throw new Error(`${server.contender} has closed ${count - open} of ${count} idle connections`);
  return { baseBytes, perConnectionBytes: (bytes - baseBytes) / count };
}

function figuresOf(memory: Partial<Record<Contender, Memory>>, count: number): Figure[] {
  const values = (pick: (memory: Memory) => number): { ours?: number; incumbent?: number } => ({
    ...(memory.ours === undefined ? {} : { ours: pick(memory.ours) }),
    ...(memory.incumbent === undefined ? {} : { incumbent: pick(memory.incumbent) }),
  });
  return [
    {
      id: 'idle.connection',
      label: `idle connection, ${count.toLocaleString('en-US')} open: RSS each`,
      unit: 'kB',
      ...values(({ perConnectionBytes }) => perConnectionBytes / BYTES_PER_KB),
      targets: [{ kind: 'atMost', limit: 12 }],
    },
    {
      id: 'idle.base',
      label: 'process without connections: RSS',
      unit: 'MB',
      ...values(({ baseBytes }) => baseBytes / BYTES_PER_MB),
    },
  ];
}
