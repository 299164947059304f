/** Dynamic Weight Average and ownership, against the formulas of Liu, Johns and Davison 2019. */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { selectBackend } from '../../../../client/backends/index.js';
import { uploadTensors } from '../../../../client/training/evaluate.js';
import { mtan } from '../../../../client/workloads/mtan/index.js';
import { FIGURES } from '../../../../client/workloads/mtan/measures.js';
import { rngFromSeed } from '../../../../shared/rng.js';
import { figuresOf } from '../../../../shared/run/figures.js';
import type { Hyper } from '../../../../shared/run/spec.js';
import type { HostTensors } from '../../../../shared/tensors/params.js';

const HYPER = mtan.manifest.scales.smoke.hyper;
const RNG = rngFromSeed(5);
/** One site each that owns only segmentation, depth, normals. */
const SITES = [0, 1, 2];

describe('multi-task attention', () => {
  let data: Awaited<ReturnType<typeof mtan.load>>;
  before(async () => {
    await selectBackend('cpu');
    data = await mtan.load({ hyper: HYPER, rng: RNG });
  });

  /** The loss of a few pictures of a site, with these losses of the last two rounds. */
  function lossOf(
    site: number,
    hyper: Hyper,
    history: Readonly<Record<string, readonly [number, number]>> = {},
  ): number {
    const { shared } = mtan.init(RNG, hyper);
    for (const [task, values] of hyper.weighting === 'dwa' ? Object.entries(history) : []) {
      shared[`losses/${task}`] = { shape: [2], data: Float32Array.from(values) };
    }
    const shard = { train: Int32Array.of(site, site + 6), test: new Int32Array(0), index: 0, count: 1 };
    return tf.tidy(() => {
      const batch = mtan.batch(data, shard.train, { hyper, shard, split: 'train' });
      return mtan.loss!(uploadTensors(shared), batch, RNG).dataSync()[0];
    });
  }

  it('weighs a task whose loss falls fast less than the others', () => {
    // w = L(t-1)/L(t-2) = 1/2, 1, 1 at T = 2: exp(0.25) = 1.28403, exp(0.5) = 1.64872 twice, in all 4.58147.
    // lambda = 3 x 1.28403 / 4.58147 = 0.84080, and 3 x 1.64872 / 4.58147 = 1.07960 twice.
    const history = { segmentation: [0.05, 0.1], depth: [0.2, 0.2], normals: [0.03, 0.03] } as const;
    for (const [site, lambda] of [
      [0, 0.8408],
      [1, 1.0796],
      [2, 1.0796],
    ]) {
      const equal = lossOf(site, { ...HYPER, weighting: 'equal' });
      assert.ok(Math.abs(lossOf(site, HYPER, history) / equal - lambda) < 1e-4);
    }
  });

  it('weighs all alike until there are losses of two rounds', () => {
    for (const site of SITES) {
      const equal = lossOf(site, { ...HYPER, weighting: 'equal' });
      const oneRound = { segmentation: [0.1, 0], depth: [0.4, 0], normals: [0.2, 0] } as const;
      for (const history of [{}, oneRound]) assert.ok(Math.abs(lossOf(site, HYPER, history) / equal - 1) < 1e-5);
    }
  });

  it('gives no weight to the tensors of tasks that a client does not own, and passes losses on', async () => {
    const { shared } = mtan.init(RNG, HYPER);
    shared['losses/depth'] = { shape: [2], data: Float32Array.of(0.3, 0.1) };
    const train = Int32Array.of(1, 7); // two pictures of site 1
    const shard = { train, test: new Int32Array(0), index: 0, count: 1 };
    const context = { hyper: HYPER, shard, split: 'train', shared, privateTensors: {}, data, rng: RNG } as const;
    const { tensors = {}, weights = {} } = await mtan.contribute!(context);
    for (const [name, weight] of Object.entries(weights)) assert.equal(weight, name.includes('depth') ? 2 : 0, name);
    assert.ok(
      Object.keys(shared).every(
        (name) => name.startsWith('trunk/') || name.startsWith('losses/') || `update/${name}` in weights,
      ),
    );
    // Sixteenths: the loss of this round, and what was the last one's until now.
    const expected = lossOf(1, { ...HYPER, weighting: 'equal' }) / 16;
    const { data: sent } = (tensors as HostTensors)['losses/depth'];
    assert.ok(Math.abs(sent[0] - expected) < 1e-6);
    assert.equal(sent[1], Math.fround(0.3));
  });

  it('shares nothing between tasks in single networks', () => {
    const names = Object.keys(mtan.init(RNG, { ...HYPER, network: 'single' }).shared);
    assert.ok(names.every((name) => /^(segmentation|depth|normals|losses)\//.test(name)));
  });

  it('counts intersections over unions, and scores only what was tested', () => {
    // Two classes of one pixel in two: truth 0 said 0, truth 1 said 0. IoU: 1/2, 0, and 1 for classes that do not occur.
    const confusion = new Array(16).fill(0);
    confusion[0] = 0.5;
    confusion[4] = 0.5;
    const none = { sum: [0, 0, 0], count: 1 };
    const sums = {
      segmentation: { sum: confusion, count: 1 },
      depth: none,
      normals: { sum: [1, 3, 4], count: 4 },
    };
    const figures = figuresOf(sums, 'test', { formulas: FIGURES }).metrics;
    assert.deepEqual(figures, {
      ...{ 'test.miou': 0.625, 'test.pixel-accuracy': 0.5, 'test.angle': 45, 'test.angle-within': 0.75 },
      'test.score': 0.6875,
    });
  });
});
