/**
 * The bench: starts this server and the incumbent as separate processes, drives both with the same load in the same
 * run, prints a table, and writes JSON and a chart. Run: `npm run bench -- --help`.
 */
import { tmpdir } from 'node:os';
import { describeEnvironment } from './environment.ts';
import type { ScenarioResult } from './figures.ts';
import { type BenchOptions, parseCommandLine, USAGE } from './options.ts';
import { out, progress } from './report/out.ts';
import { renderTable } from './report/table.ts';
import { type BenchReport, type ScenarioReport, writeResults } from './report/write-results.ts';
import { FULL, QUICK, type ScenarioContext } from './scenarios/context.ts';
import { measureIdle } from './scenarios/idle.ts';
import { measureInvocations } from './scenarios/invocations.ts';
import { measureLoopDelay } from './scenarios/loop-delay.ts';
import { measurePages } from './scenarios/pages.ts';
import { measurePairs } from './scenarios/pairs.ts';
import { measurePresence } from './scenarios/presence.ts';
import { measureProductionInstances } from './scenarios/production-instances.ts';
import { measureProductionStore } from './scenarios/production-store.ts';
import { measureRpc } from './scenarios/rpc.ts';
import { type Incumbent, prepareIncumbent } from './servers/incumbent.ts';
import { exitOnSignals } from './system/last-resort.ts';
import { describeFileSystem } from './system/temporary.ts';
import { NO_USAGE, usageIsReadable } from './system/usage.ts';

interface Scenario {
  readonly title: string;
  readonly measure: (context: ScenarioContext) => Promise<ScenarioResult>;
}

const SCENARIOS: Readonly<Record<number, Scenario>> = {
  1: { title: 'pairs', measure: measurePairs },
  2: { title: 'presence fan-out', measure: measurePresence },
  3: { title: 'idle connections', measure: measureIdle },
  4: { title: 'typed API', measure: measureRpc },
  5: { title: 'newest page', measure: measurePages },
  6: { title: 'event loop at a steady rate', measure: measureLoopDelay },
  7: { title: 'invocations with a result', measure: measureInvocations },
  8: { title: 'store of the production pair', measure: measureProductionStore },
  9: { title: 'instances on the production pair', measure: measureProductionInstances },
};

const EXIT_SCENARIO_FAILED = 1;
const EXIT_MISTAKE = 2;

const commandLine = process.argv.slice(2);
const parsed = parseCommandLine(commandLine);
if (parsed.kind === 'help') {
  out(USAGE);
} else if (parsed.kind === 'mistake') {
  for (const problem of parsed.problems) progress(problem);
  progress('See npm run bench -- --help');
  process.exitCode = EXIT_MISTAKE;
} else {
  exitOnSignals();
  process.exitCode = await bench(parsed.options);
}

async function bench(options: BenchOptions): Promise<number> {
  if (!usageIsReadable) {
    out(`Skipped: ${NO_USAGE}.`);
    return 0;
  }
  await using stack = new AsyncDisposableStack();
  let incumbent: Incumbent | undefined;
  let incumbentVersion: string;
  let dataFileSystem: string;
  try {
    dataFileSystem = describeFileSystem(options.temporaryFolder ?? tmpdir());
    const prepared = await prepareIncumbent(options.reference, options.temporaryFolder);
    if ('skipped' in prepared) incumbentVersion = `skipped: ${prepared.skipped}`;
    else {
      incumbent = stack.use(prepared);
      incumbentVersion = prepared.version;
    }
  } catch (error) {
    progress(wordsOf(error));
    return EXIT_MISTAKE;
  }
  const environment = describeEnvironment({ commandLine, incumbent: incumbentVersion, dataFileSystem });
  const context: ScenarioContext = { options, incumbent, progress, durations: options.quick ? QUICK : FULL };
  const scenarios: ScenarioReport[] = [];
  for (const number of options.scenarios) {
    const scenario = SCENARIOS[number];
    if (scenario !== undefined) scenarios.push(await runScenario(number, scenario, context));
  }
  const report: BenchReport = { environment, quick: options.quick, scenarios };
  print(report);
  for (const path of await writeResults(report, options)) out(`written: ${path}`);
  return scenarios.some((scenario) => scenario.failure !== undefined) ? EXIT_SCENARIO_FAILED : 0;
}

async function runScenario(number: number, scenario: Scenario, context: ScenarioContext): Promise<ScenarioReport> {
  const { title } = scenario;
  progress(`${number} ${title}`);
  const startedAt = performance.now();
  const seconds = (): number => Math.round((performance.now() - startedAt) / 100) / 10;
  try {
    return { number, title, ...(await scenario.measure(context)), seconds: seconds() };
  } catch (error) {
    const failure = wordsOf(error);
    progress(`  failed: ${failure}`);
    return { number, title, figures: [], notes: [], seconds: seconds(), failure };
  }
}

function print({ environment, quick, scenarios }: BenchReport): void {
  out();
  out(`carepro-chat ${environment.project}, ${environment.date}${quick ? ', quick run: rough figures' : ''}`);
  out(`${environment.command}`);
  out(`${environment.cpu}, ${environment.memoryGiB} GiB, ${environment.system}, data on ${environment.dataFileSystem}`);
  const packages = Object.entries(environment.packages).map(([name, version]) => `${name} ${version}`);
  out(`Node ${environment.node}, SQLite ${environment.sqlite ?? 'unknown'}, ${packages.join(', ')}`);
  out(`incumbent: ${environment.incumbent}`);
  out();
  for (const line of renderTable(scenarios.flatMap((scenario) => scenario.figures))) out(line);
  for (const { number, title, seconds, notes, failure } of scenarios) {
    out();
    out(`${number} ${title} (${seconds} s)${failure === undefined ? '' : `: COULD NOT RUN: ${failure}`}`);
    for (const note of notes) out(`  - ${note}`);
  }
  out();
}

function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
}
