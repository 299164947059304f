/** What a specification says of figures, and what a workload's code is recognised to do. */
import assert from 'node:assert/strict';
import type { Workload } from '../../../client/workload.js';
import { evaluateFormula, type Formula } from '../../../shared/run/formula.js';
import type { SumMetrics } from '../../../shared/run/metrics.js';
import { byCodeWords, figuresOfWorkload, twiceWords } from '../../../simulations/config/figures.js';
import { recognise } from '../../../simulations/config/recognise.js';
import prices from '../../fixtures/workloads/prices.js';

const METRICS = [
  { name: 'se', size: 1, max: 1 },
  { name: 'confusion', size: 4, max: 1 },
];
const SUMS: SumMetrics = { se: { sum: [18], count: 8 }, confusion: { sum: [5, 3, 2, 6], count: 16 } };

function withManifest(changed: object, finish?: Workload['finish']): Workload {
  return { ...prices, manifest: { ...prices.manifest, ...changed }, finish } as Workload;
}

describe('a figure that is made in code', () => {
  const done: Readonly<Record<string, (sums: SumMetrics) => number>> = {
    'a root': ({ se }) => Math.sqrt(se.sum[0] / se.count),
    'an exponential': ({ se }) => Math.exp(se.sum[0] / se.count),
    'bits of a loss': ({ se }) => se.sum[0] / se.count / Math.LN2,
    'a percentage of errors': ({ se }) => 100 * (1 - se.sum[0] / se.count),
    'a share of two sums': ({ confusion: { sum } }) => sum[1] / sum[3],
    'a share of all': ({ confusion: { sum, count } }) => sum[2] / count,
    decibels: ({ se }) => -10 * Math.log10(se.sum[0] / se.count),
  };
  for (const [name, made] of Object.entries(done)) {
    it(`is recognised where it is ${name}, and is the same at other sums`, () => {
      const { formulas } = recognise((sums) => ({ figure: made(sums) }), METRICS);
      const got = evaluateFormula(formulas.figure, SUMS)!;
      assert.ok(Math.abs(got - made(SUMS)) <= 1e-9 * Math.abs(got), `${got} for ${made(SUMS)}`);
    });
  }

  it('is by code alone where it is anything else, and never something near it', () => {
    const precision = ({ confusion: { sum } }: SumMetrics) => ({ f: sum[0] / (sum[0] + sum[1]) });
    assert.deepEqual(recognise(precision, METRICS), { names: ['f'], formulas: {} });
    const bent = ({ se }: SumMetrics) => ({ f: Math.sqrt(se.sum[0] / se.count) + 1e-6 * se.count });
    assert.deepEqual(recognise(bent, METRICS).formulas, {});
    const throwing = () => {
      throw new Error('no');
    };
    assert.deepEqual(recognise(throwing, METRICS), { names: [], formulas: {} });
  });

  it('is told of before a run begins', () => {
    const workload = withManifest({}, ({ 'squared-error': { sum, count } }) => ({ rmse: sum[0] ** 1.5 / count }));
    const [words] = byCodeWords(figuresOfWorkload(workload, prices.manifest.scales.smoke.hyper));
    assert.match(
      words,
      /^test\.rmse: .*no deployed run shows this headline: say it as a formula in manifest\.figures$/,
    );
  });
});

describe('the figures of a specification', () => {
  const { hyper } = prices.manifest.scales.smoke;
  const MSE: Formula = ['div', ['sum', 'squared-error'], ['count', 'squared-error']];

  it('are the headline, and formulas from the manifest and from code', () => {
    const workload = withManifest({ figures: () => ({ mse: MSE }) }, prices.finish);
    assert.deepEqual(figuresOfWorkload(workload, hyper).spec, {
      headline: { metric: 'test.rmse', better: 'lower' },
      formulas: { rmse: ['sqrt', MSE], mse: MSE },
    });
  });

  it('are refused with the name of a raw metric, with a metric that nobody measures, and with what is no formula', () => {
    const refuses = (figures: object, pattern: RegExp) =>
      assert.throws(() => figuresOfWorkload(withManifest({ figures: () => figures }), hyper), pattern);
    refuses(
      { 'squared-error': MSE },
      /figure squared-error: expected one figure of this name, .*: rename one of the two$/,
    );
    refuses(
      { rmse: ['sqrt', ['sum', 'se']] },
      /manifest\.figures rmse.*expected metrics of maskedMetrics \(squared-error\), got "?se/,
    );
    refuses({ rmse: ['root', MSE] }, /manifest\.figures/);
  });

  it('have a name twice when code gives that of a raw metric', () => {
    const workload = withManifest({}, () => ({ 'squared-error': 1 }));
    const figures = figuresOfWorkload(workload, hyper);
    assert.deepEqual(figures.twice, ['squared-error']);
    assert.match(twiceWords(workload, figures)[0], /^WARNING .* Here test\.squared-error is what finish\(\) gives/);
    const headline = { metric: 'test.squared-error', better: 'lower' } as const;
    const first = { ...workload, manifest: { ...workload.manifest, headline } };
    assert.match(twiceWords(first, figures)[0], / Here the headline, test\.squared-error, is what finish\(\) gives/);
  });
});
