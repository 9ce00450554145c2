/** The figures as a table of text, columns aligned, a row per figure. */
import { describeTarget, type Figure, formatNumber, verdict } from '../figures.ts';

const HEADER = ['figure', 'unit', 'ours', 'incumbent', 'ratio', 'target', 'result'] as const;
const RIGHT_ALIGNED: ReadonlySet<number> = new Set([2, 3, 4]);

/** Lines of the table. */
export function renderTable(figures: readonly Figure[]): string[] {
  const rows: (readonly string[])[] = [HEADER, ...figures.map(rowOf)];
  const widths = HEADER.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) =>
        RIGHT_ALIGNED.has(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return [lines[0] ?? '', rule, ...lines.slice(1)];
}

function rowOf(figure: Figure): readonly string[] {
  const { ours, incumbent, targets = [] } = figure;
  const ratio = ours === undefined || incumbent === undefined ? '' : formatNumber(ours / incumbent);
  return [
    figure.label,
    figure.unit,
    ours === undefined ? '–' : formatNumber(ours),
    incumbent === undefined ? '–' : formatNumber(incumbent),
    ratio,
    targets.map((target) => describeTarget(target, figure.unit)).join(', '),
    targets.map((target) => verdict(figure, target)).join(', '),
  ];
}
