/**
 * Builds the two servers that speak MongoDB's protocol, once: into node_modules/.cache, under a name that is the digest
 * of their sources, so that a change builds anew. Several test processes may ask at once; one builds, the others wait.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const CACHE = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'mongo-servers');
const BUILD_TIMEOUT_MS = 10 * 60_000;

/** How to start a server that was built. */
export interface BuiltServer {
  readonly command: string;
  readonly args: readonly string[];
}

/** The program with FerretDB, which keeps its data in a folder. @throws if there is no Go, or the build fails. */
export async function buildFerretDb(): Promise<BuiltServer> {
  const folder = await build('ferretdb', ['main.go', 'gate.go', 'go.mod', 'go.sum'], async (work) => {
    await run('go', ['build', '-o', 'server', '.'], { cwd: work, timeout: BUILD_TIMEOUT_MS });
  });
  return { command: join(folder, 'server'), args: [] };
}

/** The program with mongo-java-server, which keeps its data in memory. @throws if there is no Maven, or the build fails. */
export async function buildMongoJavaServer(): Promise<BuiltServer> {
  const sources = ['pom.xml', 'src/main/java/MongoJavaServer.java'];
  const folder = await build('mongo-java-server', sources, async (work) => {
    const goals = ['package', 'dependency:copy-dependencies', '-DincludeScope=runtime'];
    await run('mvn', ['-q', '-B', ...goals], { cwd: work, timeout: BUILD_TIMEOUT_MS });
  });
  const classPath = [join(folder, 'target', '*'), join(folder, 'target', 'dependency', '*')].join(':');
  return { command: 'java', args: ['-Xmx1g', '-cp', classPath, 'MongoJavaServer'] };
}

async function build(name: string, sources: readonly string[], make: (work: string) => Promise<void>): Promise<string> {
  const from = join(import.meta.dirname, name);
  const digest = createHash('sha256');
  for (const source of sources) digest.update(await readFile(join(from, source)));
  const folder = join(CACHE, `${name}-${digest.digest('hex').slice(0, 16)}`);
  if (await exists(folder)) return folder;
  const work = `${folder}.building`;
  const isMine = await mkdir(CACHE, { recursive: true }).then(() => claim(work));
  if (!isMine) {
    const deadline = performance.now() + BUILD_TIMEOUT_MS;
    while (performance.now() < deadline) {
      if (await exists(folder)) return folder;
      if (!(await exists(work))) return build(name, sources, make);
      await delay(100);
    }
    throw new Error(`Another process did not finish building ${name}; delete ${work}`);
  }
  try {
    await cp(from, work, { recursive: true });
    await make(work);
    await rename(work, folder);
  } catch (error) {
    await rm(work, { recursive: true, force: true });
    throw error;
  }
  await removeOlder(name, folder);
  return folder;
}

/** Makes the folder if nobody has; one that was left behind by a process that died is taken over. */
async function claim(work: string): Promise<boolean> {
  const made = await mkdir(work).then(
    () => true,
    () => false,
  );
  if (made) return true;
  const { mtimeMs } = await stat(work).catch(() => ({ mtimeMs: Date.now() }));
  if (Date.now() - mtimeMs < BUILD_TIMEOUT_MS) return false;
  await rm(work, { recursive: true, force: true });
  return mkdir(work).then(
    () => true,
    () => false,
  );
}

async function removeOlder(name: string, folder: string): Promise<void> {
  for (const entry of await readdir(CACHE)) {
    const path = join(CACHE, entry);
    if (entry.startsWith(`${name}-`) && path !== folder && !entry.endsWith('.building')) {
      await rm(path, { recursive: true, force: true });
    }
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
