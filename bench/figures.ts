/**
 * What the bench measures: figures, their targets, and the word about each target. Lower is better for every figure that
 * has a target.
 */

/** What a figure should reach. */
export type Target =
  /** At most this much, in the figure's unit. */
  | { readonly kind: 'atMost'; readonly limit: number }
  /** Less than this much, in the figure's unit. */
  | { readonly kind: 'below'; readonly limit: number }
  /** No more than the incumbent's figure of the same run. */
  | { readonly kind: 'noMoreThanIncumbent' };

/** One measured quantity. */
export interface Figure {
  /** Stable name for the JSON file, `scenario.quantity`. */
  readonly id: string;
  readonly label: string;
  /** Unit of every value here, such as `us`, `ms`, `kB`, `1/s`, `x`. */
  readonly unit: string;
  /** Ours: the median of the rounds. Absent if it could not be measured here. */
  readonly ours?: number;
  readonly oursRounds?: readonly number[];
  /** The incumbent's median; absent if it was not run or cannot do this. */
  readonly incumbent?: number;
  readonly incumbentRounds?: readonly number[];
  readonly targets?: readonly Target[];
  /** Whether the chart shows it; default true. */
  readonly charted?: boolean;
}

/** What a scenario hands back. */
export interface ScenarioResult {
  readonly figures: readonly Figure[];
  /** How it was measured, one fact a line, for the reader of the table. */
  readonly notes: readonly string[];
}

/** `met`, `missed by …`, or why it cannot be said. */
export function verdict(figure: Figure, target: Target): string {
  if (figure.ours === undefined) return 'not measured';
  const limit = target.kind === 'noMoreThanIncumbent' ? figure.incumbent : target.limit;
  if (limit === undefined) return 'nothing to compare with';
  const met = target.kind === 'below' ? figure.ours < limit : figure.ours <= limit;
  if (met) return 'met';
  const excess = figure.ours - limit;
  return `missed by ${formatNumber(excess)} ${figure.unit} (${formatNumber((excess / limit) * 100)} %)`;
}

/** The target in words. */
export function describeTarget(target: Target, unit: string): string {
  if (target.kind === 'noMoreThanIncumbent') return '<= incumbent';
  return `${target.kind === 'below' ? '<' : '<='} ${formatNumber(target.limit)} ${unit}`;
}

/** Three significant digits for small numbers, whole numbers with separators for large ones. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US');
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 3));
}
