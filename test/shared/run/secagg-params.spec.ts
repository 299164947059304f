/** What coordinator and client compute alike for a secure aggregation: numbers, ids, groups. */
import assert from 'node:assert/strict';
import { groupPlansOf, leastSumOf } from '../../../shared/run/secagg-groups.js';
import { checkSecureSpec, flattenMetrics, secaggSetupOf, unflattenMetrics } from '../../../shared/run/secagg-params.js';
import { SECURE } from '../../secure/hostile-coordinator.js';
import { planFor } from '../../server/secagg/cohort.js';
import { toySpec } from '../../support/toy.js';

const NAMES = ['c1', 'c2', 'c3'];

describe('the metrics in a masked vector', () => {
  const metrics = [
    { name: 'loss', size: 1, max: 4 },
    { name: 'hits', size: 2, max: 1 },
  ];
  const quantize = { valueRange: 1, quantizeBits: 8, weightCap: 16, metricBounds: [64, 16, 16, 16, 16] };
  const setup = { metrics, countCap: 16, quantize };

  it('count a client as the cap at most, in figure and count, and nothing where nothing was measured', () => {
    const measured = { loss: { sum: [64], count: 32 }, hits: { sum: [1, 2], count: 8 } };
    assert.deepEqual(flattenMetrics(setup, measured), [32, 16, 1, 2, 8]);
    assert.deepEqual(flattenMetrics(setup, { hits: measured.hits }), [0, 0, 1, 2, 8]);
    assert.throws(
      () => flattenMetrics(setup, { hits: { sum: [1], count: 1 } }),
      /metric hits: expected "?2 sums"?, got 1/,
    );
  });

  it('come apart as they were put together', () => {
    const apart = { loss: { sum: [1], count: 2 }, hits: { sum: [3, 4], count: 5 } };
    // of two clients, each of whom may be wrong by a step: 4 * 16 / 127, and 1 * 16 / 127
    const { metrics: got, errors, tooLarge } = unflattenMetrics(setup, [1, 2, 3, 4, 5], 2);
    assert.deepEqual([got, tooLarge], [apart, 0]);
    assert.deepEqual(errors, { loss: 128 / 127, hits: 32 / 127 });
  });
});

describe('the encoding of a round', () => {
  it('is the finest whose sum over the heaviest clients does not wrap', () => {
    const bits = (weightCap: number) => secaggSetupOf(planFor(NAMES, { secure: { weightCap } })).quantize.quantizeBits;
    // 3 · cap · (2^(b-1) - 1) < 2^31
    assert.deepEqual([16, 1000, 85, 86].map(bits), [24, 20, 24, 23]); // 85.3 = 2^31 / (3 · 2^23)
  });

  it('bounds a metric by its largest value times the examples that count', () => {
    const { quantize } = secaggSetupOf(planFor(NAMES, { secure: { weightCap: 10 } }));
    assert.deepEqual(quantize.metricBounds, [16 * 10, 10]);
  });

  it('has an id that the clipping bound and the value range of the round are in', () => {
    const hash = (change: object) =>
      Buffer.from(secaggSetupOf({ ...planFor(NAMES), ...change }).aggregation.planHash).toString('hex');
    const hashes = [
      {},
      { clippingBound: 1 },
      { clippingBound: 2 },
      { valueRange: 2 },
      { attempt: 2 },
      { kind: 'evaluate' },
      { work: { ...planFor(NAMES).work, seed: 99 } },
    ].map(hash);
    assert.equal(new Set(hashes).size, 7);
  });

  it('asks for a roster of three at least, and weighs no client in a judgement', () => {
    const plan = planFor(NAMES, { secure: { weightCap: 10, survivorsMin: 2 } });
    const { params, quantize } = secaggSetupOf(plan);
    assert.deepEqual([params.cohortMin, params.survivorsMin, quantize.weightCap], [3, 2, 10]);
    assert.equal(secaggSetupOf({ ...plan, kind: 'evaluate' }).quantize.weightCap, 1);
  });

  it('holds all that are invited, those in reserve too', () => {
    const { work, engine } = toySpec({ cohort: 4 });
    const spec = { work: { ...work, secure: { ...SECURE, weightCap: 2 ** 22 } }, engine };
    checkSecureSpec(spec); // 4 · 2^22 · 127 < 2^31
    const more = { ...spec, engine: { ...engine, overSelection: 0.5 } };
    assert.throws(() => checkSecureSpec(more), {
      message: /cohort x weight-cap: expected "?at most 16909320"?, got 25165824/,
    });
  });
});

describe('groups of a cohort', () => {
  const plan = (count: number, change: { kind?: 'evaluate' } = {}) =>
    planFor(
      Array.from({ length: count }, (_, i) => `c${i}`),
      { secure: { groupSize: 3 }, ...change },
    );
  const members = (of: ReturnType<typeof plan>) => groupPlansOf(of).map(({ secure }) => Object.keys(secure!.enrolled));

  it('have nonces of their own, and are not chosen by the nonce of all', () => {
    const eleven = plan(11);
    assert.equal(new Set(groupPlansOf(eleven).map(({ secure }) => secure!.nonce)).size, 3);
    const other = { ...eleven, secure: { ...eleven.secure!, nonce: 'f'.repeat(32) } };
    assert.deepEqual(members(other), members(eleven));
    assert.notDeepEqual(members({ ...eleven, attempt: 2 }), members(eleven));
    assert.equal(groupPlansOf(eleven), groupPlansOf(eleven), 'a cohort is divided once');
  });

  it('are as large as their smallest, which is the cohort itself where that is smaller than a group', () => {
    assert.deepEqual(
      [11, 9, 8, 5, 3, 2].map((count) => leastSumOf(plan(count))),
      [3, 3, 4, 5, 3, 2],
    );
  });

  it('are none in an evaluation', () => {
    const evaluation = plan(9, { kind: 'evaluate' });
    assert.deepEqual(groupPlansOf(evaluation), [evaluation]);
    assert.equal(leastSumOf(evaluation), 9);
  });
});
