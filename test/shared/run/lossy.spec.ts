/** What is counted of what a contribution loses, what of it leaves, and what the sums say. */
import assert from 'node:assert/strict';
import {
  clippedWords,
  lossOf,
  lossyPart,
  nextRangeOf,
  ownLossWords,
  percent,
  takeLossy,
} from '../../../shared/run/lossy.js';
import { sumMetrics } from '../../../shared/run/metrics.js';
import { SECURE } from '../../secure/hostile-coordinator.js';

const RANGE = 2;
const secure = { ...SECURE, valueRange: RANGE, weightCap: 10 };
const privacy = { clippingBound: 1, noiseMultiplier: 1, delta: 1e-5 } as const;
/** Of four elements 3 and -9 are beyond 2, and -9 is beyond 4 and 8. */
const FIRST = { values: Float32Array.of(2, 3, -9, 0), weights: [35] };
const SECOND = { values: Float32Array.of(0, 0, 0, 1), weights: [10] };

describe('what a contribution loses', () => {
  const sum = (...all: (typeof FIRST)[]) =>
    sumMetrics(Object.fromEntries(all.map((one, i) => [`c${i}`, lossyPart({ secure }, lossOf({}, RANGE, one))])));

  it('adds up to the share of clamped elements, the capped clients, and what would have been enough', () => {
    const { lossy, metrics } = takeLossy(sum(FIRST, SECOND), { valueRange: RANGE, weightCap: 10 });
    assert.deepEqual(metrics, {});
    assert.deepEqual(lossy, {
      clamped: 2 / 8,
      cappedWeights: 1,
      valueRange: { is: 2, enough: 16 },
      weightCap: { is: 10, enough: 40 },
    });
    assert.deepEqual(takeLossy(sum(SECOND), { valueRange: RANGE, weightCap: 10 }).lossy, {
      clamped: 0,
      cappedWeights: 0,
    });
    assert.equal(takeLossy({}, { valueRange: RANGE, weightCap: 10 }).lossy, undefined);
  });

  it('moves the range only when all have counted, and enough of it was clamped', () => {
    const pooled = sum(FIRST, SECOND);
    const { lossy } = takeLossy(pooled, { valueRange: RANGE, weightCap: 10 });
    assert.equal(nextRangeOf(pooled, lossy, 2), 16);
    assert.equal(nextRangeOf(pooled, lossy, 3), undefined);
    assert.equal(nextRangeOf(pooled, { ...lossy, clamped: 0.009 }, 2), undefined);
    assert.equal(nextRangeOf({}, undefined, 2), undefined);
  });

  it('leaves nobody’s site under privacy, and in the clear, whatever the plan declares', () => {
    const loss = lossOf({}, RANGE, FIRST);
    for (const mode of ['example', 'central', 'local', 'distributed'] as const) {
      assert.deepEqual(lossyPart({ secure, privacy: { mode, ...privacy } }, loss), {});
    }
    assert.deepEqual(lossyPart({}, loss), {});
    assert.equal(lossOf({ privacy: { mode: 'distributed', ...privacy } }, RANGE, FIRST), undefined);
  });

  it('is told to the site in words, with the key and the value', () => {
    assert.deepEqual(ownLossWords({ secure }, lossOf({}, RANGE, FIRST), RANGE), [
      '50 % of this update was beyond value-range 2 and was clamped: value-range would have to be about 9.5',
      'this site counts as 10 examples and has 35: weight-cap would have to be 35',
    ]);
    assert.deepEqual(ownLossWords({ secure }, lossOf({}, RANGE, SECOND), RANGE), []);
    const work = { privacy: { mode: 'central', ...privacy } } as const;
    // the norm of (2, 3, -9) is the root of 94: 9.70, of which a bound of 1 leaves 10.3 %
    assert.match(
      clippedWords({ work }, FIRST.values)!,
      /^the norm of this update is 9\.7, and clipping-bound 1 left 10\.3 % /,
    );
    assert.equal(clippedWords({ work: { privacy: { ...work.privacy, adaptive: true } } }, FIRST.values), undefined);
    assert.equal(clippedWords({ work: {} }, FIRST.values), undefined);
  });

  it('is never said to be nothing', () => {
    assert.deepEqual([0, 1e-9, 0.0123, 1].map(percent), ['0 %', 'less than 0.1 %', '1.23 %', '100 %']);
  });
});
