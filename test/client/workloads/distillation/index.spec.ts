/** What goes over the wire in distillation: logits of members with different networks, and a student made of those alone. */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { selectBackend } from '../../../../client/backends/index.js';
import type { TrainContext } from '../../../../client/workload.js';
import { distillation } from '../../../../client/workloads/distillation/index.js';
import type { DistillationData } from '../../../../client/workloads/distillation/phases.js';
import { taught } from '../../../../client/workloads/distillation/teaching.js';
import {
  ARCHITECTURES,
  architectureOf,
  classify,
  groupNorm,
  startNetwork,
} from '../../../../client/workloads/parts/networks.js';
import { rngFromSeed } from '../../../../shared/rng.js';
import { contributionLayout, phaseOfRound } from '../../../../shared/tensors/channels.js';
import { type HostTensors, packTensors } from '../../../../shared/tensors/params.js';

const { hyper, training } = distillation.manifest.scales.smoke;

describe('distillation', () => {
  let data: DistillationData;
  let shared: HostTensors;
  before(async () => {
    await selectBackend('cpu');
    data = await distillation.load({ hyper, rng: rngFromSeed(1) });
    shared = distillation.init(rngFromSeed(2), hyper).shared;
  });

  function context(index: number, round: number): TrainContext {
    const model = packTensors(shared).layout.map(({ name, shape }) => ({ name, shape }));
    const phase = phaseOfRound(distillation.manifest.phases!(hyper, model), round);
    const once = { weightDecay: 0, gradientClipNorm: 0, lrSchedule: 'constant', proximalMu: 0, momentum: 0 } as const;
    return {
      phase,
      hyper,
      round,
      rounds: 5,
      rng: rngFromSeed(3).split(`${index}`),
      training: { ...once, batchSize: training.batchSize, clientLr: training.clientLr, localEpochs: 1 },
      shard: { train: Int32Array.of(...Array(20).keys()), test: new Int32Array(0), index, count: 3 },
    };
  }

  it('gives each member its own kind of network, which stays, and takes from all logits of one shape', async () => {
    for (const [index, kind] of ARCHITECTURES.entries()) {
      const { contribution, private: own = {} } = await distillation.train!(shared, {}, data, context(index, 1));
      assert.equal(architectureOf(own, 'own'), kind);
      const layout = contributionLayout(context(index, 1).phase);
      assert.deepEqual(
        layout.map(({ name, shape }) => [name, shape]),
        [['logits/public', [hyper['public-examples'], 10]]],
      );
      assert.ok(contribution.values.every((value) => value >= -1 && value <= 1));
      const sum = contribution.values.subarray(0, 10).reduce((total, value) => total + value, 0);
      assert.ok(Math.abs(sum) < 1e-5, 'a row of logits has mean 0');
    }
  });

  it('teaches the student from what every client was sent: other private data, the same update', async () => {
    const logits = Float32Array.from({ length: data.open.count * 10 }, (_, i) => ((i % 10) - 4.5) / 5);
    const after = { ...shared, 'logits/public': { shape: shared['logits/public'].shape, data: logits } };
    const others = { ...data, train: { ...data.train, pixels: data.train.pixels.map((pixel) => 255 - pixel) } };
    const network = startNetwork('mlp', { side: 12, classes: 10, filters: 4, hidden: 16 }, rngFromSeed(9), 'own');
    const first = await distillation.train!(after, {}, data, context(0, 4));
    const second = await distillation.train!(after, network, others, context(0, 4));
    assert.deepEqual(second.contribution.values, first.contribution.values);
    assert.ok(first.contribution.values.some((value) => value !== 0));
  });

  it('averages the weights of the student on private labels, where that is asked for', async () => {
    const averaging = { ...hyper, exchange: 'weights' };
    const tensors = Object.entries(shared).map(([name, { shape }]) => ({ name, shape }));
    const [phase, ...others] = distillation.manifest.phases!(averaging, tensors);
    assert.deepEqual(others, []);
    assert.ok(phase.channels[0].tensors.every(({ name }) => name.startsWith('student/')));
    const about = { ...context(0, 4), hyper: averaging, phase };
    const { contribution } = await distillation.train!(shared, {}, data, about);
    const lost = { ...shared, 'logits/public': { ...shared['logits/public'], data: new Float32Array(1000).fill(0.5) } };
    const deaf = await distillation.train!(lost, {}, data, about);
    assert.deepEqual(deaf.contribution.values, contribution.values); // no teacher
    const flipped = { ...data, train: { ...data.train, pixels: data.train.pixels.map((pixel) => 255 - pixel) } };
    const other = await distillation.train!(shared, {}, flipped, about);
    assert.notDeepEqual(other.contribution.values, contribution.values); // its own images
  });

  it('counts a client without a network as wrong, and each network for its own kind alone', () => {
    tf.tidy(() => {
      const shard = { train: new Int32Array(0), test: Int32Array.of(0, 1, 2, 3), index: 0, count: 1 };
      const batch = distillation.batch(data, shard.test, { hyper, shard, split: 'test' });
      const size = { side: 12, classes: 10, filters: 4, hidden: 16 };
      const params = (tensors: HostTensors) =>
        Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, tf.tensor(t.data, [...t.shape])]));
      const before = distillation.metrics(params(shared), batch);
      assert.deepEqual([before['network.accuracy'].count, before['network.accuracy'].sum.dataSync()[0]], [4, 0]);
      const narrow = startNetwork('narrow', size, rngFromSeed(4), 'own');
      const counts = distillation.metrics(params({ ...shared, ...narrow }), batch);
      assert.deepEqual(
        ARCHITECTURES.map((kind) => counts[`${kind}.accuracy`].count),
        [0, 4, 0],
      );
    });
  });
});

describe('networks of several kinds', () => {
  before(() => selectBackend('cpu'));

  it('all answer with logits [batch, classes]', () => {
    tf.tidy(() => {
      for (const kind of ARCHITECTURES) {
        const tensors = startNetwork(kind, { side: 10, classes: 7, filters: 2, hidden: 5 }, rngFromSeed(1), 'net');
        const params = Object.fromEntries(
          Object.entries(tensors).map(([n, t]) => [n, tf.tensor(t.data, [...t.shape])]),
        );
        assert.deepEqual(classify(params, 'net', tf.ones([3, 10, 10, 1])).shape, [3, 7]);
      }
    });
  });

  it('group norm: mean 0 and variance 1 over each group and all positions', () => {
    // two positions, four channels in groups of two: group one holds 1, 3, 5, 7: mean 4, deviation √5
    const normed = tf.tidy(() => groupNorm(tf.tensor4d([1, 3, 0, 0, 5, 7, 0, 0], [1, 1, 2, 4]), 2).dataSync());
    const expected = [-3, -1, 0, 0, 1, 3, 0, 0].map((value) => value / Math.sqrt(5));
    for (const [i, value] of expected.entries()) assert.ok(Math.abs(normed[i] - value) < 1e-4);
  });

  it('a student that agrees with its teacher has nothing to learn', () => {
    tf.tidy(() => {
      const tensors = startNetwork('mlp', { side: 4, classes: 3, filters: 1, hidden: 5 }, rngFromSeed(1), 'net');
      const params = Object.fromEntries(Object.entries(tensors).map(([n, t]) => [n, tf.tensor(t.data, [...t.shape])]));
      const images = tf.ones([2, 4, 4, 1]) as tf.Tensor4D;
      const targets = tf.softmax(classify(params, 'net', images));
      assert.ok(Math.abs(taught(params, 'net', { images, targets }).dataSync()[0]) < 1e-6);
      assert.ok(
        taught(params, 'net', { images, targets: tf.tensor2d([1, 0, 0, 0, 1, 0], [2, 3]) }).dataSync()[0] > 0.1,
      );
    });
  });
});
