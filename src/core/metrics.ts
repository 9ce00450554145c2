/** What the core and the doors count. The adapter (src/ops) decides how it is exposed. */
export type Labels = Readonly<Record<string, string>>;

/** Cheap enough for the hot path. Names follow the Prometheus conventions (`_total`, `_seconds`, `_bytes`). */
export interface Metrics {
  /** Adds `by` (default 1) to a counter. */
  count(name: string, labels?: Labels, by?: number): void;
  /** Sets a gauge. */
  gauge(name: string, value: number, labels?: Labels): void;
  /** Adds one observation to a histogram. */
  observe(name: string, value: number, labels?: Labels): void;
}

/** Counts nothing. */
export const noMetrics: Metrics = {
  count: () => undefined,
  gauge: () => undefined,
  observe: () => undefined,
};
