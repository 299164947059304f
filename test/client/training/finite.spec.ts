/** Numbers that are not finite: found wherever they are in a contribution, and replaced by zeros of the right weight. */
import assert from 'node:assert/strict';
import { finiteOr, notFiniteIn, zerosFor } from '../../../client/training/finite.js';
import { FlError } from '../../../shared/errors.js';
import type { Contribution } from '../../../shared/tensors/channels.js';

const LAYOUT = [
  { name: 'w', shape: [9], offset: 0, size: 9 },
  { name: 'b', shape: [2], offset: 9, size: 2 },
];
const GOOD: Contribution = {
  ...{ values: new Float32Array(11), weights: [2.5, 0], metrics: { loss: { sum: [1, 2], count: 3 } } },
};
const faultOf = (change: Partial<Contribution>) => notFiniteIn('update', LAYOUT, { ...GOOD, ...change });

describe('a contribution', () => {
  it('of finite numbers is fine, though a weight is 0 or no integer', () => assert.equal(faultOf({}), undefined));

  it('is told by the tensor in which it is not finite, wherever it is', () => {
    for (let i = 0; i < 11; i++) {
      const found = faultOf({ values: GOOD.values.with(i, Number.NaN) });
      assert.equal(found, `update: a value of ${i < 9 ? 'w' : 'b'} is not finite`);
    }
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.equal(faultOf({ weights: [1, bad] }), 'update: a weight is not finite');
      assert.match(faultOf({ metrics: { loss: { sum: [1, bad], count: 3 } } })!, /metric "loss" is not finite/);
      assert.match(faultOf({ metrics: { loss: { sum: [1, 2], count: bad } } })!, /metric "loss" is not finite/);
    }
  });

  it('is refused when it is not what was declared', () => {
    assert.throws(() => faultOf({ values: new Float32Array(10) }), /update: expected 11 values, got 10/);
    assert.throws(() => faultOf({ weights: [1] }), /update: expected 2 weights, got 1/);
    assert.throws(() => faultOf({ weights: [1, -0.5] }), /weights that are finite and >= 0, got -0.5/);
    assert.throws(() => faultOf({ weights: [1, Number.NEGATIVE_INFINITY] }), /weights that are finite/);
  });

  it('of zeros weighs as it would have, by its examples where its weights are not known', () => {
    const zeros = { values: new Float32Array(11), metrics: {} };
    assert.deepEqual(zerosFor(LAYOUT, 7, [3, 0.5]), { ...zeros, weights: [3, 0.5] });
    for (const weights of [[], [3], [3, Number.NaN]]) {
      assert.deepEqual(zerosFor(LAYOUT, 7, weights), { ...zeros, weights: [7, 7] });
    }
  });

  it('that fails for another reason fails', async () => {
    const failing = (code: 'failed-precondition' | 'aborted') =>
      finiteOr(() => Promise.reject(new FlError(code, 'why')));
    assert.deepEqual(await failing('failed-precondition'), { notFinite: 'why' });
    await assert.rejects(failing('aborted'), /why/);
    assert.deepEqual(await finiteOr(async () => 5), { result: 5 });
  });
});
