/** Which aggregator a run may have, and what it makes of several vectors. */
import assert from 'node:assert/strict';
import { aggregate, createGathering, parseAggregator } from '../../../server/updates/aggregator.js';
import { checkAggregator } from '../../../server/updates/check-aggregator.js';
import type { RunSpec, SecureSpec } from '../../../shared/run/spec.js';
import { toySpec } from '../../support/toy.js';

const SECURE: SecureSpec = {
  valueRange: 64,
  weightCap: 1,
  adversaryFraction: 0,
  dropFraction: 0,
  survivorsMin: 2,
  phaseDeadlineMs: 60_000,
  trainMetrics: [],
  testMetrics: [],
  groupSize: 3,
};

function specOf(cohort: number, engine: Parameters<typeof toySpec>[0], secure: SecureSpec | null = SECURE): RunSpec {
  const spec = toySpec({ rounds: 1, cohort, minClients: cohort, minSurvivors: 3, maxAttempts: 1, ...engine });
  const work = secure === null ? spec.work : { ...spec.work, secure };
  return { work, engine: spec.engine };
}

const LAYOUT = [{ name: 'update/w', shape: [2], offset: 0, size: 2, weighs: 'client', divided: true }] as const;
const PARTS = [
  { mean: Float32Array.of(1, -8), weights: [1] },
  { mean: Float32Array.of(2, 4), weights: [2] },
  { mean: Float32Array.of(90, 5), weights: [1] },
];

describe('several vectors', () => {
  it('are kept as they were added, whatever becomes of the buffers that they came in', () => {
    const gathering = createGathering(LAYOUT, parseAggregator('median'));
    for (const { mean } of PARTS) {
      const buffer = mean.slice();
      const prepared = gathering.prepare(buffer, { weight: 1 });
      assert.ok(!('reason' in prepared));
      gathering.addPrepared(prepared);
      buffer.fill(7);
    }
    assert.deepEqual([...gathering.mean().values], [2, 4]);
  });

  // by example: (1 + 2*2 + 90) / 4, (-8 + 2*4 + 5) / 4; a third at each end cut off leaves the middle one
  const expected: Record<string, number[]> = {
    mean: [23.75, 1.25],
    median: [2, 4],
    'trimmed-mean:0.3': [2, 4],
  };
  for (const [name, values] of Object.entries(expected)) {
    it(`become their ${name}, gathered one by one or all at once`, () => {
      const aggregator = parseAggregator(name);
      assert.deepEqual([...aggregate(aggregator, PARTS, LAYOUT).values], values);
      const gathering = createGathering(LAYOUT, aggregator);
      for (const { mean, weights } of PARTS) {
        const update = gathering.prepare(mean, { weight: weights });
        assert.ok('values' in update);
        gathering.addPrepared(update);
      }
      assert.deepEqual([...gathering.mean().values], values);
    });
  }

  it('are too few for an order statistic when they are two', () => {
    const two = PARTS.slice(1);
    assert.throws(() => aggregate(parseAggregator('median'), two, LAYOUT), {
      code: 'failed-precondition',
      message: 'median over 2: at least 3 are needed',
    });
    assert.deepEqual([...aggregate(parseAggregator(' mean '), two, LAYOUT).values], [94 / 3, 13 / 3].map(Math.fround));
  });
});

describe('an aggregator', () => {
  const plain = (aggregator: string, engine = {}) => specOf(9, { aggregator, ...engine }, null);
  const { groupSize: _, ...oneSum } = SECURE;

  it('that needs single updates is refused with secure aggregation, with the reason', () => {
    for (const name of ['median', 'trimmed-mean', 'trimmed-mean:0.1']) {
      assert.throws(() => checkAggregator(specOf(9, { aggregator: name }, oneSum)), {
        code: 'invalid-argument',
        message: /which hides the single updates of an order statistic; or secure-groups, got "/,
      });
      assert.doesNotThrow(() => checkAggregator(specOf(9, { aggregator: name })));
      assert.doesNotThrow(() => checkAggregator(plain(name)));
    }
    assert.doesNotThrow(() => checkAggregator(specOf(9, { aggregator: 'mean' }, oneSum)));
  });

  it('that would drop nobody is refused: two groups, two survivors', () => {
    assert.throws(() => checkAggregator(specOf(8, { aggregator: 'median' })), /at least 3, got "?2 \(cohort 8/);
    assert.throws(() => checkAggregator(plain('median', { minSurvivors: 2 })), /at least 3, got 2/);
  });

  it('that nobody knows is refused', () => {
    for (const name of ['krum', 'median:2', 'mean:1', 'trimmed-mean:0.5', 'trimmed-mean:0', 'trimmed-mean:x']) {
      assert.throws(() => checkAggregator(plain(name)), { code: 'invalid-argument' });
    }
  });

  it('that would keep more than a gigabyte of updates is refused', () => {
    const spec = plain('median');
    const model = [{ name: 'w', shape: [2 ** 25] }]; // 9 x 2^27 bytes
    assert.throws(() => checkAggregator({ ...spec, work: { ...spec.work, model } }), /bytes in memory; at most/);
  });
});
