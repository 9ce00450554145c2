/** Somebody who has just cloned the project, with nothing but the host's own programs. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm, symlink } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { temporaryFolder } from './server.ts';

const root = join(import.meta.dirname, '../../..');

export interface Finished {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Why there can be no newcomer here; undefined if there can. */
export function newcomerProblem(): string | undefined {
  if (!existsSync(join(root, '.git'))) return 'this is no git repository';
  for (const program of ['git', 'npm', 'curl', 'sh']) {
    const { error } = spawnSync(program, ['--version'], { env: environment({}) });
    if (error !== undefined) return `${program} is not installed`;
  }
  return undefined;
}

/** What the host's shell has: not the project's own Node, which test runners put in front. */
function environment(extra: Readonly<Record<string, string>>): Record<string, string> {
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'));
  return { PATH: path.join(delimiter), HOME: process.env.HOME ?? '', ...extra };
}

/** A clone of the project with its packages installed. */
export class Clone implements AsyncDisposable {
  readonly folder: string;
  readonly #running = new Set<ChildProcess>();

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<Clone> {
    const parent = await temporaryFolder();
    const clone = new Clone(join(parent, 'carepro-chat'));
    const { status, stderr } = spawnSync('git', ['clone', '--quiet', '--depth', '1', `file://${root}`, clone.folder]);
    if (status !== 0) throw new Error(`The project cannot be cloned: ${stderr}`);
    // Instead of `npm ci`, which takes long.
    await symlink(join(root, 'node_modules'), join(clone.folder, 'node_modules'));
    return clone;
  }

  /** Runs a program to its end. */
  run(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Finished> {
    const child = this.#spawn(program, args, env);
    let stdout = '';
    let stderr = '';
    child.stdout?.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr?.on('data', (chunk) => {
      stderr += chunk;
    });
    return new Promise((resolve) => child.once('close', (exitCode) => resolve({ exitCode, stdout, stderr })));
  }

  /** Runs `npm start` and waits for its first thing to try. @returns what it printed. */
  start(env: Readonly<Record<string, string>>): Promise<string> {
    const child = this.#spawn('npm', ['start'], env);
    let output = '';
    return new Promise((resolve, reject) => {
      const collect = (chunk: Buffer): void => {
        output += chunk.toString();
        if (output.includes("-d '")) resolve(output);
      };
      child.stdout?.on('data', collect);
      child.stderr?.on('data', collect);
      child.once('exit', (code) => reject(new Error(`npm start ended with ${code}: ${output}`)));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#running) {
      const ended = new Promise((resolve) => child.once('close', resolve));
      // With everything that npm has started.
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      await ended;
    }
    await rm(join(this.folder, '..'), { recursive: true, force: true });
  }

  #spawn(program: string, args: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
    const child = spawn(program, args, { cwd: this.folder, env: environment(env), detached: true });
    this.#running.add(child);
    child.once('close', () => this.#running.delete(child));
    return child;
  }
}
