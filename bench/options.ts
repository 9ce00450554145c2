/** The command line of the bench. Mistakes are reported all at once, each with what was expected. */
import { parseArgs } from 'node:util';

export interface BenchOptions {
  /** Numbers of the scenarios to run, in order. */
  readonly scenarios: readonly number[];
  /** Shorter phases, one round: shows that everything works; the figures are rough. */
  readonly quick: boolean;
  /** Archive or folder of the incumbent; undefined = the default place, skipped if nothing is there. */
  readonly reference: string | undefined;
  readonly jsonPath: string | undefined;
  readonly svgPath: string | undefined;
  /** Where the temporary data folders go; undefined = the system's. */
  readonly temporaryFolder: string | undefined;
  /** Where our server writes CPU profiles; undefined = it does not. Profiling itself costs CPU. */
  readonly cpuProfileFolder: string | undefined;
}

export const SCENARIO_NUMBERS: readonly number[] = [1, 2, 3, 4, 5, 6, 7, 8, 9];

export const USAGE = `Usage: npm run bench -- [options]

Measures this server, and beside it in the same run the incumbent, each as a separate process.

Scenarios
  1  pairs: 200 connections send each other messages, with and without acknowledgements
  2  presence: users come and go before 1,000 watchers, on each transport and protocol
  3  idle: memory of 5,000 idle connections on each transport
  4  rpc: unary SendMessage by gRPC and Connect; one event to 1,000 streams
  5  pages: newest page of a conversation in a store of 1,000 and of 1,000,000 messages
  6  loop: event-loop delay at a steady 2,000 messages/s
  7  invocations: a call with a result, beside a bare WebSocket echo
  8  store: MongoDB store: group commit, round trips, bytes, 10,000 conversations ($MONGODB_URI, mongod, or stand-ins)
  9  instances: one and two instances over MongoDB and Redis: CPU per message, an idle connection

Options
  --only 1,3         only these scenarios
  --quick            one short round of everything: rough figures
  --reference PATH   the incumbent: its .tar.xz, or the folder it was unpacked to
                     (default: $REFERENCE_HUB, else ../shared/reference/reference-hub-linux-x64.tar.xz)
  --json FILE        where the results go (default: bench/results/<time>.json)
  --svg FILE         where the chart goes (default: bench/results/<time>.svg)
  --temp DIR         where data folders are made (default: the system's temporary folder)
  --cpu-prof DIR     our server writes CPU profiles there (read them with: node bench/profile.ts FILE)
  --help             this text

Exit code 0 if everything could be measured, whether or not the targets are met; 1 if a scenario could not run;
2 for a mistake on the command line.`;

export type ParsedCommandLine =
  | { readonly kind: 'run'; readonly options: BenchOptions }
  | { readonly kind: 'help' }
  | { readonly kind: 'mistake'; readonly problems: readonly string[] };

export function parseCommandLine(commandLine: readonly string[]): ParsedCommandLine {
  let values: Record<string, string | boolean | undefined>;
  try {
    values = parseArgs({
      args: [...commandLine],
      allowPositionals: false,
      options: {
        only: { type: 'string' },
        quick: { type: 'boolean' },
        reference: { type: 'string' },
        json: { type: 'string' },
        svg: { type: 'string' },
        temp: { type: 'string' },
        'cpu-prof': { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    return { kind: 'mistake', problems: [error instanceof Error ? error.message : String(error)] };
  }
  if (values.help === true) return { kind: 'help' };
  const problems: string[] = [];
  const text = (name: string): string | undefined => {
    const value = values[name];
    if (value === '') problems.push(`--${name} needs a path`);
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const options: BenchOptions = {
    scenarios: parseScenarios(values.only, problems),
    quick: values.quick === true,
    reference: text('reference'),
    jsonPath: text('json'),
    svgPath: text('svg'),
    temporaryFolder: text('temp'),
    cpuProfileFolder: text('cpu-prof'),
  };
  return problems.length > 0 ? { kind: 'mistake', problems } : { kind: 'run', options };
}

function parseScenarios(only: string | boolean | undefined, problems: string[]): readonly number[] {
  if (typeof only !== 'string') return SCENARIO_NUMBERS;
  const chosen = only.split(',').map((part) => Number(part.trim() || Number.NaN));
  for (const [index, number] of chosen.entries()) {
    if (!SCENARIO_NUMBERS.includes(number)) {
      problems.push(`--only: expected numbers of 1 to ${SCENARIO_NUMBERS.length}, not "${only.split(',')[index]}"`);
    }
  }
  return SCENARIO_NUMBERS.filter((number) => chosen.includes(number));
}
