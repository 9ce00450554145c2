/**
 * Says where a CPU profile's time went: self time by file and by function, and by function of the project with all that
 * it calls in Node and in packages. Waiting for a disk shows as work of the function that waits. Make profiles with
 * `npm run bench -- --only 1 --cpu-prof DIR`, one per thread of the server.
 *
 * Run: `node bench/profile.ts FILE… [--top 40] [--file SUBSTRING]`; `--file` lists only functions of matching files.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { out } from './report/out.ts';

interface ProfileNode {
  readonly id: number;
  readonly callFrame: CallFrame;
  readonly children?: readonly number[];
}

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}

interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Not work: what the profiler shows while the thread waits. */
const WAITING: ReadonlySet<string> = new Set(['(idle)', '(program)']);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { top: { type: 'string', default: '40' }, file: { type: 'string' } },
});

for (const path of positionals) {
  const profile = JSON.parse(readFileSync(path, 'utf8')) as CpuProfile;
  report(path, profile);
}

function report(path: string, profile: CpuProfile): void {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const charged = chargedNames(profile.nodes);
  const byFunction = new Map<string, number>();
  const byFile = new Map<string, number>();
  const byCharged = new Map<string, number>();
  let busyUs = 0;
  let totalUs = 0;
  profile.samples.forEach((id, index) => {
    const node = nodes.get(id);
    const us = profile.timeDeltas[index] ?? 0;
    totalUs += us;
    if (node === undefined || WAITING.has(node.callFrame.functionName)) return;
    busyUs += us;
    add(byFile, shorten(node.callFrame.url), us);
    add(byFunction, nameOf(node.callFrame), us);
    add(byCharged, charged.get(id) ?? '', us);
  });
  out(`${path}: ${(totalUs / 1e6).toFixed(1)} s, of which busy ${(busyUs / 1e6).toFixed(1)} s`);
  printTop('by file', byFile, busyUs);
  printTop('by function', byFunction, busyUs);
  printTop('by function of the project, with what it calls in Node and in packages', byCharged, busyUs);
}

function add(times: Map<string, number>, name: string, us: number): void {
  times.set(name, (times.get(name) ?? 0) + us);
}

/** For each node the nearest function of the project above it, or the outermost function if there is none. */
function chargedNames(nodes: readonly ProfileNode[]): ReadonlyMap<number, string> {
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node] as const)));
  const charged = new Map<number, string>();
  const chargedTo = (node: ProfileNode): string => {
    const known = charged.get(node.id);
    if (known !== undefined) return known;
    const parent = parents.get(node.id);
    const isOutermost = parent === undefined || parent.callFrame.functionName === '(root)';
    const name = isOurs(node.callFrame.url) || isOutermost ? nameOf(node.callFrame) : chargedTo(parent);
    charged.set(node.id, name);
    return name;
  };
  for (const node of nodes) chargedTo(node);
  return charged;
}

function isOurs(url: string): boolean {
  return url.includes('/src/') && !url.includes('/node_modules/');
}

function nameOf({ functionName, url, lineNumber }: CallFrame): string {
  return `${functionName || '(anonymous)'} ${shorten(url)}:${lineNumber + 1}`;
}

function printTop(title: string, times: ReadonlyMap<string, number>, busyUs: number): void {
  out(`  ${title}`);
  const { file, top } = values;
  const rows = [...times].filter(([name]) => file === undefined || name.includes(file)).sort((a, b) => b[1] - a[1]);
  for (const [name, us] of rows.slice(0, Number(top))) {
    out(`  ${((us / busyUs) * 100).toFixed(1).padStart(6)} %  ${(us / 1e6).toFixed(2).padStart(7)} s  ${name}`);
  }
}

/** Paths from the project's or the package's folder on. */
function shorten(url: string): string {
  if (url === '') return '(native)';
  const packageAt = url.lastIndexOf('/node_modules/');
  if (packageAt >= 0) return url.slice(packageAt + '/node_modules/'.length);
  const sourceAt = url.lastIndexOf('/src/');
  return sourceAt >= 0 ? url.slice(sourceAt + 1) : url;
}
