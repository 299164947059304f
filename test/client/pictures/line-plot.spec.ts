/** A plot of measured points. */
import assert from 'node:assert/strict';
import { linePlot } from '../../../client/pictures/line-plot.js';

function svgOf(points: { x: number; y: number; note?: string }[]): string {
  const plot = {
    title: 'a < b & c',
    x: { label: 'across', scale: 'log' },
    y: { label: 'up', range: [0, 1] },
    series: [{ label: 'one', points }],
    rules: [{ y: 0.5, label: 'half' }],
  } as const;
  return new TextDecoder().decode(linePlot(plot));
}

function circles(svg: string): number[][] {
  return [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);
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
    assert.deepEqual([bottom, top], [360, 64]); // the plot's area
  });

  it('escapes what has a meaning in SVG, and writes notes at their points', () => {
    const svg = svgOf([{ x: 1, y: 0.5, note: '50%' }]);
    assert.match(svg, /a &#60; b &#38; c/);
    assert.match(svg, />50%</);
  });

  it('refuses what it cannot place', () => {
    assert.throws(() => svgOf([{ x: 0, y: 0.5 }]), /across: expected finite values above 0, got 0/);
    assert.throws(() => svgOf([{ x: 1, y: Number.NaN }]), /up: expected finite values, got NaN/);
    assert.throws(() => svgOf([]), /across: expected finite values above 0, got none/);
  });
});
