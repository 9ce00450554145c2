import { describe, expect, it } from 'vitest';
import type { Figure } from '../../../bench/figures.ts';
import { escapeXml, renderSvg, scaleFor } from '../../../bench/report/svg.ts';
import { renderTable } from '../../../bench/report/table.ts';

const FIGURES: readonly Figure[] = [
  { id: 'a', label: 'cheap', unit: 'us', ours: 2, incumbent: 4, targets: [{ kind: 'atMost', limit: 3 }] },
  { id: 'b', label: 'dear & <slow>', unit: 'us', ours: 300, targets: [{ kind: 'atMost', limit: 200 }] },
  { id: 'c', label: 'memory', unit: 'kB', ours: 8 },
  { id: 'd', label: 'rate', unit: '1/s', ours: 9, charted: false },
];

describe('the table', () => {
  const lines = renderTable(FIGURES);

  it('has a row per figure with ratio, target and result', () => {
    expect(lines).toHaveLength(2 + FIGURES.length);
    expect(lines[2]).toMatch(/^cheap +us +2\.00 +4\.00 +0\.500 +<= 3\.00 us +met$/);
    expect(lines[3]).toContain('missed by 100 us (50.0 %)');
  });

  it('aligns its columns', () => {
    const unitColumn = lines[0]?.indexOf('unit') ?? -1;
    for (const [index, figure] of FIGURES.entries()) {
      expect(lines[index + 2]?.slice(unitColumn)).toMatch(new RegExp(`^${figure.unit} `));
    }
  });

  it('shows a dash where there is no value', () => {
    expect(lines[4]).toMatch(/^memory +kB +8\.00 +–$/);
  });
});

describe('the scale', () => {
  it('is linear from zero when the values are close together', () => {
    const scale = scaleFor([10, 100]);
    expect(scale.kind).toBe('linear');
    expect([0, 50, 100, 200].map(scale.at)).toEqual([0, 0.5, 1, 1]);
  });

  it('is logarithmic when they are not, and even the smallest has a length', () => {
    const scale = scaleFor([1, 1000]);
    expect(scale.kind).toBe('log');
    expect(scale.at(1)).toBeCloseTo(0.25);
    expect(scale.at(1000)).toBe(1);
    expect(scale.at(0)).toBe(0);
  });

  it('copes with nothing to show', () => {
    expect(scaleFor([]).at(0)).toBe(0);
  });
});

describe('the chart', () => {
  const svg = renderSvg(FIGURES, 'a title', 'a caption');

  it('has a panel per unit and leaves out what is not charted', () => {
    expect(svg.match(/lower is better/g)).toHaveLength(2);
    expect(svg).not.toContain('>rate<');
  });

  it('says where an axis is logarithmic', () => {
    expect(svg).toContain('us, lower is better (logarithmic axis)');
    expect(svg).toContain('>kB, lower is better<');
  });

  it('escapes labels', () => {
    expect(svg).toContain('dear &amp; &lt;slow&gt;');
    expect(escapeXml('a & b < c > d')).toBe('a &amp; b &lt; c &gt; d');
  });

  it('balances its elements', () => {
    expect(svg.match(/<text /g)?.length).toBe(svg.match(/<\/text>/g)?.length);
    expect(svg.trim().endsWith('</svg>')).toBe(true);
  });
});
