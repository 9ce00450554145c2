/** A server process that is stopped and started again with the same folder on the same port. */
import { rm } from 'node:fs/promises';
import { freePort, type ServerProcess, startProcess, temporaryFolder, testEnv } from './server.ts';

export class RestartableServer implements AsyncDisposable {
  readonly dataDir: string;
  readonly port: number;
  readonly #env: Readonly<Record<string, string>>;
  #process: ServerProcess;

  private constructor(dataDir: string, port: number, env: Readonly<Record<string, string>>, process: ServerProcess) {
    this.dataDir = dataDir;
    this.port = port;
    this.#env = env;
    this.#process = process;
  }

  static async start(env: Readonly<Record<string, string>> = {}): Promise<RestartableServer> {
    const dataDir = await temporaryFolder();
    const port = await freePort();
    const whole = testEnv(dataDir, { ...env, PORT: String(port) });
    return new RestartableServer(dataDir, port, whole, await startProcess(whole));
  }

  get url(): string {
    return this.#process.url;
  }

  get pid(): number {
    return this.#process.child.pid ?? 0;
  }

  get isRunning(): boolean {
    const { exitCode, signalCode } = this.#process.child;
    return exitCode === null && signalCode === null;
  }

  /** What the present process wrote so far. */
  output(): string {
    return this.#process.output();
  }

  /** Sends a signal and waits for the end. @returns the exit code, or null after a signal. */
  stop(signal: NodeJS.Signals): Promise<number | null> {
    return this.#process.stop(signal);
  }

  /** Starts it again after `stop`; ready when it answers. */
  async start(): Promise<void> {
    this.#process = await startProcess(this.#env);
  }

  async restart(signal: NodeJS.Signals): Promise<void> {
    await this.stop(signal);
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}
