/**
 * Says where a CPU profile's time went, by file and by function, self time. Make profiles with
 * `npm run bench -- --only 1 --cpu-prof DIR`, one per thread of the server.
 *
 * Run: `node bench/profile.ts FILE… [--top 40] [--file SUBSTRING]`; `--file` lists only functions of matching files.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { out } from './report/out.ts';

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
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
  const nodes = new Map(profile.nodes.map((node) => [node.id, node.callFrame]));
  const byFunction = new Map<string, number>();
  const byFile = new Map<string, number>();
  let busyUs = 0;
  let totalUs = 0;
  profile.samples.forEach((id, index) => {
    const frame = nodes.get(id);
    const us = profile.timeDeltas[index] ?? 0;
    totalUs += us;
    if (frame === undefined || WAITING.has(frame.functionName)) return;
    busyUs += us;
    const file = shorten(frame.url);
    const name = `${frame.functionName || '(anonymous)'} ${file}:${frame.lineNumber + 1}`;
    byFile.set(file, (byFile.get(file) ?? 0) + us);
    byFunction.set(name, (byFunction.get(name) ?? 0) + us);
  });
  out(`${path}: ${(totalUs / 1e6).toFixed(1)} s, of which busy ${(busyUs / 1e6).toFixed(1)} s`);
  printTop('by file', byFile, busyUs);
  printTop('by function', byFunction, busyUs);
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
