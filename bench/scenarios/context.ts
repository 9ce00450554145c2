/** What every scenario is given, and how long its phases last. */
import type { BenchOptions } from '../options.ts';
import { type Incumbent, startIncumbent } from '../servers/incumbent.ts';
import { startOurs } from '../servers/ours.ts';
import type { Contender, ServerUnderTest } from '../servers/server-under-test.ts';
import { tokenFor } from '../servers/tokens.ts';

export interface ScenarioContext {
  readonly options: BenchOptions;
  /** Undefined = not at hand. */
  readonly incumbent: Incumbent | undefined;
  readonly progress: (line: string) => void;
  readonly durations: Durations;
}

/** Lengths of phases; each scenario says in its notes which it used. */
export interface Durations {
  readonly rounds: number;
  /** Before the first measurement of a server, for its compilers (and ours) to finish with the hot code. */
  readonly firstWarmUpMs: number;
  /** Before every later measurement. */
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export const FULL: Durations = { rounds: 3, firstWarmUpMs: 5000, warmUpMs: 500, measureMs: 2500 };
export const QUICK: Durations = { rounds: 1, firstWarmUpMs: 1500, warmUpMs: 200, measureMs: 800 };

export interface User {
  readonly id: string;
  readonly token: string;
}

/** Distinct users with tokens; ids are 24 hex digits, as in production. */
export function makeUsers(kind: number, count: number): User[] {
  return Array.from({ length: count }, (_, index) => {
    const id = kind.toString(16).padStart(8, '6') + index.toString(16).padStart(16, '0');
    return { id, token: tokenFor(id) };
  });
}

/** Starts our server and, if at hand, the incumbent, side by side: only one is under load at a time. */
export async function startContenders(
  context: ScenarioContext,
  settings: { readonly ours?: Readonly<Record<string, string>>; readonly statusBroadcast: boolean },
): Promise<ServerUnderTest[]> {
  const ours = await startOurSide(context, settings.ours === undefined ? {} : { env: settings.ours });
  if (context.incumbent === undefined) return [ours];
  try {
    return [ours, await startIncumbent(context.incumbent, settings)];
  } catch (error) {
    await ours[Symbol.asyncDispose]();
    throw error;
  }
}

export function startOurSide(
  context: ScenarioContext,
  settings: { readonly env?: Readonly<Record<string, string>>; readonly dataFolder?: string } = {},
): Promise<ServerUnderTest> {
  const { temporaryFolder, cpuProfileFolder } = context.options;
  return startOurs({ ...settings, temporaryFolder, cpuProfileFolder });
}

/** Measured values by contender. */
export type Measurements<T> = Partial<Record<Contender, T[]>>;

/**
 * Measures every contender in each round, the order reversed from round to round, so that a drift of the machine falls on
 * all alike.
 */
export async function alternate<S extends { readonly contender: Contender }, T>(
  contenders: readonly S[],
  rounds: number,
  measure: (contender: S, round: number) => Promise<T>,
): Promise<Measurements<T>> {
  const measured: Measurements<T> = {};
  for (let round = 0; round < rounds; round++) {
    for (const contender of round % 2 === 0 ? contenders : contenders.toReversed()) {
      const values = measured[contender.contender] ?? [];
      measured[contender.contender] = values;
      try {
        values.push(await measure(contender, round));
      } catch (error) {
        throw new Error(`${contender.contender}: ${error instanceof Error ? error.message : 'failed'}`, {
          cause: error,
        });
      }
    }
  }
  return measured;
}
