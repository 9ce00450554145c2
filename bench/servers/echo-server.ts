/** Starts the echo program as one of its kinds. */
import { freePort } from '../system/temporary.ts';
import { startChildServer } from './child-server.ts';
import type { Contender, ServerUnderTest } from './server-under-test.ts';

const PROGRAM = new URL('./echo.ts', import.meta.url);

export async function startEcho(
  kind: 'hub' | 'ws',
  contender: Contender,
  cpuProfileFolder: string | undefined,
): Promise<ServerUnderTest> {
  const port = await freePort();
  const profile = cpuProfileFolder === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', cpuProfileFolder];
  const running = await startChildServer({
    name: kind === 'hub' ? 'our echo hub' : 'the bare echo server',
    command: process.execPath,
    commandLine: [...profile, PROGRAM.pathname, kind, String(port)],
    env: { PATH: process.env.PATH },
    readyUrl: `http://127.0.0.1:${port}/`,
    readyMethod: 'GET',
    channel: false,
  });
  return {
    contender,
    host: '127.0.0.1',
    port,
    pid: running.pid,
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}
