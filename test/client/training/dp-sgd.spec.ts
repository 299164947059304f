/** DP-SGD as a client runs it: its arithmetic by hand, its noise and its lots by statistics, and what may not leave. */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { selectBackend } from '../../../client/backends/index.js';
import { dense } from '../../../client/backends/layers.js';
import { checkExamplePrivacy, type DpSgdInput, dpSgd } from '../../../client/training/dp-sgd.js';
import { createTrainerPool } from '../../../client/training/pool.js';
import { createTaskRunner, initialModel, type TrainTask } from '../../../client/training/task.js';
import { defineWorkload, type Workload } from '../../../client/workload.js';
import { cnn } from '../../../client/workloads/cnn/index.js';
import { FlError } from '../../../shared/errors.js';
import { rngFromSeed } from '../../../shared/rng.js';
import type { PrivacySpec, TrainingSpec, WorkSpec } from '../../../shared/run/spec.js';
import { updateChannel } from '../../../shared/tensors/channels.js';
import { type HostTensors, packTensors } from '../../../shared/tensors/params.js';
import { NOT_COVERED, paramsOf } from './per-example/nets.js';

const PLAIN: TrainingSpec = {
  ...{ localSteps: 1, batchSize: 10, clientLr: 1, momentum: 0, weightDecay: 0, gradientClipNorm: 0 },
  ...{ lrSchedule: 'constant', proximalMu: 0 },
};

/** So little noise that sums can be done by hand: its deviation is 1e-6 of the bound. */
const HUSHED = 1e-6;

const key = (byte: number) => new Uint8Array(32).fill(byte);

/**
 * Loss of an example with target x: slope · x · w, so that its gradient is slope · x for every element of w; `own` likewise.
 * Every batch that is asked for is noted in `asked`.
 */
function ramp(size: number, { slope = 1, asked = [] }: { slope?: number; asked?: number[][] } = {}) {
  return defineWorkload<readonly number[]>({
    manifest: { name: 'ramp' } as Workload['manifest'],
    init: () => ({ shared: { w: { shape: [1, size], data: new Float32Array(size) } } }),
    load: async () => [],
    examples: (data) => ({ train: { count: data.length }, test: { count: 0 } }),
    batch: (data, indices) => {
      asked.push([...indices]);
      return {
        x: tf.tensor2d(
          Array.from(indices, (i) => slope * data[i]),
          [indices.length, 1],
        ),
      };
    },
    perExampleLoss: (params, { x }) =>
      tf.addN(Object.values(params).map((w) => tf.sum(dense(tf, x, w), 1))) as tf.Tensor1D,
    metrics: () => ({}),
  });
}

type Options = Partial<Omit<DpSgdInput<readonly number[]>, 'training' | 'privacy' | 'data'>> & {
  readonly data?: readonly number[];
  readonly size?: number;
};

function input(
  training: Partial<TrainingSpec>,
  privacy: Partial<PrivacySpec>,
  { data = [1], size = 1, ...rest }: Options = {},
): DpSgdInput<readonly number[]> {
  return {
    workload: ramp(size),
    data,
    hyper: {},
    shard: { train: Int32Array.from(data.keys()), test: new Int32Array(0), index: 0, count: 1 },
    phase: { name: 'train', channels: [updateChannel([{ name: 'w', shape: [1, size] }])] },
    training: { ...PLAIN, ...training },
    privacy: { mode: 'example', clippingBound: 100, noiseMultiplier: HUSHED, delta: 1e-5, samplingRate: 1, ...privacy },
    noiseKey: key(1),
    ...{ round: 1, rounds: 1, rng: rngFromSeed(7) },
    ...{ shared: { w: { shape: [1, size], data: new Float32Array(size) } }, privateTensors: {} },
    ...rest,
  };
}

async function update(...args: Parameters<typeof input>): Promise<Float32Array> {
  return (await dpSgd(input(...args))).contribution.values;
}

/** Within the noise: ten deviations of 1e-6 · C, C = 100 at most. */
function assertNear(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-3, `expected ${expected}, got ${actual}`);
}

function held(): number[] {
  return [tf.memory().numTensors, tf.engine().backend.numDataIds()];
}

describe('the arithmetic of DP-SGD', () => {
  before(() => selectBackend('cpu'));

  it('moves against the sum of clipped gradients over the expected lot', async () => {
    // gradients 3, 1, -2, none beyond 100: sum 2, lot 3 · 1: -2/3
    assertNear((await update({}, {}, { data: [3, 1, -2] }))[0], -2 / 3);
    // C = 1.5: 1.5 + 1 - 1.5 = 1: -1/3
    assertNear((await update({}, { clippingBound: 1.5 }, { data: [3, 1, -2] }))[0], -1 / 3);
    // the norm is over all elements: |(2, 2, 2, 2)| = 4, C = 1: each 0.5
    assertNear((await update({}, { clippingBound: 1 }, { data: [2], size: 4 }))[3], -0.5);
  });

  it('clips private tensors with the shared ones', async () => {
    // gradient (3, 3) of w and own, norm 3 √2; C = 3: 3/√2 each
    const privateTensors: HostTensors = { own: { shape: [1, 1], data: Float32Array.of(5) } };
    const result = await dpSgd(input({}, { clippingBound: 3 }, { data: [3], privateTensors }));
    assertNear(result.contribution.values[0], -3 * Math.SQRT1_2);
    assertNear(result.privateTensors.own.data[0], 5 - 3 * Math.SQRT1_2);
  });

  it('goes on with momentum, weight decay, the proximal pull and the schedule of local SGD', async () => {
    // v = 1, w = -1; v = 0.5 + 1 = 1.5, w = -2.5
    assertNear((await update({ localSteps: 2, momentum: 0.5 }, {}))[0], -2.5);
    const shared: HostTensors = { w: { shape: [1, 1], data: Float32Array.of(4) } };
    // g + 0.25 · 4 = 2
    assertNear((await update({ weightDecay: 0.25 }, {}, { shared }))[0], -2);
    // step 1: no pull, w = w0 - 1; step 2: 1 + 0.5 · (-1) = 0.5
    assertNear((await update({ localSteps: 2, proximalMu: 0.5 }, {}))[0], -1.5);
    // round 3 of 4: half the rate
    assertNear((await update({ lrSchedule: 'cosine' }, {}, { round: 3, rounds: 4 }))[0], -0.5);
  });

  it('takes ⌈1/q⌉ steps for each epoch, whatever its data', async () => {
    for (const count of [1, 30]) {
      const told: number[] = [];
      const onProgress = (done: number, total: number) => told.push(done, total);
      const data = new Array<number>(count).fill(0);
      await update({ localSteps: undefined, localEpochs: 2 }, { samplingRate: 0.4 }, { data, onProgress });
      assert.deepEqual(
        told,
        [1, 2, 3, 4, 5, 6].flatMap((step) => [step, 6]),
      );
    }
  });

  it('sums a lot in chunks as it does at once', async () => {
    // 23 examples by 23, and by 7, 7, 7, 2: the same numbers, added in another order
    const data = Array.from({ length: 23 }, (_, i) => Math.sin(i));
    const [whole, chunks] = await Promise.all(
      [23, 7].map((batchSize) => update({ batchSize }, { clippingBound: 0.5 }, { data, size: 3 })),
    );
    for (const [i, value] of whole.entries()) assert.ok(Math.abs(value - chunks[i]) < 1e-5, `${value} ${chunks[i]}`);
    const asked: number[][] = [];
    await update({ batchSize: 7 }, {}, { data, workload: ramp(1, { asked }) });
    assert.deepEqual(
      asked.slice(-4).map(({ length }) => length),
      [7, 7, 7, 2],
    );
  });

  it('moves by noise alone when the lot is empty, and not at all without examples', async () => {
    // 5 examples at q = 1e-6: an empty lot, but for one case in 200,000
    const empty = await update({}, { samplingRate: 1e-6, noiseMultiplier: 1 }, { data: [1, 2, 3, 4, 5] });
    const others = await update({}, { samplingRate: 1e-6, noiseMultiplier: 1 }, { data: [9, 9, 9, 9, 9] });
    assert.deepEqual(empty, others);
    assert.notEqual(empty[0], 0);
    const { contribution } = await dpSgd(input({}, { noiseMultiplier: 1 }, { data: [] }));
    assert.deepEqual(contribution, { values: Float32Array.of(0), weights: [0], metrics: {} });
  });

  it('does not repeat a sum when a lot in the middle is empty', async () => {
    const data = [1, 10, 100];
    const asked: number[][] = [];
    const lots: number[][] = [];
    // lots of 3 examples at q = 0.3, a third of them empty; the examples are asked for to choose a method, too
    const chosen = { samplingRate: 0.3, clippingBound: 1000 };
    const onProgress = () => void lots.push(asked.splice(0).at(-1) ?? []);
    const probed = await update({ localSteps: 12 }, chosen, { data, workload: ramp(1, { asked }), onProgress });
    const middle = lots.slice(1, -1).findIndex((lot, i) => lot.length === 0 && lots[i].length > 0);
    assert.ok(lots.length === 12 && middle >= 0, JSON.stringify(lots));
    const total = lots
      .slice(1)
      .flat()
      .reduce((sum, i) => sum + data[i], 0);
    // all lots but the first, of which the probes are not told apart; it adds 0..111. Expected lot: 0.9
    const first = -probed[0] * 0.9 - total;
    const sums = Array.from({ length: 8 }, (_, bits) => data.reduce((sum, x, i) => sum + (bits & (1 << i) ? x : 0), 0));
    assert.ok(
      sums.some((sum) => Math.abs(sum - first) < 0.1),
      `${first} ${JSON.stringify(lots)}`,
    );
  });

  it('counts an example whose gradient is no number as zero', async () => {
    assertNear((await update({}, {}, { data: [3, Number.NaN, 1] }))[0], -4 / 3);
  });
});

describe('the noise of DP-SGD', () => {
  before(() => selectBackend('wasm'));

  it('has deviation noiseMultiplier · clippingBound, over the expected lot, at two scales', async () => {
    const size = 20_000;
    for (const [noiseMultiplier, clippingBound] of [
      [0.25, 3],
      [1.5, 0.5],
    ]) {
      const privacy = { noiseMultiplier, clippingBound, samplingRate: 0.5 };
      const values: number[] = [];
      for (const noiseKey of [1, 2, 3, 4, 5].map(key)) {
        values.push(...(await update({}, privacy, { data: new Array<number>(8).fill(0), size, noiseKey })));
      }
      const expected = (noiseMultiplier * clippingBound) / 4; // lr 1, lot 0.5 · 8
      const [mean, variance] = moments(Float32Array.from(values));
      // Five standard errors: the mean has deviation s/√n, the deviation s/√(2n), 0.22 % of it. And the noise is larger than asked
      // for by 0.1 % for the lattice and as much for float32, never smaller.
      const error = 5 / Math.sqrt(2 * values.length);
      const ratio = Math.sqrt(variance) / expected;
      assert.ok(Math.abs(mean) < (5 * expected) / Math.sqrt(values.length), `mean ${mean}`);
      assert.ok(ratio > 1 - error && ratio < 1.0025 + error, `deviation ${ratio} of ${expected}`);
    }
  });

  it('is another in each step, and in each round of one model', async () => {
    const size = 20_000;
    const noised = (localSteps: number, round: number) =>
      update({ localSteps }, { clippingBound: 1, noiseMultiplier: 1 }, { data: [0], size, round, rounds: 2 });
    const variance = (values: Float32Array) => values.reduce((sum, x) => sum + x * x, 0) / size;
    // independent draws of variance 1 add up: 2 after two steps, 4 if they were the same; 5 sqrt(2 / 20,000) = 0.05
    assert.ok(Math.abs(variance(await noised(2, 1)) / 2 - 1) < 0.05);
    const [one, two] = [await noised(1, 1), await noised(1, 2)];
    assert.ok(Math.abs(variance(one.map((x, i) => x - two[i])) / 2 - 1) < 0.05);
  });

  it('is of the key, the round and all that a step depends on, never of the run’s seed', async () => {
    const noise = (training: Partial<TrainingSpec>, options: Options) =>
      update(training, { noiseMultiplier: 1 }, { data: [0, 0], size: 8, ...options });
    const first = await noise({}, {});
    assert.deepEqual(await noise({}, { rng: rngFromSeed(1234) }), first);
    const w = (value: number): HostTensors => ({ w: { shape: [1, 8], data: new Float32Array(8).fill(value) } });
    const others = {
      'another key': await noise({}, { noiseKey: key(2) }),
      'another round': await noise({}, { round: 2, rounds: 2 }),
      'another model': await noise({}, { shared: w(1) }),
      // half the rate moves by half the noise, if the noise is the same: a second sum under one noise gives it away
      'another rate': (await noise({ clientLr: 0.5 }, {})).map((value) => 2 * value),
      'other examples': await noise({}, { data: [0, 0, 0] }).then((values) => values.map((value) => 1.5 * value)),
    };
    for (const [what, values] of Object.entries(others)) {
      assert.ok(
        values.every((value, i) => Math.abs(value - first[i]) > 1e-6),
        what,
      );
    }
  });
});

function moments(values: Float32Array): [mean: number, variance: number] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return [mean, values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length];
}

describe('the lots of DP-SGD', () => {
  before(() => selectBackend('cpu'));

  /** The lots of 40 steps over 500 examples at q = 0.1; before them the taps are checked, on two examples and on each alone. */
  async function lots(options: Options): Promise<number[][]> {
    const asked: number[][] = [];
    const data = new Array<number>(500).fill(0);
    const workload = ramp(1, { asked });
    await update({ localSteps: 40, batchSize: 500 }, { samplingRate: 0.1 }, { data, workload, ...options });
    return asked.slice(3);
  }

  it('hold each example with probability q', async () => {
    const drawn = await lots({});
    assert.equal(drawn.length, 40);
    const total = drawn.flat().length;
    // 20,000 coins of 0.1: 2,000, deviation √(20,000 · 0.09) = 42.4; five of them
    assert.ok(Math.abs(total - 2000) < 213, `${total}`);
    // sizes vary as of independent coins: variance 45, with deviation 45 √(2/39) = 10.2; lots of fixed size have 0
    const [, variance] = moments(Float32Array.from(drawn, ({ length }) => length));
    assert.ok(Math.abs(variance - 45) < 51 && variance > 10, `${variance}`);
    const counts = new Map<number, number>();
    for (const i of drawn.flat()) counts.set(i, (counts.get(i) ?? 0) + 1);
    // nobody is in none of 40 lots but with probability 0.9^40 = 1.5 %: 7.4 of 500, deviation 2.7
    assert.ok(counts.size > 478, `${counts.size}`);
  });

  it('are of the key and not of the run’s seed', async () => {
    const first = await lots({});
    assert.deepEqual(await lots({ rng: rngFromSeed(99) }), first);
    assert.notDeepEqual(await lots({ noiseKey: key(2) }), first);
  });
});

describe('a client under example-level privacy', () => {
  before(() => selectBackend('wasm'));

  it('gives equal bits for equal input, and no metrics', async () => {
    const data = [1, 2, 3];
    const [a, b] = await Promise.all([0, 1].map(() => dpSgd(input({}, { noiseMultiplier: 1 }, { data, size: 50 }))));
    assert.deepEqual(a, b);
    assert.deepEqual(a.contribution.metrics, {});
    assert.deepEqual(a.contribution.weights, [3]);
  });

  for (const net of NOT_COVERED) {
    it(`goes example by example through ${net.name}, and says so`, async () => {
      const before = held();
      const tensors = tf.tidy(() =>
        Object.entries(paramsOf(net)).map(
          ([name, w]) => [name, { shape: w.shape, data: w.dataSync<'float32'>().slice() }] as const,
        ),
      );
      const workload = {
        ...ramp(1),
        batch: (_: unknown, indices: Int32Array) => rows(net.batch(rngFromSeed(3), 6), indices),
        perExampleLoss: net.loss,
      } as unknown as Workload<readonly number[]>;
      const channel = updateChannel(tensors.map(([name, { shape }]) => ({ name, shape })));
      const said: string[] = [];
      await dpSgd(
        input(
          {},
          {},
          {
            ...{ workload, data: [0, 1, 2, 3, 4, 5], shared: Object.fromEntries(tensors) },
            ...{ phase: { name: 'train', channels: [channel] }, onSlow: (reason) => said.push(reason) },
          },
        ),
      );
      assert.equal(said.length, 1);
      assert.match(said[0], net.why);
      assert.deepEqual(held(), before);
    });
  }

  it('leaves no tensor when it ends, when it is cancelled and when an example is no number', async () => {
    const before = held();
    await update({ localSteps: 3, momentum: 0.9, proximalMu: 1 }, {}, { data: [1, 2, Number.NaN] });
    assert.deepEqual(held(), before);
    const cancelled = dpSgd(input({}, {}, { data: [1, 2], signal: AbortSignal.abort() }));
    await assert.rejects(cancelled, (error) => error instanceof FlError && error.code === 'aborted');
    assert.deepEqual(held(), before);
  });

  it('is refused what has no loss of single examples, with the way out', async () => {
    const { perExampleLoss: _, ...without } = ramp(1);
    assert.throws(
      () => checkExamplePrivacy(without as Workload),
      (error) =>
        error instanceof FlError &&
        error.code === 'invalid-argument' &&
        /ramp.*does not split.*--privacy distributed or --privacy central/.test(error.message),
    );
    const own = { ...ramp(1), train: async () => ({}) } as unknown as Workload;
    assert.throws(() => checkExamplePrivacy(own), /its own training/);
    await assert.rejects(update({}, {}, { workload: without as Workload<readonly number[]> }), /does not split/);
    checkExamplePrivacy(ramp(1) as Workload);
  });

  it('is refused bounds, noise and rates that promise nothing', async () => {
    for (const clippingBound of [0, -1, 2 ** -41, 2 ** 41, Number.NaN]) {
      await assert.rejects(update({}, { clippingBound }), /privacy.clippingBound: expected .*2\^-40 .. 2\^40/);
    }
    await assert.rejects(update({}, { noiseMultiplier: 0 }), /noiseMultiplier/);
    await assert.rejects(update({}, { samplingRate: undefined }), /privacy.samplingRate/);
    await assert.rejects(update({}, { samplingRate: 1.1 }), /privacy.samplingRate/);
  });
});

describe('a training task under example-level privacy', () => {
  it('needs a key of 32 bytes, takes it into a worker thread, and is computed there as here', async () => {
    await selectBackend('wasm');
    const { hyper, training } = cnn.manifest.scales.smoke;
    const { layout, values } = packTensors(initialModel(cnn as Workload, { hyper, seed: 3 }).shared);
    const model = layout.map(({ name, shape }) => ({ name, shape }));
    const work: WorkSpec = {
      ...{ workload: 'cnn', scale: 'smoke', hyper, partition: 'iid', seed: 3, rounds: 1, model },
      training: { ...PLAIN, ...training, localEpochs: 1, localSteps: undefined },
      phases: [{ name: 'train', channels: [updateChannel(model)] }],
      privacy: { mode: 'example', clippingBound: 1, noiseMultiplier: 1, delta: 1e-5, samplingRate: 0.25 },
    };
    const task: TrainTask = {
      kind: 'train',
      work,
      client: 'a',
      slice: { index: 0, count: 4 },
      round: 1,
      model: values,
    };
    const runner = createTaskRunner({ loadWorkload: async () => cnn as Workload });
    for (const noiseKey of [undefined, new Uint8Array(31)]) {
      const refused = runner.run(noiseKey === undefined ? task : { ...task, noiseKey });
      await assert.rejects(refused, (error) => error instanceof FlError && error.code === 'failed-precondition');
    }
    const pool = await createTrainerPool({ workers: 1, backend: 'wasm' });
    const [here, there] = await Promise.all([runner, pool].map((one) => one.run({ ...task, noiseKey: key(4) })));
    await pool.close();
    assert.deepEqual(there.contribution, here.contribution);
    assert.deepEqual(here.contribution.metrics, {});
  });
});

function rows(batch: Readonly<Record<string, tf.Tensor>>, indices: Int32Array) {
  const chosen = tf.tensor1d(Array.from(indices), 'int32');
  return Object.fromEntries(Object.entries(batch).map(([name, tensor]) => [name, tf.gather(tensor, chosen)]));
}
