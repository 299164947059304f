import assert from 'node:assert/strict';
import { ticks } from 'd3-array';
import fc from 'fast-check';
import { formatNumber } from '../../../server/report/format.js';
import { barChart } from '../../../shared/charts/bar-chart.js';
import { lineChart } from '../../../shared/charts/line-chart.js';
import { markupText } from '../../../shared/charts/markup.js';
import { niceDomain, wholeTicks } from '../../../shared/charts/scale.js';

describe('axes', () => {
  // Heckbert (1990), "Nice numbers for graph labels": steps of 1, 2 or 5 times a power of ten; his figure labels data
  // from 105 to 543 as 100, 200, ... 600.
  it('label Heckbert’s example as he does', () => {
    const domain = niceDomain([105, 543], 5);
    assert.deepEqual(domain, [100, 600]);
    assert.deepEqual(ticks(100, 600, 5), [100, 200, 300, 400, 500, 600]);
  });

  it('take whole rounds only', () => {
    assert.deepEqual(wholeTicks([1, 3], 10), [1, 2, 3]);
    assert.deepEqual(wholeTicks([7, 7], 10), [7]);
    assert.deepEqual(wholeTicks([0, 1000], 5), [0, 200, 400, 600, 800, 1000]);
  });

  it('give a flat domain room on both sides, and zero too', () => {
    assert.deepEqual(niceDomain([0, 0], 4), [-1, 1]);
    assert.deepEqual(niceDomain([2, 2], 4), [1, 3]);
  });

  it('hold every finite domain between their ends, with 1 to 20 ticks', () => {
    const value = fc.double({ min: -1e12, max: 1e12, noNaN: true });
    fc.assert(
      fc.property(value, value, (a, b) => {
        const low = Math.min(a, b);
        const high = Math.max(a, b);
        const domain = niceDomain([low, high], 5);
        const slack = Math.abs(high - low) * 1e-5 + Math.abs(high) * 1e-12;
        assert.ok(domain[0] <= low + slack && domain[1] >= high - slack);
        const count = ticks(...domain, 5).length;
        assert.ok(count >= 1 && count <= 20, `${count} ticks`);
      }),
      { seed: 1 },
    );
  });
});

describe('line chart', () => {
  const chart = {
    description: 'd',
    width: 214,
    height: 158,
    series: [{ label: 'test', tone: 'fed', points: [0, 1, 2].map((y, i) => ({ x: i + 1, y })) }],
    references: [{ label: 'alone', tone: 'alone', y: 0.5 }],
    format: formatNumber,
    xName: 'round',
  };

  it('draws three points where arithmetic puts them', () => {
    // Values 0 to 2: steps of 2/5 -> 0.5, so the axis is 0, 0.5, 1, 1.5, 2 and its widest label has 3 characters.
    // Left edge 14 + 3 x 6.4 = 33.2 -> 33; right 214 - 14 = 200; top 22; bottom 158 - 36 = 122: 100 pixels for 2.
    // Rounds 1, 2, 3 stand at 33, 116.5, 200; values 0, 1, 2 at 122, 72, 22; the reference 0.5 at 122 - 25 = 97.
    const svg = markupText(lineChart(chart));
    assert.equal(
      svg,
      [
        '<svg class="chart" viewBox="0 0 214 158" role="img" aria-label="d">',
        '<path class="grid" d="M33 122H200"/><text class="tick" x="26" y="126" text-anchor="end">0</text>' +
          '<path class="grid" d="M33 97H200"/><text class="tick" x="26" y="101" text-anchor="end">0.5</text>' +
          '<path class="grid" d="M33 72H200"/><text class="tick" x="26" y="76" text-anchor="end">1</text>' +
          '<path class="grid" d="M33 47H200"/><text class="tick" x="26" y="51" text-anchor="end">1.5</text>' +
          '<path class="grid" d="M33 22H200"/><text class="tick" x="26" y="26" text-anchor="end">2</text>' +
          '<text class="tick" x="33" y="138" text-anchor="middle">1</text>' +
          '<text class="tick" x="116.5" y="138" text-anchor="middle">2</text>' +
          '<text class="tick" x="200" y="138" text-anchor="middle">3</text>' +
          '<text class="axis" x="116.5" y="154" text-anchor="middle">round</text>',
        // The curve ends further from 0.5 (at 2) than it begins (at 0), and most of it runs above: label right, below.
        '<path class="reference alone" d="M33 97H200"/>' +
          '<text class="note alone" x="200" y="111" text-anchor="end">alone 0.5</text>',
        '<path class="curve fed" d="M33,122L116.5,72L200,22"/><circle class="dot fed" cx="33" cy="122" r="2.6"/>' +
          '<circle class="dot fed" cx="116.5" cy="72" r="2.6"/><circle class="dot fed" cx="200" cy="22" r="2.6"/>',
        // Columns of half the distance of two rounds, 41.75, to each side.
        '<g class="hover"><title>round 1: test 0</title><rect class="hit" x="-8.75" y="22" width="83.5" height="100"/><path d="M33 22V122"/><text x="33" y="12">round 1: test 0</text></g>' +
          '<g class="hover"><title>round 2: test 1</title><rect class="hit" x="74.75" y="22" width="83.5" height="100"/><path d="M116.5 22V122"/><text x="33" y="12">round 2: test 1</text></g>' +
          '<g class="hover"><title>round 3: test 2</title><rect class="hit" x="158.25" y="22" width="83.5" height="100"/><path d="M200 22V122"/><text x="33" y="12">round 3: test 2</text></g></svg>',
      ].join('\n'),
    );
  });

  it('keeps ticks exact where floating point would not, and a single round in the middle', () => {
    const svg = markupText(
      lineChart({
        ...chart,
        series: [{ label: '', tone: 'fed', points: [{ x: 3, y: 0.25 }] }],
        range: [0, 0.5],
        format: String,
      }),
    );
    const labels = [...svg.matchAll(/text-anchor="end">([^<]*)</g)].map(([, label]) => label);
    assert.deepEqual(labels.slice(0, 6), ['0', '0.1', '0.2', '0.3', '0.4', '0.5']);
    assert.match(svg, /cx="116.5" cy="72"/); // between 33 and 200, and between 22 and 122
  });

  it('puts equal ratios at equal distances on a logarithmic axis, each measured place with its tick', () => {
    // Left edge 33 and right edge 200 with 36 of room each: 69, 116.5, 164.
    const points = [0.1, 1, 10].map((x, i) => ({ x, y: i, note: `n${i}` }));
    const svg = markupText(
      lineChart({ ...chart, series: [{ label: '', tone: 'fed', points }], logX: (x) => `x${x}`, isStill: true }),
    );
    assert.ok(svg.includes('d="M69,122L116.5,72L164,22"'));
    for (const [i, x] of [69, 116.5, 164].entries()) {
      assert.ok(svg.includes(`<text class="tick" x="${x}" y="138" text-anchor="middle">x${[0.1, 1, 10][i]}</text>`));
    }
    assert.ok(svg.includes('<text class="note fed" x="116.5" y="90" text-anchor="middle">n1</text>'));
    assert.ok(!svg.includes('class="hover"'));
  });

  it('does not let a far reference flatten the curves, and says where it is', () => {
    const svg = markupText(lineChart({ ...chart, references: [{ label: 'alone', tone: 'alone', y: 900 }] }));
    assert.ok(svg.includes('d="M33,122L116.5,72L200,22"'));
    assert.ok(svg.includes('alone 900 (above)'));
  });

  it('leaves out values that are not numbers, and says so when none is left', () => {
    const points = [1, Number.NaN, Number.POSITIVE_INFINITY].map((y, i) => ({ x: i, y }));
    const some = markupText(lineChart({ ...chart, series: [{ label: '', tone: 'fed', points }] }));
    assert.doesNotMatch(some, /NaN|Infinity/);
    const none = lineChart({ ...chart, series: [{ label: '', tone: 'fed', points: points.slice(1) }] });
    assert.equal(markupText(none), '<p class="none">Nothing was measured.</p>');
  });

  it('answers to the pointer at no more than 120 rounds, with the first and the last', () => {
    const points = Array.from({ length: 1000 }, (_, i) => ({ x: i + 1, y: i }));
    const svg = markupText(lineChart({ ...chart, series: [{ label: 'a', tone: 'fed', points }] }));
    assert.equal(svg.match(/<title>/g)?.length, 120);
    assert.ok(svg.includes('<title>round 1: ') && svg.includes('<title>round 1000: '));
  });
});

describe('bar chart', () => {
  const chart = {
    description: 'd',
    width: 214,
    height: 158,
    labels: ['a', 'b'],
    tones: ['fed', 'drop'],
    format: formatNumber,
  };

  it('stacks its parts from the axis upwards', () => {
    // 3 + 1 = 4 is the top of the axis (0 to 4 in steps of 1, one-character labels: left 14 + 6.4 = 20). 100 pixels
    // for 4: the first part is 75 high and ends at 122 - 75 = 47, the second 25 high and ends at 22. No bar is wider
    // than 56, and this one stands in the middle of 20 to 200: from 82.
    const svg = markupText(barChart({ ...chart, bars: [{ round: 1, parts: [3, 1] }] }));
    assert.match(svg, /<rect class="bar fed" x="82" y="47" width="56" height="75"\/>/);
    assert.match(svg, /<rect class="bar drop" x="82" y="22" width="56" height="25"\/>/);
  });

  it('shows the mean of rounds that share a bar', () => {
    const bars = Array.from({ length: 161 }, (_, i) => ({ round: i + 1, parts: [(i + 1) * 10, 1] }));
    const svg = markupText(barChart({ ...chart, bars }));
    const titles = [...svg.matchAll(/<title>([^<]*)</g)].map(([, words]) => words);
    // At most 80 bars: ceil(161 / 80) = 3 rounds each, 53 times 3 and 2 at the end; (10 + 20 + 30) / 3 = 20 and
    // (1600 + 1610) / 2 = 1605.
    assert.equal(titles.length, 54);
    assert.equal(titles[0], 'rounds 1 to 3, mean: a 20, b 1');
    assert.equal(titles[53], 'rounds 160 to 161, mean: a 1605, b 1');
  });

  it('says so when no round ended, and draws rounds of nothing', () => {
    assert.equal(markupText(barChart({ ...chart, bars: [] })), '<p class="none">No round ended.</p>');
    assert.doesNotMatch(markupText(barChart({ ...chart, bars: [{ round: 1, parts: [0, 0] }] })), /NaN|class="bar/);
  });
});
