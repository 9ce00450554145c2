/**
 * A load generator is a child process of its own, so that it shares neither heap nor event loop with the bench. It
 * offers named handlers; the bench calls them one at a time and awaits the answer.
 */
import { type ChildProcess, fork } from 'node:child_process';

/** Handlers take one plain object and answer one. */
export type Handlers = Readonly<Record<string, (argument: never) => unknown>>;

export interface RemoteLoad<H extends Handlers> extends AsyncDisposable {
  call<K extends keyof H & string>(name: K, argument: Parameters<H[K]>[0]): Promise<Awaited<ReturnType<H[K]>>>;
}

interface Call {
  readonly call: string;
  readonly argument: unknown;
}

interface Reply {
  readonly value?: unknown;
  readonly error?: string;
}

/** In the child: answers calls until the bench goes away. */
export function serveLoad(handlers: Handlers): void {
  process.on('message', (message: unknown) => {
    const { call, argument } = message as Call;
    answer(handlers, call, argument)
      .then((reply) => process.send?.(reply))
      .catch(() => process.exit(1));
  });
  process.on('disconnect', () => process.exit(0));
}

async function answer(handlers: Handlers, call: string, argument: unknown): Promise<Reply> {
  try {
    const handler = handlers[call];
    if (handler === undefined) throw new Error(`no handler "${call}"`);
    return { value: await handler(argument as never) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

/** In the bench: starts `script` and speaks to it. */
export function startLoad<H extends Handlers>(script: URL): RemoteLoad<H> {
  const child = fork(script, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  return {
    call: async (name, argument) => {
      child.send({ call: name, argument } satisfies Call);
      const reply = await nextReply(child, name);
      if (reply.error !== undefined) throw new Error(`load generator, ${name}: ${reply.error}`);
      return reply.value as never;
    },
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    },
  };
}

function nextReply(child: ChildProcess, name: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const onExit = (): void => {
      child.off('message', onMessage);
      reject(new Error(`the load generator ended during "${name}"`));
    };
    const onMessage = (message: unknown): void => {
      child.off('exit', onExit);
      resolve(message as Reply);
    };
    child.once('message', onMessage);
    child.once('exit', onExit);
  });
}
