/** Starts this repository's server, with limits raised so that they do not interfere. */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { freePort, makeTemporaryFolder } from '../system/temporary.ts';
import { startChildServer } from './child-server.ts';
import type { Answers, Question } from './preload.ts';
import type { ServerUnderTest } from './server-under-test.ts';
import { SECRET } from './tokens.ts';

export interface OursOptions {
  /** Extra settings. */
  readonly env?: Readonly<Record<string, string>>;
  /** A data folder that is there already; default: a fresh one, removed at the end. */
  readonly dataFolder?: string;
  readonly temporaryFolder: string | undefined;
  readonly cpuProfileFolder: string | undefined;
}

const REPOSITORY = join(import.meta.dirname, '..', '..');
const PRELOAD = new URL('./preload.ts', import.meta.url).href;

/** Limits that a bench would run into; nothing here makes the server do less for a message. */
const RAISED_LIMITS = {
  SEND_RATE_PER_SECOND: '1000000',
  SEND_BURST: '1000000',
  MAX_CONNECTIONS_PER_USER: '20000',
  MAX_CONNECTIONS_PER_ADDRESS: '20000',
  PRESENCE_GRACE_MS: '200',
};

export async function startOurs(options: OursOptions): Promise<ServerUnderTest> {
  const folder = options.dataFolder === undefined ? await makeTemporaryFolder(options.temporaryFolder) : undefined;
  const port = await freePort();
  const profile = options.cpuProfileFolder;
  try {
    const running = await startChildServer({
      name: 'our server',
      command: process.execPath,
      commandLine: [
        '--import',
        PRELOAD,
        ...(profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile]),
        join(REPOSITORY, 'bin', 'start.mjs'),
      ],
      cwd: REPOSITORY,
      env: {
        PATH: process.env.PATH,
        HOST: '127.0.0.1',
        PORT: String(port),
        DATA_DIR: options.dataFolder ?? folder?.path,
        AUTH_HS256_SECRET: SECRET,
        LOG_LEVEL: 'warn',
        ...RAISED_LIMITS,
        ...options.env,
      },
      readyUrl: `http://127.0.0.1:${port}/api/health`,
      readyMethod: 'GET',
      channel: true,
    });
    return {
      contender: 'ours',
      host: '127.0.0.1',
      port,
      pid: running.pid,
      ask: (question) => ask(running.child, question),
      [Symbol.asyncDispose]: async () => {
        await running[Symbol.asyncDispose]();
        await folder?.[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await folder?.[Symbol.asyncDispose]();
    throw error;
  }
}

const ANSWER_WITHIN_MS = 10_000;

function ask<Q extends Question>(child: ChildProcess, question: Q): Promise<Answers[Q]> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.off('message', onMessage);
      reject(new Error(`our server did not answer "${question}" within ${ANSWER_WITHIN_MS / 1000} s`));
    }, ANSWER_WITHIN_MS);
    const onMessage = (message: unknown): void => {
      if (!isAnswer(message, question)) return;
      clearTimeout(timer);
      child.off('message', onMessage);
      resolve(message.answer);
    };
    child.on('message', onMessage);
    child.send({ bench: question });
  });
}

function isAnswer<Q extends Question>(message: unknown, question: Q): message is { readonly answer: Answers[Q] } {
  return typeof message === 'object' && message !== null && 'bench' in message && message.bench === question;
}
