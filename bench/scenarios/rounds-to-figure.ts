/** From the values of the rounds to a figure: the median, with the rounds beside it. */
import type { Figure, Target } from '../figures.ts';
import { median } from '../statistics.ts';
import type { Measurements } from './context.ts';

export function figureOf<T>(
  about: {
    readonly id: string;
    readonly label: string;
    readonly unit: string;
    readonly targets?: readonly Target[];
    readonly charted?: boolean;
  },
  measured: Measurements<T>,
  pick: (value: T) => number,
): Figure {
  const ours = measured.ours?.map(pick);
  const incumbent = measured.incumbent?.map(pick);
  return {
    ...about,
    ...(ours === undefined ? {} : { ours: median(ours), oursRounds: ours }),
    ...(incumbent === undefined ? {} : { incumbent: median(incumbent), incumbentRounds: incumbent }),
  };
}

/** Says so if the load generator was so busy that it may have limited what the server was asked to do. */
export function generatorNote<T extends { readonly generatorLoad: number }>(
  measured: readonly Measurements<T>[],
): string[] {
  const highest = Math.max(
    ...measured.flatMap((each) =>
      [...(each.ours ?? []), ...(each.incumbent ?? [])].map((value) => value.generatorLoad),
    ),
  );
  if (!(highest > 0.9)) return [];
  const share = Math.round(highest * 100);
  return [`the load generator used up to ${share} % of a core: messages/s and latency are limited by it, CPU is not`];
}
