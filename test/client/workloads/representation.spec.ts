/** What SimCLR is made of beside its loss: views, the start of a round, and how good an embedding is. */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { selectBackend } from '../../../client/backends/index.js';
import { principalPlane, project } from '../../../client/pictures/principal.js';
import { memoryOf, mergedStart } from '../../../client/workloads/simclr/fed-ema.js';
import { linearScores, neighbourVotes } from '../../../client/workloads/simclr/probes.js';
import { viewOf } from '../../../client/workloads/simclr/views.js';
import { rngFromSeed } from '../../../shared/rng.js';

const AS_IT_IS = { cropLeast: 1, mirror: false, contrast: 0, eraseMost: 0 };

function valuesOf(tensor: tf.Tensor): number[] {
  return Array.from(tensor.dataSync());
}

describe('views of an image', () => {
  before(() => selectBackend('cpu'));
  beforeEach(() => tf.engine().startScope());
  afterEach(() => tf.engine().endScope());

  const image = [1, 2, 3, 4, 5, 6, 7, 8, 9];

  it('are the image itself when nothing is asked for', () => {
    assert.deepEqual(valuesOf(viewOf(tf.tensor4d(image, [1, 3, 3, 1]), AS_IT_IS, rngFromSeed(1))), image);
  });

  it('are mirrored half of the time, left to right', () => {
    const many = tf.tile(tf.tensor4d(image, [1, 3, 3, 1]), [100, 1, 1, 1]) as tf.Tensor4D;
    const views = valuesOf(viewOf(many, { ...AS_IT_IS, mirror: true }, rngFromSeed(1)));
    const firstRows = Array.from({ length: 100 }, (_, i) => views.slice(9 * i, 9 * i + 3).join());
    const mirrored = firstRows.filter((row) => row === '3,2,1').length;
    assert.equal(firstRows.filter((row) => row === '1,2,3').length, 100 - mirrored);
    assert.ok(mirrored > 30 && mirrored < 70, `${mirrored}`); // 4 standard deviations of a fair coin, sqrt(100)/2 = 5
  });

  it('of a crop are made of nothing but its pixels: an even image stays even', () => {
    const even = tf.fill([20, 6, 6, 1], 0.5) as tf.Tensor4D;
    for (const value of valuesOf(viewOf(even, { ...AS_IT_IS, cropLeast: 0.3 }, rngFromSeed(2)))) {
      assert.ok(Math.abs(value - 0.5) < 1e-6);
    }
  });

  it('leave darkness dark, however bright the rest is made', () => {
    const dark = tf.zeros([20, 6, 6, 1]) as tf.Tensor4D;
    assert.ok(valuesOf(viewOf(dark, { ...AS_IT_IS, contrast: 1 }, rngFromSeed(3))).every((value) => value === 0));
  });
});

describe('where a round begins', () => {
  const model = (...values: number[]) => ({ w: { shape: [2], data: Float32Array.from(values) } });

  it('at the global model, for a client that has never trained', () => {
    assert.deepEqual(mergedStart(model(3, 4), memoryOf(model(0, 0)), 0.5).model, model(3, 4));
  });

  it('at the weight asked for in its second round, and then by how far the two are apart', () => {
    const first = mergedStart(model(0, 0), memoryOf(model(9, 9)), 0.5);
    // second round: own (0, 0), global (6, 8), distance 10: half way, and a scale of 0.5 / 10
    const second = mergedStart(model(6, 8), memoryOf(model(0, 0), first.scale), 0.5);
    assert.deepEqual(second.model, model(3, 4));
    assert.ok(Math.abs(second.scale - 0.05) < 1e-9);
    // third: distance 5, so a quarter of the own (0, 0)
    const third = mergedStart(model(3, 4), memoryOf(model(0, 0), second.scale), 0.5);
    assert.deepEqual(third.model, model(2.25, 3));
    // 40 apart would be a share of 2: it is all its own
    assert.deepEqual(mergedStart(model(24, 32), memoryOf(model(0, 0), 0.0625), 0.5).model, model(0, 0));
  });

  it('at the global model in every round, with weight 0', () => {
    const { model: start, scale } = mergedStart(model(6, 8), memoryOf(model(0, 0), -1), 0);
    assert.deepEqual(start, model(6, 8));
    assert.deepEqual(mergedStart(model(6, 8), memoryOf(model(0, 0), scale), 0).model, model(6, 8));
  });
});

describe('the worth of an embedding', () => {
  before(() => selectBackend('cpu'));
  beforeEach(() => tf.engine().startScope());
  afterEach(() => tf.engine().endScope());

  /** Three of class 0 to the right, three of class 1 upwards. */
  const bank = () => ({
    features: tf.tensor2d([4, 0, 4, 0.1, 4, -0.1, 0, 4, 0.1, 4, -0.1, 4], [6, 2]),
    labels: tf.tensor2d([1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1], [6, 2]),
  });
  const queries = () => tf.tensor2d([5, 1, 1, 5], [2, 2]);

  it('by neighbours: only as many vote as are asked, each for its class', () => {
    const votes = valuesOf(neighbourVotes(queries(), bank(), 3));
    assert.ok(votes[0] > 0 && votes[3] > 0);
    assert.deepEqual([votes[1], votes[2]], [0, 0]);
  });

  it('by neighbours: with all voting, the nearer count more', () => {
    const votes = valuesOf(neighbourVotes(queries(), bank(), 6));
    assert.ok(votes[0] > votes[1] && votes[3] > votes[2]);
  });

  it('by a line: ridge regression, as solved by hand', () => {
    // x = (-1, 1), labels (1, 0) and (0, 1): standardised as they are; W = (x²mean + 0.1)⁻¹ · (∓1/2), intercept 0.5 / 1.1
    const two = { features: tf.tensor2d([-1, 1], [2, 1]), labels: tf.tensor2d([1, 0, 0, 1], [2, 2]) };
    const scores = valuesOf(linearScores(tf.tensor2d([2], [1, 1]), two));
    const expected = [0.5 / 1.1 - 1 / 1.1, 0.5 / 1.1 + 1 / 1.1];
    for (const [i, score] of scores.entries()) assert.ok(Math.abs(score - expected[i]) < 1e-4, `${scores}`);
  });

  it('on a map: along the direction in which the points differ most, then the next', () => {
    // along (3, 4, 0) / 5 with deviation 10, along the third axis with 1
    const rows = Float32Array.of(6, 8, 1, -6, -8, 1, 6, 8, -1, -6, -8, -1);
    const plane = principalPlane(rows, 3);
    const [x, y] = project(plane, [3, 4, 2]);
    assert.ok(Math.abs(x - 5) < 1e-6 && Math.abs(y - 2) < 1e-6, `${x}, ${y}`);
  });

  it('on a map: points that do not differ all lie in the middle', () => {
    assert.deepEqual(project(principalPlane(Float32Array.of(1, 2, 1, 2), 2), [1, 2]), [0, 0]);
  });
});
