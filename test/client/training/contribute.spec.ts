/** The engine's update and the workload's addition become one contribution, in the order of the phase. */
import assert from 'node:assert/strict';
import { complete, updateOnly } from '../../../client/training/contribute.js';
import type { PhaseSpec } from '../../../shared/tensors/channels.js';

const PHASE: PhaseSpec = {
  name: 'train',
  channels: [
    { name: 'counts', tensors: [{ name: 'seen', shape: [2] }], reduce: 'sum', weight: 'clients' },
    {
      name: 'update',
      tensors: [
        { name: 'w', shape: [2] },
        { name: 'b', shape: [1] },
      ],
      reduce: 'mean',
      weight: 'per-tensor',
    },
  ],
};
/** As local SGD leaves it: w, then b, and 5 examples. */
const UPDATE = { values: Float32Array.of(1, 2, 3), weights: [5, 5], metrics: {} };
const SEEN = { 'counts/seen': { shape: [2], data: Float32Array.of(7, 8) } };

describe('a contribution of several channels', () => {
  it('has every tensor in its place, and weighs by examples what is not weighed otherwise', () => {
    const { values, weights } = complete(PHASE, UPDATE, { tensors: SEEN, weights: { 'update/b': 0 } });
    assert.deepEqual([...values], [7, 8, 1, 2, 3]);
    assert.deepEqual(weights, [5, 5, 0]);
  });

  it('is trained as if the update were alone', () => {
    assert.deepEqual(
      updateOnly(PHASE).channels.map(({ name }) => name),
      ['update'],
    );
  });

  it('lacks nothing, and has nothing that was not declared', () => {
    assert.throws(() => complete(PHASE, UPDATE, {}), /contribution to counts\/seen: expected 2 values, got undefined/);
    const short = { 'counts/seen': { shape: [1], data: Float32Array.of(7) } };
    assert.throws(() => complete(PHASE, UPDATE, { tensors: short }), /expected 2 values, got 1/);
    assert.throws(() => complete(PHASE, UPDATE, { tensors: SEEN, weights: { 'update/c': 1 } }), /got "?update\/c/);
  });
});
