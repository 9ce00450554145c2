/** The load balancer of deploy/: `haproxy` from the PATH on the configuration file as it is, with addresses of the test's own. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, temporaryFolder } from '../e2e/support/server.ts';

const CONFIGURATION = join(import.meta.dirname, '../../deploy/haproxy/haproxy.cfg');
const TLS_DIR = join(import.meta.dirname, '../fixtures/tls');
/** How long it may take until it serves, in milliseconds. */
const START_TIMEOUT_MS = 10_000;

/** Why tests on the real balancer are left out; undefined if they run. CI never leaves one out. */
export const haproxySkipReason: string | undefined =
  spawnSync('haproxy', ['-v']).status === 0 || process.env.CI === 'true'
    ? undefined
    : 'no haproxy on the PATH (Debian: haproxy)';

/** Asks HAProxy whether it would start with this environment. @returns its exit code and what it has to say. */
export function checkConfiguration(env: Readonly<Record<string, string>>): { status: number | null; said: string } {
  const { status, stderr, stdout } = spawnSync('haproxy', ['-c', '-f', CONFIGURATION], { env: environment(env) });
  return { status, said: `${stdout}${stderr}` };
}

export class Haproxy implements AsyncDisposable {
  /** HTTP/1.1 and HTTP/2 in plain text. */
  readonly url: string;
  /** The same with the certificate of the fixtures. */
  readonly tlsUrl: string;
  /** Its own health and figures. */
  readonly operatorUrl: string;
  readonly #process: ChildProcess;
  readonly #folder: string;
  #log = '';

  private constructor(process: ChildProcess, folder: string, ports: readonly number[]) {
    const [port, tlsPort, operatorPort] = ports;
    this.url = `http://127.0.0.1:${port}`;
    this.tlsUrl = `https://localhost:${tlsPort}`;
    this.operatorUrl = `http://127.0.0.1:${operatorPort}`;
    this.#process = process;
    this.#folder = folder;
    const collect = (chunk: Buffer): void => {
      this.#log += chunk.toString();
    };
    process.stdout?.on('data', collect);
    process.stderr?.on('data', collect);
  }

  /** Starts it before two instances. Resolves when it has found one that serves. */
  static async start(first: number, second: number): Promise<Haproxy> {
    const folder = await temporaryFolder();
    const pem = join(folder, 'tls.pem');
    const files = await Promise.all(['cert.pem', 'key.pem'].map((file) => readFile(join(TLS_DIR, file))));
    await writeFile(pem, Buffer.concat(files), { mode: 0o600 });
    const ports = [await freePort(), await freePort(), await freePort()];
    const [listen = '', listenTls = '', operator = ''] = ports.map((port) => `127.0.0.1:${port}`);
    const child = spawn('haproxy', ['-db', '-f', CONFIGURATION], {
      env: environment({
        CHAT_1: `127.0.0.1:${first}`,
        CHAT_2: `127.0.0.1:${second}`,
        LISTEN: listen,
        LISTEN_TLS: listenTls,
        LISTEN_OPERATOR: operator,
        TLS_PEM: pem,
      }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const haproxy = new Haproxy(child, folder, ports);
    const givesUpAtMs = performance.now() + START_TIMEOUT_MS;
    while (!(await haproxy.#isReady())) {
      if (child.exitCode !== null || performance.now() > givesUpAtMs) {
        await haproxy[Symbol.asyncDispose]();
        throw new Error(`haproxy does not serve: ${haproxy.log}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return haproxy;
  }

  /** What it wrote so far. */
  get log(): string {
    return this.#log;
  }

  /** How many requests each of the instances got, as the balancer counts them: typed streams and calls, and all others. */
  async requests(backend: 'page' | 'typed'): Promise<readonly number[]> {
    const text = await (await fetch(`${this.operatorUrl}/metrics`)).text();
    return ['chat-1', 'chat-2'].map((server) => {
      const line = new RegExp(`^haproxy_server_sessions_total\\{proxy="${backend}",server="${server}"\\} (\\d+)$`, 'm');
      return Number(line.exec(text)?.[1]);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#process;
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #isReady(): Promise<boolean> {
    return fetch(`${this.operatorUrl}/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  }
}

function environment(env: Readonly<Record<string, string>>): Record<string, string> {
  return { PATH: process.env.PATH ?? '', ...env };
}
