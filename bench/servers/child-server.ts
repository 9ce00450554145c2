/** Starts a server as a child process, waits until it answers, and ends it. Its last words go into the error. */
import { type ChildProcess, spawn } from 'node:child_process';
import { unlessDone } from '../system/last-resort.ts';

export interface ServerCommand {
  readonly name: string;
  readonly command: string;
  readonly commandLine: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Answers 2xx–4xx when the server is ready. */
  readonly readyUrl: string;
  readonly readyMethod: 'GET' | 'POST';
  /** Whether the process gets a message channel. */
  readonly channel: boolean;
  readonly cwd?: string;
}

export interface RunningChild extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly pid: number;
}

const READY_WITHIN_MS = 30_000;
const STOP_WITHIN_MS = 10_000;
const KEPT_CHARACTERS = 4000;

export async function startChildServer(command: ServerCommand): Promise<RunningChild> {
  const child = spawn(command.command, command.commandLine, {
    env: command.env,
    stdio: command.channel ? ['ignore', 'pipe', 'pipe', 'ipc'] : ['ignore', 'pipe', 'pipe'],
    ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
  });
  const done = unlessDone(() => child.kill('SIGKILL'));
  child.once('exit', done);
  let lastWords = '';
  const keep = (chunk: Buffer): void => {
    lastWords = (lastWords + chunk.toString()).slice(-KEPT_CHARACTERS);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  let ended: string | undefined;
  child.once('error', (error) => {
    ended = `could not be started: ${error.message}`;
  });
  child.once('exit', (code, signal) => {
    ended ??= `ended by itself (${signal ?? `exit code ${code}`})`;
  });
  const deadline = Date.now() + READY_WITHIN_MS;
  while (ended === undefined && Date.now() < deadline) {
    if (await answers(command)) {
      const { pid } = child;
      if (pid === undefined) break;
      return { child, pid, [Symbol.asyncDispose]: () => stop(child) };
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const why = ended ?? `did not answer within ${READY_WITHIN_MS / 1000} s`;
  await stop(child);
  const said = lastWords.trim() === '' ? 'It said nothing.' : `It said:\n${lastWords.trim()}`;
  throw new Error(`${command.name} ${why}. ${said}`);
}

async function answers(command: ServerCommand): Promise<boolean> {
  try {
    const answer = await fetch(command.readyUrl, { method: command.readyMethod, signal: AbortSignal.timeout(2000) });
    await answer.body?.cancel();
    return answer.status < 500;
  } catch {
    return false;
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
  await gone;
  clearTimeout(timer);
}
