/**
 * Local SGD on a model whose steps can be done by hand: one parameter w, loss (w − x)² / 2 averaged over the batch, so
 * that the gradient of a batch is w − mean(x).
 */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { selectBackend } from '../../../client/backends/index.js';
import { type LocalSgdInput, learningRateOf, localSgd } from '../../../client/training/local-sgd.js';
import { defineWorkload, type Shard, type Workload } from '../../../client/workload.js';
import { FlError } from '../../../shared/errors.js';
import { rngFromSeed } from '../../../shared/rng.js';
import type { TrainingSpec } from '../../../shared/run/spec.js';
import { updateChannel } from '../../../shared/tensors/channels.js';

const PLAIN: TrainingSpec = {
  localSteps: 1,
  batchSize: 10,
  clientLr: 0.5,
  momentum: 0,
  weightDecay: 0,
  gradientClipNorm: 0,
  lrSchedule: 'constant',
  proximalMu: 0,
};

/** `data` are the targets x; `w` is shared, and `own`, when there is one, is private and learns the same targets. */
const parabola = defineWorkload<readonly number[]>({
  manifest: { name: 'parabola' } as Workload['manifest'],
  init: () => ({ shared: { w: { shape: [1], data: Float32Array.of(0) } } }),
  load: async () => [],
  examples: (data) => ({ train: { count: data.length }, test: { count: 0 } }),
  batch: (data, indices) => ({ x: tf.tensor1d(Array.from(indices, (i) => data[i])) }),
  loss: (params, { x }) => {
    const terms = Object.values(params).map((w) => tf.mean(tf.square(tf.sub(w, x))));
    return tf.mul(tf.addN(terms), 0.5);
  },
  metrics: () => ({}),
});

const scalar = (value: number) => ({ shape: [1], data: Float32Array.of(value) });

function input(
  training: Partial<TrainingSpec>,
  {
    targets = [2],
    from = 4,
    ...rest
  }: Partial<LocalSgdInput<readonly number[]>> & { targets?: number[]; from?: number } = {},
): LocalSgdInput<readonly number[]> {
  const shard: Shard = { train: Int32Array.from(targets.keys()), test: new Int32Array(0), index: 0, count: 1 };
  return {
    workload: parabola,
    data: targets,
    hyper: {},
    shard,
    phase: { name: 'train', channels: [updateChannel([{ name: 'w', shape: [1] }])] },
    training: { ...PLAIN, ...training },
    round: 1,
    rounds: 1,
    shared: { w: scalar(from) },
    privateTensors: {},
    rng: rngFromSeed(7),
    ...rest,
  };
}

async function update(...args: Parameters<typeof input>): Promise<number> {
  const { contribution } = await localSgd(input(...args));
  return contribution.values[0];
}

describe('the arithmetic of local SGD', () => {
  before(() => selectBackend('cpu'));

  it('steps against the gradient', async () => {
    // gradient 4 − 2 = 2; w = 4 − 0.5 · 2 = 3; update −1
    assert.equal(await update({}), -1);
    // then gradient 1, w = 2.5; update −1.5
    assert.equal(await update({ localSteps: 2 }), -1.5);
  });

  it('accumulates momentum: v = m·v + g', async () => {
    // v = 2, w = 3; v = 0.5 · 2 + 1 = 2, w = 2; v = 0.5 · 2 + 0 = 1, w = 1.5; update −2.5
    assert.equal(await update({ localSteps: 3, momentum: 0.5 }), -2.5);
  });

  it('starts every round without momentum', async () => {
    const training = { momentum: 0.5 };
    assert.equal(await update(training, { round: 1, rounds: 2 }), await update(training, { round: 2, rounds: 2 }));
  });

  it('decays weights', async () => {
    // d = 2 + 0.25 · 4 = 3; w = 4 − 1.5; update −1.5
    assert.equal(await update({ weightDecay: 0.25 }), -1.5);
  });

  it('pulls towards the global model (FedProx)', async () => {
    // step 1: w = w0, no pull: w = 3. Step 2: d = 1 + 0.5 · (3 − 4) = 0.5; w = 2.75; update −1.25
    assert.equal(await update({ localSteps: 2, proximalMu: 0.5 }), -1.25);
  });

  it('clips the gradient, and neither weight decay nor the pull', async () => {
    // |g| = 2 -> 1; w = 3.5
    assert.equal(await update({ gradientClipNorm: 1 }), -0.5);
    // 1 + 0.25 · 4 = 2; w = 3
    assert.equal(await update({ gradientClipNorm: 1, weightDecay: 0.25 }), -1);
    // g1 = 2 -> 1, w = 3.5; g2 = 1.5 -> 1, d = 1 + 2 · (3.5 − 4) = 0: stays
    assert.equal(await update({ gradientClipNorm: 1, proximalMu: 2, localSteps: 2 }), -0.5);
    // a gradient within the bound is left alone
    assert.equal(await update({ gradientClipNorm: 2 }), -1);
  });

  it('clips by the norm over all tensors together, private ones included', async () => {
    // two gradients, w: 4 − 1 = 3 and own: 5 − 1 = 4, norm 5, bound 2.5: scaled by 0.5 to 1.5 and 2
    const { contribution, privateTensors } = await localSgd(
      input({ gradientClipNorm: 2.5 }, { targets: [1], privateTensors: { own: scalar(5) } }),
    );
    assert.equal(contribution.values[0], -0.75);
    assert.equal(privateTensors.own.data[0], 4);
  });

  it('follows a cosine over the rounds', async () => {
    // round r of 4: (1 + cos(π (r − 1) / 4)) / 2 = 1, 0.854, 0.5, 0.146
    const factors = [1, 2, 3, 4].map((round) =>
      learningRateOf({ clientLr: 1, lrSchedule: 'cosine' }, { round, rounds: 4 }),
    );
    assert.deepEqual(
      factors.map((factor) => factor.toFixed(3)),
      ['1.000', '0.854', '0.500', '0.146'],
    );
    // round 3: lr 0.5 · 0.5; w = 4 − 0.25 · 2
    assert.equal((await update({ lrSchedule: 'cosine' }, { round: 3, rounds: 4 })).toFixed(6), '-0.500000');
  });

  it('warms up over the first rounds, whatever the schedule', async () => {
    const rates = (training: Pick<TrainingSpec, 'lrSchedule' | 'lrWarmupRounds'>) =>
      [1, 2, 3, 4].map((round) => learningRateOf({ clientLr: 8, ...training }, { round, rounds: 4 }).toFixed(3));
    assert.deepEqual(rates({ lrSchedule: 'constant', lrWarmupRounds: 4 }), ['2.000', '4.000', '6.000', '8.000']);
    assert.deepEqual(rates({ lrSchedule: 'constant', lrWarmupRounds: 1 }), ['8.000', '8.000', '8.000', '8.000']);
    assert.deepEqual(rates({ lrSchedule: 'cosine', lrWarmupRounds: 2 }), ['4.000', '6.828', '4.000', '1.172']);
    // round 1 of 2: lr 0.5 / 2, half of the step that it would be
    const [half, whole] = [await update({ lrWarmupRounds: 2 }, { round: 1 }), await update({}, { round: 1 })];
    assert.equal((2 * half).toFixed(6), whole.toFixed(6));
  });

  it("takes Adam's steps, as the optimizer of TensorFlow.js does, and starts every round without moments", async () => {
    const steps = 7;
    const reference = tf.tidy(() => {
      const w = tf.variable(tf.scalar(4));
      const adam = tf.train.adam(0.5, 0.9, 0.999, 1e-8);
      for (let step = 0; step < steps; step++) adam.minimize(() => tf.mul(tf.square(tf.sub(w, 2)), 0.5) as tf.Scalar);
      const moved = w.dataSync()[0] - 4;
      tf.dispose([w]);
      adam.dispose();
      return moved;
    });
    const training = { optimizer: 'adam', localSteps: steps } as const;
    const got = await update(training);
    assert.ok(Math.abs(got - reference) < 1e-4, `${got}, ${reference}`);
    assert.equal(await update(training, { round: 2, rounds: 3 }), got);
    assert.notEqual(got.toFixed(3), (await update({ localSteps: steps })).toFixed(3));
  });

  it('refuses momentum beside Adam, which has its own', () =>
    assert.rejects(update({ optimizer: 'adam', momentum: 0.9 }), /momentum: expected 0 with optimizer adam/));
});

describe('the contribution of local SGD', () => {
  before(() => selectBackend('cpu'));

  it('goes through every example once in an epoch, with a smaller last batch', async () => {
    const seen: number[][] = [];
    const watching = {
      ...parabola,
      batch: (data: readonly number[], indices: Int32Array) => {
        seen.push(Array.from(indices));
        return parabola.batch(data, indices, { hyper: {}, shard: {} as Shard, split: 'train' });
      },
    };
    const options = { targets: [0, 1, 2, 3, 4], workload: watching };
    const { contribution } = await localSgd(input({ localSteps: undefined, localEpochs: 2, batchSize: 2 }, options));
    assert.deepEqual(
      seen.map((batch) => batch.length),
      [2, 2, 1, 2, 2, 1],
    );
    for (const epoch of [seen.slice(0, 3), seen.slice(3)]) assert.deepEqual(epoch.flat().sort(), [0, 1, 2, 3, 4]);
    assert.deepEqual(contribution.weights, [5]);
    assert.equal(contribution.metrics.loss.count, 10);
  });

  it('sums the loss over examples, as it was before each step', async () => {
    // ((4 − 2)² + (4 − 6)²) / 2 / 2 = 2 in the mean, gradient 0
    const { contribution } = await localSgd(input({}, { targets: [2, 6] }));
    assert.deepEqual(contribution.metrics.loss, { sum: [4], count: 2 });
  });

  it('leaves private tensors out of the contribution and hands them back', async () => {
    const { contribution, privateTensors } = await localSgd(input({}, { privateTensors: { own: scalar(6) } }));
    assert.equal(contribution.values.length, 1);
    assert.equal(contribution.weights.length, 1);
    assert.equal(privateTensors.own.data[0], 4); // 6 − 0.5 · (6 − 2)
  });

  it('keeps shared tensors still that the update channel does not declare', async () => {
    const { contribution } = await localSgd(input({}, { shared: { still: scalar(9), w: scalar(4) } }));
    assert.deepEqual(Array.from(contribution.values), [-1]);
  });

  it('sends a zero update of weight 0 from a client without examples', async () => {
    const { contribution } = await localSgd(input({ localSteps: 5 }, { targets: [] }));
    assert.deepEqual(contribution, {
      values: Float32Array.of(0),
      weights: [0],
      metrics: { loss: { sum: [0], count: 0 } },
    });
  });
});

describe('a run of local SGD', () => {
  before(() => selectBackend('cpu'));

  it('gives equal bits for equal randomness and other bits for other randomness', async () => {
    const options = { targets: [0.1, 0.7, 1.9, 2.3, 3.1] };
    const training = { localSteps: undefined, localEpochs: 1, batchSize: 2, clientLr: 0.3 };
    const once = await update(training, options);
    assert.equal(await update(training, options), once);
    assert.notEqual(await update(training, { ...options, rng: rngFromSeed(8) }), once);
  });

  it('leaves no tensor behind, also when it fails', async () => {
    const count = () => [tf.memory().numTensors, tf.engine().backend.numDataIds()];
    const before = count();
    await update({ localSteps: 3 });
    await assert.rejects(update({ localSteps: 3, clientLr: 1e300 }));
    assert.deepEqual(count(), before);
  });

  it('says at which step the loss stopped being finite', async () => {
    // w = −2e10, loss 2e20; w = 2e20, loss above 3.4e38, the largest float32
    await assert.rejects(
      update({ localSteps: 5, clientLr: 1e10 }, { round: 2, rounds: 2 }),
      new FlError('failed-precondition', 'loss is not finite at step 3 of round 2: lower client-lr'),
    );
  });

  it('stops when it is told to, and reports each step until then', async () => {
    const controller = new AbortController();
    const steps: string[] = [];
    const onProgress = (done: number, total: number) => {
      steps.push(`${done}/${total}`);
      if (done === 2) controller.abort();
    };
    await assert.rejects(
      update({ localSteps: 9 }, { signal: controller.signal, onProgress }),
      (error) => error instanceof FlError && error.code === 'aborted',
    );
    assert.deepEqual(steps, ['1/9', '2/9']);
  });

  it('refuses what it cannot train', async () => {
    const cases: [Parameters<typeof input>, RegExp][] = [
      [[{ localEpochs: 1 }], /one of localEpochs and localSteps/],
      [[{ localSteps: undefined }], /one of localEpochs and localSteps/],
      [[{ batchSize: 0 }], /batchSize: expected an integer >= 1, got 0/],
      [[{}, { workload: { ...parabola, loss: undefined } }], /a loss for local SGD/],
      [
        [{}, { workload: { ...parabola, loss: () => tf.ones([2]) as tf.Tensor as tf.Scalar } }],
        /loss: expected a scalar/,
      ],
      [[{}, { phase: { name: 'p', channels: [] } }], /channels of phase p/],
      [[{}, { privateTensors: { w: scalar(1) } }], /names that no shared tensor has/],
      [[{}, { shared: {} }], /tensors of the model/],
    ];
    for (const [args, message] of cases) await assert.rejects(update(...args), message);
  });
});

describe('what a step leaves alone', () => {
  before(() => selectBackend('cpu'));

  it('is a gradient that is shorter than its bound, however much shorter', async () => {
    // g = 4 - 2 = 2, lr 0.5: w moves by -1; the bound of 10 changes nothing
    assert.equal(await update({ gradientClipNorm: 10 }), -1);
    assert.equal(await update({ gradientClipNorm: 1 }), -0.5);
  });

  it('is a private tensor, by the proximal pull', async () => {
    // both from 4: g = 4 - 2 = 2, w = 3. Step 2: g = 1; w is pulled by 1 · (3 - 4) and stays, own goes on to 2.5
    const { contribution, privateTensors } = await localSgd(
      input({ localSteps: 2, proximalMu: 1 }, { privateTensors: { own: scalar(4) } }),
    );
    assert.deepEqual([contribution.values[0], privateTensors.own.data[0]], [-1, 2.5]);
  });

  it('is a tensor of the model that the phase does not train, which the loss sees as it is', async () => {
    // (w · f - x)² / 2 with f = 2: g = f (w f - x) = 2 (8 - 2) = 12, lr 0.5: -6
    const scaled: Workload<readonly number[]> = {
      ...parabola,
      loss: ({ w, f }, { x }) => tf.mul(tf.mean(tf.square(tf.sub(tf.mul(w, f), x))), 0.5),
    };
    const shared = { f: scalar(2), w: scalar(4) };
    const { contribution } = await localSgd(input({}, { workload: scaled, shared }));
    assert.deepEqual([...contribution.values], [-6]);
  });
});

describe('the batches of two epochs', () => {
  before(() => selectBackend('cpu'));

  it('hold each example once an epoch, each epoch in an order of its own', async () => {
    const asked: number[][] = [];
    const batch: typeof parabola.batch = (data, indices, context) => {
      asked.push([...indices]);
      return parabola.batch(data, indices, context);
    };
    const targets = Array.from({ length: 20 }, (_, i) => i);
    const training = { localSteps: undefined, localEpochs: 2, batchSize: 8 };
    await localSgd(input(training, { workload: { ...parabola, batch }, targets }));
    assert.deepEqual(
      asked.map(({ length }) => length),
      [8, 8, 4, 8, 8, 4],
    );
    const [first, second] = [asked.slice(0, 3).flat(), asked.slice(3).flat()];
    for (const epoch of [first, second])
      assert.deepEqual(
        epoch.toSorted((a, b) => a - b),
        targets,
      );
    assert.notDeepEqual(first, second); // equal by chance once in 20! ≈ 10^18
  });
});

describe('a loss that is no number', () => {
  before(() => selectBackend('cpu'));

  it('fills the update with NaN where training goes on to its end, also where no parameter shows it', async () => {
    const workload: Workload<readonly number[]> = {
      ...parabola,
      loss: ({ w }, { x }) => tf.add(tf.mul(tf.sum(tf.mul(w, 0)), 1), tf.mul(tf.mean(x), Number.POSITIVE_INFINITY)),
    };
    const { contribution, diverged } = await localSgd(input({}, { workload, toTheEnd: true }));
    assert.ok(contribution.values.every(Number.isNaN), `${contribution.values}`);
    assert.match(diverged ?? '', /^loss is not finite before the first step of round 1: look at the data/);
    await assert.rejects(localSgd(input({}, { workload })), { code: 'failed-precondition' });
  });
});
