/** A plot of measured points. */
import assert from 'node:assert/strict';
import { type LinePlot, linePlot } from '../../../client/pictures/line-plot.js';
import { markupText } from '../../../shared/charts/markup.js';

function svgOf(points: { x: number; y: number; note?: string }[], more: Partial<LinePlot> = {}): string {
  const plot = {
    title: 'a < b & c',
    xName: 'across',
    yName: 'up',
    logX: String,
    range: [0, 1],
    format: String,
    series: [{ label: 'one', points }],
    references: [{ y: 0.5, label: 'half', tone: 'soft' }],
  } as const;
  return markupText(linePlot({ ...plot, ...more }));
}

function circles(svg: string): number[][] {
  return [...svg.matchAll(/<circle [^>]*cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);
}

describe('a line plot', () => {
  it('puts equal ratios at equal distances on a log axis, and the range of the other from edge to edge', () => {
    const [[a, bottom], [b], [c, top]] = circles(
      svgOf([
        { x: 0.1, y: 0 },
        { x: 1, y: 0.5 },
        { x: 10, y: 1 },
      ]),
    );
    assert.ok(Math.abs(b - a - (c - b)) <= 0.1); // rounded to tenths
    assert.deepEqual([bottom, top], [244, 22]); // the chart's area: 280 high, 36 for the axis and 22 above
  });

  it('escapes what has a meaning in SVG, and writes notes at their points', () => {
    const svg = svgOf([{ x: 1, y: 0.5, note: '50%' }]);
    assert.match(svg, /a &lt; b &amp; c/);
    assert.match(svg, />50%</);
  });

  it('refuses what it cannot place', () => {
    assert.throws(() => svgOf([{ x: 0, y: 0.5 }]), /across: expected finite values above 0, got 0/);
    assert.throws(() => svgOf([{ x: 1, y: Number.NaN }]), /up: expected finite values, got NaN/);
    assert.throws(() => svgOf([]), /across: expected finite values above 0, got none/);
    assert.throws(
      () => svgOf([{ x: Infinity, y: 0.5 }], { logX: undefined }),
      /across: expected finite values, got Inf/,
    );
  });

  it('shows curves over whole steps where their values are, and names them where there are several', () => {
    const curve = (label: string, ...shares: number[]) => ({ label, points: shares.map((y, x) => ({ x, y })) });
    const series = [curve('one', 0.5, 1), curve('two', 0, 0.25)];
    const svg = svgOf([], { logX: undefined, series, format: (y) => `${100 * y}%` });
    // "100%": left edge 14 + 4 x 6.4 -> 40; right edge 480 - 14; 1 is at 22, 0 at 244, so a half is at 133
    assert.deepEqual(circles(svg), [
      [40, 133],
      [466, 22],
      [40, 244],
      [466, 188.5],
    ]);
    assert.match(svg, /class="plain fed"[^>]*>one</);
    assert.match(svg, /class="plain drop"[^>]*>two</);
    assert.doesNotMatch(svgOf([{ x: 1, y: 0.5 }]), />one</);
  });
});
