import assert from 'node:assert/strict';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatNumber,
  formatPercent,
  plural,
} from '../../../server/report/format.js';
import { betterOf, clientMean, formatMetric, headlineOf, readable } from '../../../server/report/metrics.js';
import { html, markupText, shorten } from '../../../shared/charts/markup.js';
import { sampleReport } from './sample.js';

describe('figures in words', () => {
  it('round where a unit ends, never to a thousand of it', () => {
    assert.deepEqual([0, 999, 1000, 1500, 999_960, 28_100_000].map(formatBytes), [
      '0 B',
      '999 B',
      '1 kB',
      '1.5 kB',
      '1 MB',
      '28.1 MB',
    ]);
    assert.deepEqual([0, 812, 999.6, 1800, 9_960, 59_600, 65_000, 3_600_000, 5_400_000].map(formatDuration), [
      '0 ms',
      '812 ms',
      '1.0 s',
      '1.8 s',
      '10 s',
      '1 min',
      '1 min 5 s',
      '1 h',
      '1 h 30 min',
    ]);
  });

  it('group thousands and keep four digits', () => {
    assert.deepEqual([999, 1000, 1234567].map(formatCount), ['999', '1,000', '1,234,567']);
    assert.deepEqual([0.123456, 12345.6, 1e-7, 0, -2].map(formatNumber), ['0.1235', '12,346', '1e-7', '0', '-2']);
    assert.equal(formatPercent(0.9236), '92.4 %');
    assert.deepEqual(
      [plural(1, 'round'), plural(0, 'round'), plural(1200, 'round')],
      ['1 round', '0 rounds', '1,200 rounds'],
    );
  });

  it('show what is not finite as a dash', () => {
    for (const format of [formatBytes, formatCount, formatDuration, formatNumber, formatPercent])
      assert.equal(format(Number.NaN), '–');
  });
});

describe('markup', () => {
  it('escapes values but not markup, and joins lists', () => {
    const inner = html`<b>${'<&"\'`>'}</b>`;
    assert.equal(markupText(html`${[inner, null, false, 1]}`), '<b>&lt;&amp;&quot;&#39;&#96;&gt;</b>1');
    assert.equal(markupText(html`${'a\nb'}`), 'a\nb');
  });

  it('shortens by whole characters', () => {
    assert.equal(shorten('abcdef', 4), 'abc…');
    assert.equal(shorten('😀😀😀', 3), '😀😀😀');
  });
});

describe('metrics by name', () => {
  it('are fractions, losses or plain figures', () => {
    assert.equal(formatMetric('test.accuracy', 0.924), '92.4 %');
    assert.equal(formatMetric('test.loss', 0.924), '0.924');
    assert.deepEqual(['test.loss', 'test.fid', 'rmse', 'test.accuracy', 'psnr', 'glossary'].map(betterOf), [
      'lower',
      'lower',
      'lower',
      'higher',
      'higher',
      'higher',
    ]);
    assert.equal(readable('test.next_char.auroc'), 'test next char AUROC');
  });

  it('give the headline to the manifest first, with or without its split', () => {
    const report = sampleReport({ rounds: 2, clients: 1 });
    assert.deepEqual(headlineOf(report, { metric: 'accuracy', better: 'higher' }), {
      metric: 'test.accuracy',
      better: 'higher',
    });
    assert.deepEqual(headlineOf(report, { metric: 'train.loss', better: 'lower' }), {
      metric: 'train.loss',
      better: 'lower',
    });
    assert.deepEqual(headlineOf(report, { metric: 'absent', better: 'lower' }), {
      metric: 'test.accuracy',
      better: 'higher',
    });
    assert.deepEqual(headlineOf(sampleReport({ rounds: 2, clients: 1, metric: 'test.rmse' })), {
      metric: 'test.rmse',
      better: 'lower',
    });
  });

  it('are averaged over the clients that have them', () => {
    const perClient = { a: { m: 1 }, b: { m: 2 }, c: { other: 9 }, d: { m: Number.NaN } };
    assert.equal(clientMean({ metrics: {}, perClient }, 'm'), 1.5);
    assert.equal(clientMean(undefined, 'm'), null);
  });
});
