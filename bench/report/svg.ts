/**
 * The figures as a bar chart in SVG, one panel per unit: ours, the incumbent's, and a tick where the target is. A panel
 * whose values lie far apart has a logarithmic axis and says so.
 */
import { type Figure, formatNumber } from '../figures.ts';

const WIDTH = 960;
const LABEL_WIDTH = 400;
const VALUE_WIDTH = 90;
const BAR_HEIGHT = 11;
const ROW_HEIGHT = 34;
const PANEL_HEAD = 34;
const MARGIN = 20;
const PLOT_WIDTH = WIDTH - LABEL_WIDTH - VALUE_WIDTH - 2 * MARGIN;
/** Largest over smallest value from which on a linear axis would hide the small ones. */
const LOG_FROM_RATIO = 30;
const COLOURS = { ours: '#2563eb', incumbent: '#9ca3af', target: '#dc2626', text: '#1f2937', rule: '#e5e7eb' };

/** Maps a value to a length of 0 to 1. */
export interface Scale {
  readonly kind: 'linear' | 'log';
  readonly at: (value: number) => number;
}

/** Linear from 0, or logarithmic from the power of ten below the smallest value if the values lie far apart. */
export function scaleFor(values: readonly number[]): Scale {
  const positive = values.filter((value) => Number.isFinite(value) && value > 0);
  const max = Math.max(...positive, Number.MIN_VALUE);
  const min = Math.min(...positive, max);
  if (max / min < LOG_FROM_RATIO) return { kind: 'linear', at: (value) => clamp(value / max) };
  const low = Math.floor(Math.log10(min));
  // A value on the lower bound itself would have no bar.
  const floor = 10 ** low === min ? low - 1 : low;
  const span = Math.log10(max) - floor;
  return { kind: 'log', at: (value) => (value > 0 ? clamp((Math.log10(value) - floor) / span) : 0) };
}

/** The whole chart; `caption` is shown below the title. */
export function renderSvg(figures: readonly Figure[], title: string, caption: string): string {
  const charted = figures.filter((figure) => figure.charted !== false && figure.ours !== undefined);
  const panels = [...Map.groupBy(charted, (figure) => figure.unit)];
  let y = 78;
  const body = panels.map(([unit, members]) => {
    const panel = renderPanel(unit, members, y);
    y += PANEL_HEAD + members.length * ROW_HEIGHT + MARGIN;
    return panel;
  });
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" font-family="system-ui, sans-serif" font-size="12" fill="${COLOURS.text}">`,
    `<rect width="${WIDTH}" height="${y}" fill="#ffffff"/>`,
    text(MARGIN, 28, title, 'font-size="17" font-weight="600"'),
    text(MARGIN, 46, caption, 'font-size="11"'),
    legend(MARGIN, 66),
    ...body,
    '</svg>',
  ].join('\n')}\n`;
}

function renderPanel(unit: string, figures: readonly Figure[], top: number): string {
  const scale = scaleFor(figures.flatMap((figure) => [...valuesOf(figure), ...limitsOf(figure)]));
  const heading = `${unit}, lower is better${scale.kind === 'log' ? ' (logarithmic axis)' : ''}`;
  const rows = figures.map((figure, index) => renderRow(figure, scale, top + PANEL_HEAD + index * ROW_HEIGHT));
  const rule = `<line x1="${MARGIN}" x2="${WIDTH - MARGIN}" y1="${top + 24}" y2="${top + 24}" stroke="${COLOURS.rule}"/>`;
  return [text(MARGIN, top + 18, heading, 'font-weight="600"'), rule, ...rows].join('\n');
}

function renderRow(figure: Figure, scale: Scale, top: number): string {
  const left = MARGIN + LABEL_WIDTH;
  const bar = (value: number | undefined, y: number, colour: string): string[] => {
    if (value === undefined || !Number.isFinite(value)) return [];
    const width = Math.max(1, scale.at(value) * PLOT_WIDTH).toFixed(1);
    return [
      `<rect x="${left}" y="${y}" width="${width}" height="${BAR_HEIGHT}" fill="${colour}"/>`,
      text(left + Number(width) + 5, y + BAR_HEIGHT - 2, formatNumber(value), 'font-size="11"'),
    ];
  };
  const ticks = limitsOf(figure).map((limit) => {
    const x = (left + scale.at(limit) * PLOT_WIDTH).toFixed(1);
    return `<line x1="${x}" x2="${x}" y1="${top - 2}" y2="${top + 2 * BAR_HEIGHT + 3}" stroke="${COLOURS.target}" stroke-width="2"/>`;
  });
  return [
    text(left - 8, top + BAR_HEIGHT + 3, figure.label, 'text-anchor="end"'),
    ...bar(figure.ours, top, COLOURS.ours),
    ...bar(figure.incumbent, top + BAR_HEIGHT + 1, COLOURS.incumbent),
    ...ticks,
  ].join('\n');
}

function legend(x: number, y: number): string {
  const entry = (at: number, colour: string, label: string): string =>
    `<rect x="${at}" y="${y - 9}" width="12" height="10" fill="${colour}"/>${text(at + 17, y, label, 'font-size="11"')}`;
  return (
    entry(x, COLOURS.ours, 'this server') +
    entry(x + 100, COLOURS.incumbent, 'incumbent') +
    entry(x + 190, COLOURS.target, 'target')
  );
}

function valuesOf(figure: Figure): number[] {
  return [figure.ours, figure.incumbent].filter((value) => value !== undefined);
}

function limitsOf(figure: Figure): number[] {
  return (figure.targets ?? []).flatMap((target) => (target.kind === 'noMoreThanIncumbent' ? [] : [target.limit]));
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${x}" y="${y}" ${attributes}>${escapeXml(content)}</text>`;
}

/** Text as XML character data. */
export function escapeXml(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}
