/** Order statistics of samples. Percentiles are nearest-rank: always a value that was measured. */

/** The value below or at which `percent` of the samples lie; NaN of no samples. */
export function percentile(samples: readonly number[] | Float64Array, percent: number): number {
  if (!(percent >= 0 && percent <= 100)) throw new RangeError(`percent must be 0 to 100, not ${percent}`);
  const sorted = Float64Array.from(samples).sort();
  const rank = Math.max(1, Math.ceil((percent / 100) * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

/** The middle value, or the mean of the two in the middle; NaN of no samples. */
export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.ceil(sorted.length / 2) - 1];
  return upper === undefined || lower === undefined ? Number.NaN : (upper + lower) / 2;
}

/** Smallest and largest value. */
export function range(samples: readonly number[]): { readonly min: number; readonly max: number } {
  return { min: Math.min(...samples), max: Math.max(...samples) };
}
