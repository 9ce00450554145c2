/** What the figures depend on: machine, versions, date, command. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';

export interface BenchEnvironment {
  readonly date: string;
  readonly command: string;
  readonly system: string;
  readonly cpu: string;
  readonly memoryGiB: number;
  readonly node: string;
  readonly v8: string;
  readonly sqlite: string | undefined;
  /** Version of this project and the commit, `+changes` if the tree differs from it. */
  readonly project: string;
  readonly packages: Readonly<Record<string, string>>;
  readonly incumbent: string;
  readonly dataFileSystem: string;
}

const REPOSITORY = join(import.meta.dirname, '..');
/** Packages whose version bears on the figures. */
const PACKAGES = [
  'ws',
  '@bufbuild/protobuf',
  '@connectrpc/connect',
  '@connectrpc/connect-node',
  '@grpc/grpc-js',
  'jose',
];

export function describeEnvironment(about: {
  readonly commandLine: readonly string[];
  readonly incumbent: string;
  readonly dataFileSystem: string;
}): BenchEnvironment {
  const options = about.commandLine.length === 0 ? '' : ` -- ${about.commandLine.join(' ')}`;
  return {
    date: new Date().toISOString(),
    command: `npm run bench${options}`,
    system: `${type()} ${release()} ${process.arch}`,
    cpu: `${cpus()[0]?.model.trim() ?? 'unknown'}, ${availableParallelism()} cores`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    v8: process.versions.v8,
    sqlite: process.versions.sqlite,
    project: `${versionOf(REPOSITORY)} (${commit()})`,
    packages: Object.fromEntries(PACKAGES.map((name) => [name, versionOf(join(REPOSITORY, 'node_modules', name))])),
    incumbent: about.incumbent,
    dataFileSystem: about.dataFileSystem,
  };
}

function versionOf(folder: string): string {
  try {
    const parsed: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const version = typeof parsed === 'object' && parsed !== null && 'version' in parsed ? parsed.version : undefined;
    return typeof version === 'string' ? version : 'unknown';
  } catch {
    return 'not installed';
  }
}

function commit(): string {
  const git = (...commandLine: string[]): string =>
    execFileSync('git', commandLine, { cwd: REPOSITORY, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--', 'src') === '' ? '' : '+changes');
  } catch {
    return 'no git';
  }
}
