/** Sums of clipped gradients against gradients that TensorFlow.js computes for one example at a time and that are clipped here. */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { type BackendName, selectBackend } from '../../../../client/backends/index.js';
import { type Clipping, clippedSumByLoop, clippedSumByTaps } from '../../../../client/training/per-example/index.js';
import { cnn } from '../../../../client/workloads/cnn/index.js';
import { rngFromSeed } from '../../../../shared/rng.js';
import { COVERED, type Net, NOT_COVERED, paramsOf, type Tensors } from './nets.js';

const EXAMPLES = 5;

/** The gradient of each example by itself, all parameters back to back. */
function gradientsAlone(net: Net, params: Tensors, batch: Tensors): Float64Array[] {
  return Array.from({ length: EXAMPLES }, (_, i) => {
    const grads = tf.tidy(() => {
      const names = Object.keys(params);
      const of = (...values: tf.Tensor[]) => {
        const named = Object.fromEntries(names.map((name, n) => [name, values[n]]));
        // the square touches every parameter, and its gradient is taken off again
        const all = tf.addN(values.map((value) => tf.sum(tf.square(value))));
        return tf.add(tf.sum(net.loss(named, rowOf(batch, i))), all) as tf.Scalar;
      };
      const values = Object.values(params);
      return tf
        .grads(of)(values)
        .map((grad, n) => tf.sub(grad, tf.mul(values[n], 2)).dataSync());
    });
    return Float64Array.from(grads.flatMap((grad) => [...grad]));
  });
}

function rowOf(batch: Tensors, i: number): Tensors {
  return Object.fromEntries(Object.entries(batch).map(([name, tensor]) => [name, tf.slice(tensor, [i], [1])]));
}

function norm(values: ArrayLike<number>): number {
  return Math.sqrt(Array.from(values).reduce((sum, value) => sum + value * value, 0));
}

/** Σ_b g_b · min(1, C / |g_b|), or tensor by tensor with C / √L. */
function clipped(
  gradients: readonly Float64Array[],
  sizes: readonly number[],
  { bound, scope }: Clipping,
): Float64Array {
  const groups = scope === 'tensor' ? sizes : [gradients[0].length];
  const share = bound / Math.sqrt(groups.length);
  const sum = new Float64Array(gradients[0].length);
  for (const gradient of gradients) {
    let start = 0;
    for (const size of groups) {
      const length = norm(gradient.subarray(start, start + size));
      const factor = length > share ? share / length : 1;
      for (let k = start; k < start + size; k++) sum[k] += gradient[k] * factor;
      start += size;
    }
  }
  return sum;
}

function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  assert.equal(actual.length, expected.length, what);
  const apart = norm(Array.from(expected, (value, i) => value - actual[i]));
  // 1e-4 of the size: float32 gradients through a few layers agree to about 1e-6
  assert.ok(apart <= 1e-4 * norm(expected), `${what}: apart by ${apart}, size ${norm(expected)}`);
}

function held(): number[] {
  return [tf.memory().numTensors, tf.engine().backend.numDataIds()];
}

/** Both methods on a batch; the sums flat. */
function run(net: Net, params: Tensors, batch: Tensors, clipping: Clipping, examples = EXAMPLES) {
  const trained = Object.values(params);
  const flat = (sums: readonly tf.Tensor[]) => Float32Array.from(sums.flatMap((sum) => [...sum.dataSync()]));
  return tf.tidy(() => {
    const byTaps = clippedSumByTaps(trained, examples, () => net.loss(params, batch), clipping);
    assert.ok(typeof byTaps !== 'string', `${net.name}: ${byTaps}`);
    const byLoop = clippedSumByLoop(trained, examples, (i) => tf.sum(net.loss(params, rowOf(batch, i))), clipping);
    const plain = ({ sums, norms }: typeof byTaps) => ({ sum: flat(sums), norms: norms.dataSync().slice() });
    return { taps: plain(byTaps), loop: plain(byLoop) };
  });
}

for (const backend of ['wasm', 'cpu'] satisfies BackendName[]) {
  describe(`sums of clipped gradients on ${backend}`, () => {
    before(() => selectBackend(backend));

    for (const net of COVERED) {
      it(`${net.name}: taps and loop are what single gradients come to`, () => {
        const before = held();
        const params = paramsOf(net);
        const batch = tf.tidy(() => net.batch(rngFromSeed(9), EXAMPLES));
        const alone = gradientsAlone(net, params, batch);
        const norms = alone.map(norm);
        const middle = norms.toSorted((a, b) => a - b)[2];
        for (const scope of ['all', 'tensor'] as const) {
          // one bound that clips all, one that clips some, one that clips none
          for (const bound of [middle / 100, middle, middle * 100]) {
            const { taps, loop } = run(net, params, batch, { bound, scope });
            const sizes = Object.values(params).map(({ size }) => size);
            const expected = clipped(alone, sizes, { bound, scope });
            assertClose(taps.sum, expected, `taps, scope ${scope}, bound ${bound}`);
            assertClose(loop.sum, expected, `loop, scope ${scope}, bound ${bound}`);
            assertClose(taps.norms, norms, 'norms by taps');
            assertClose(loop.norms, norms, 'norms by loop');
          }
        }
        tf.dispose([params, batch]);
        assert.deepEqual(held(), before);
      });
    }
  });
}

describe('clipping', () => {
  before(() => selectBackend('wasm'));

  it('leaves every example at most the bound, and what is within it as it was', () => {
    for (const net of COVERED) {
      const params = paramsOf(net);
      const batch = tf.tidy(() => net.batch(rngFromSeed(4), EXAMPLES));
      const alone = gradientsAlone(net, params, batch);
      const bound = norm(alone[2]);
      for (let i = 0; i < EXAMPLES; i++) {
        const row = tf.tidy(() => rowOf(batch, i));
        for (const scope of ['all', 'tensor'] as const) {
          const length = norm(run(net, params, row, { bound, scope }, 1).taps.sum);
          assert.ok(length <= bound * (1 + 1e-5), `${net.name}, example ${i}: ${length} > ${bound}`);
          if (scope === 'all') assertClose([length], [Math.min(bound, norm(alone[i]))], `${net.name}, example ${i}`);
        }
        tf.dispose(row);
      }
      tf.dispose([params, batch]);
    }
  });

  it('is of the whole model, not of each tensor, unless that is asked for', () => {
    // loss = 3 a + 4 b: gradient (3, 4), norm 5; C = 1: (0.6, 0.8), or each against 1/√2: (0.707, 0.707)
    const [a, b] = [tf.tensor1d([0]), tf.tensor1d([0])];
    const loss = () => tf.add(tf.mul(a, 3), tf.mul(b, 4));
    for (const [scope, expected] of [
      ['all', [0.6, 0.8]],
      ['tensor', [Math.SQRT1_2, Math.SQRT1_2]],
    ] as const) {
      const sums = tf.tidy(() =>
        clippedSumByLoop([a, b], 1, () => tf.sum(loss()), { bound: 1, scope }).sums.map((sum) => sum.dataSync()[0]),
      );
      assertClose(sums, expected, scope);
    }
    tf.dispose([a, b]);
  });

  it('counts a gradient that is not finite as zero, and no other', () => {
    const w = tf.tensor1d([2]);
    const rows = [1, Number.NaN, Number.POSITIVE_INFINITY, 1e30]; // the last: finite, but its square is not
    const { sums, norms } = tf.tidy(() => {
      const { sums, norms } = clippedSumByLoop([w], 4, (i) => tf.sum(tf.mul(w, rows[i])), { bound: 0.5 });
      return { sums: sums[0].dataSync()[0], norms: norms.dataSync().slice() };
    });
    assert.equal(sums, 0.5);
    assert.equal(norms[0], 1);
    tf.dispose(w);
  });
});

describe('the demo model', () => {
  it('is covered: taps give the clipped sums of the loop', async () => {
    await selectBackend('wasm');
    for (const [model, scale] of [
      ['small', 'smoke'],
      ['mcmahan', 'smoke'],
    ] as const) {
      const hyper = { ...cnn.manifest.scales[scale].hyper, model };
      const data = await cnn.load({ hyper, rng: rngFromSeed(1) });
      const { shared } = cnn.init(rngFromSeed(2), hyper);
      const shapes = Object.fromEntries(Object.entries(shared).map(([name, { shape }]) => [name, shape]));
      const shard = { train: new Int32Array(0), test: new Int32Array(0), index: 0, count: 1 };
      const indices = Int32Array.from({ length: EXAMPLES }, (_, i) => i);
      const net: Net = {
        ...{ name: `cnn ${model}`, params: shapes },
        batch: () => cnn.batch(data, indices, { hyper, shard, split: 'train' }),
        loss: (params, batch) => cnn.perExampleLoss!(params, batch),
      };
      const params = Object.fromEntries(
        Object.entries(shared).map(([name, { shape, data: values }]) => [name, tf.tensor(values, [...shape])]),
      );
      const batch = tf.tidy(() => net.batch(rngFromSeed(1), EXAMPLES));
      const { taps, loop } = run(net, params, batch, { bound: 1 });
      assertClose(taps.sum, loop.sum, net.name);
      assert.ok(loop.norms.some((length) => length > 1));
      tf.dispose([params, batch]);
    }
  });
});

describe('what taps do not tell', () => {
  before(() => selectBackend('wasm'));

  for (const net of NOT_COVERED.filter(({ why }) => why.test('used outside tapped layers'))) {
    it(`${net.name}: is said`, () => {
      const before = held();
      const params = paramsOf(net);
      const batch = tf.tidy(() => net.batch(rngFromSeed(9), EXAMPLES));
      const said = tf.tidy(() => {
        const trained = Object.values(params);
        return clippedSumByTaps(trained, EXAMPLES, () => net.loss(params, batch), { bound: 1 }) as string;
      });
      assert.match(said, net.why);
      tf.dispose([params, batch]);
      assert.deepEqual(held(), before);
    });
  }
});
