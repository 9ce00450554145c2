/** Durations as people write them on a command line: 45s, 30m, 12h, 7d. */
const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** @returns the milliseconds, or undefined if the text is no positive whole number with a unit of s, m, h or d. */
export function parseDurationMs(text: string): number | undefined {
  const [, amount = '', unit = ''] = /^(\d{1,9})([smhd])$/.exec(text.trim()) ?? [];
  const durationMs = Number(amount) * (UNITS_MS[unit] ?? Number.NaN);
  return durationMs > 0 ? durationMs : undefined;
}
