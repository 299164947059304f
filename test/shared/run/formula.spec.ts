/** Figures as data: what a formula gives, what it cannot give, and what is none. */
import assert from 'node:assert/strict';
import { figuresOf } from '../../../shared/run/figures.js';
import { evaluateFormula, type Formula, formulaSchema, namesIn } from '../../../shared/run/formula.js';

const SUMS = { se: { sum: [400], count: 4 }, hits: { sum: [3, 1, 0, 4], count: 8 } };
const MEAN: Formula = ['div', ['sum', 'se'], ['count', 'se']];

describe('a formula', () => {
  const given: readonly (readonly [Formula, number | undefined])[] = [
    [2.5, 2.5],
    [['sqrt', MEAN], 10], // 400 / 4 = 100
    [['sum', 'hits'], 8],
    [['sum', 'hits', 0, 3], 7],
    [['sub', 10, 1, 2], 7],
    [['mul', 2, 3, 4], 24],
    [['exp', ['log', 5]], 5],
    [['abs', ['sub', 1, 4]], 3],
    [['min', 3, 2], 2],
    [['max', 3, 2], 3],
    [['when', 2, 1, 7], 7],
    [['when', 1, 1, 7], undefined],
    [['div', 1, 0], undefined],
    [['sqrt', -1], undefined],
    [['sum', 'nobody'], undefined],
    [['sum', 'hits', 9], undefined],
    [['count', 'toString'], undefined],
    [['add', 1, ['div', 1, 0]], undefined],
    [['or', ['div', 1, 0], 4], 4],
    [['mean', 1, ['div', 1, 0], 3], 2],
    [['mean', ['div', 1, 0]], undefined],
  ];
  for (const [formula, value] of given) {
    it(`${JSON.stringify(formula)} is ${value}`, () => {
      assert.ok(formulaSchema.safeParse(formula).success);
      const got = evaluateFormula(formula, SUMS);
      if (value === undefined) assert.equal(got, undefined);
      else assert.ok(Math.abs(got! - value) < 1e-12, `${got}`);
    });
  }

  it('names the metrics that it reads', () => {
    assert.deepEqual(namesIn(['div', ['sum', 'a', 1], ['mul', 2, ['count', 'b']]]), ['a', 'b']);
  });

  it('is nothing else, and nothing without end', () => {
    const nested = (depth: number): unknown => (depth === 0 ? 1 : ['sqrt', nested(depth - 1)]);
    assert.ok(formulaSchema.safeParse(nested(30)).success);
    const wrong = [
      ['eval', 'process'],
      ['sum'],
      ['sum', 'a', -1],
      ['div', 1],
      ['sqrt', 1, 2],
      'se',
      Number.NaN,
      null,
      nested(2000),
      ['add', ...Array<number>(5000).fill(1)],
    ];
    for (const formula of wrong)
      assert.equal(formulaSchema.safeParse(formula).success, false, JSON.stringify(formula)?.slice(0, 80));
  });
});

describe('the figures of sums', () => {
  it('are means and formulas, a formula before the mean of its name', () => {
    const { metrics, resolution } = figuresOf(SUMS, 'test', { formulas: { rmse: ['sqrt', MEAN], se: 1 } });
    assert.deepEqual([metrics, resolution], [{ 'test.se': 1, 'test.rmse': 10 }, undefined]);
  });

  it('have the resolution of their sums, through formulas; what is below it is left out and named', () => {
    // The sum may be wrong by 4: the mean by 1, and the root of 100 by sqrt(100) - sqrt(99) = 0.0501 at most.
    const formulas = { rmse: ['sqrt', MEAN] as const };
    const seen = figuresOf({ se: SUMS.se }, 'test', { formulas, errors: { se: 4 } });
    assert.deepEqual(seen.metrics, { 'test.se': 100, 'test.rmse': 10 });
    assert.equal(seen.resolution?.['test.se'], 1);
    assert.ok(Math.abs(seen.resolution!['test.rmse'] - (10 - Math.sqrt(99))) < 1e-12);
    const unseen = figuresOf({ se: { sum: [0], count: 4 } }, 'test', { formulas, errors: { se: 4 } });
    assert.deepEqual(unseen, { metrics: {}, resolution: { 'test.se': 1, 'test.rmse': 1 } });
  });

  it('are zero where they were measured as zero exactly', () => {
    const { metrics } = figuresOf({ accuracy: { sum: [0], count: 4 } }, 'test', { errors: { accuracy: 2 ** -50 } });
    assert.deepEqual(metrics, { 'test.accuracy': 0 });
  });
});
