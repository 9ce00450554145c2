/** From the values of the rounds to a figure: the median, with the rounds beside it. */
import { type Figure, formatNumber, type Target } from '../figures.ts';
import type { MeasuredWindow } from '../load/window.ts';
import { median } from '../statistics.ts';
import type { Measurements } from './context.ts';

/** Share of a core from which on the load generator is a suspect. */
const BUSY_GENERATOR = 0.9;
/** Other work that is not just the kernel's share of the same traffic. */
const BUSY_MACHINE_CORES = 0.3;

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

/** What may have distorted the measurement: a busy load generator, other work on the machine. */
export function distortionNotes(measured: readonly Measurements<MeasuredWindow>[]): string[] {
  const windows = measured.flatMap((each) => [...(each.ours ?? []), ...(each.incumbent ?? [])]);
  const generator = Math.max(...windows.map((window) => window.generatorLoad));
  const others = median(windows.map((window) => window.othersLoad));
  const notes: string[] = [];
  if (generator > BUSY_GENERATOR) {
    const share = Math.round(generator * 100);
    notes.push(
      `the load generator used up to ${share} % of a core: messages/s and latency are limited by it, CPU is not`,
    );
  }
  if (others > BUSY_MACHINE_CORES) {
    const most = formatNumber(Math.max(...windows.map((window) => window.othersLoad)));
    notes.push(
      `DISTURBED: other work took ${formatNumber(others)} cores (median; at most ${most}), figures are too high`,
    );
  }
  return notes;
}
