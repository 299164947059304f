/**
 * A model in use elsewhere: what ONNX Runtime and TensorFlow.js's own loader make of an exported file is our forward pass,
 * for every workload that predicts, and for each kernel that a workload of a user's may come with.
 */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { selectBackend } from '../../../client/backends/index.js';
import { graphOf } from '../../../client/export/graph.js';
import { graphModelFiles } from '../../../client/export/graph-model.js';
import { onnxModel } from '../../../client/export/onnx.js';
import { uploadTensors } from '../../../client/training/evaluate.js';
import { initialModel, openSite } from '../../../client/training/task.js';
import type { InputSpec, Prediction, TensorMap } from '../../../client/workload.js';
import { listWorkloads, loadWorkload } from '../../../client/workloads/index.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import { ranByGraphModel, ranByOnnx } from '../../support/runtimes.js';

/** Of numbers up to 1; of larger ones, of the largest. */
const TOLERANCE = 1e-5;
const BATCH = 5;
const ABOUT = { name: 'test', metadata: { workload: 'test' }, about: {} };

async function assertSame(predict: Prediction, shared: HostTensors, inputs: TensorMap, hyper = {}): Promise<void> {
  const params = uploadTensors(shared);
  const expected = tf.tidy(() => predict.forward(params, inputs, hyper)) as Record<string, tf.Tensor>;
  assert.deepEqual(Object.keys(predict.outputs), Object.keys(expected));
  const held = tf.memory().numTensors;
  const graph = graphOf(predict, shared, hyper);
  const found = {
    onnx: await ranByOnnx(onnxModel(graph, ABOUT), inputs),
    tfjs: await ranByGraphModel(graphModelFiles(graph, ABOUT), inputs),
  };
  assert.equal(tf.memory().numTensors, held, 'tensors are left');
  for (const [runtime, outputs] of Object.entries(found)) {
    assert.deepEqual(Object.keys(outputs).sort(), Object.keys(expected).sort());
    for (const [name, { dims, data }] of Object.entries(outputs)) {
      assert.deepEqual(dims, expected[name].shape, `${runtime}: shape of ${name}`);
      const ours = [...expected[name].dataSync()];
      const largest = ours.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
      const off = ours.reduce((most, value, i) => Math.max(most, Math.abs(value - data[i])), 0);
      assert.ok(off <= TOLERANCE * largest, `${runtime}: ${name} is off by ${off}`);
    }
  }
  tf.dispose([params, expected]);
}

describe('an exported model', function () {
  this.timeout(120_000);

  before(() => selectBackend('wasm')); // whose fused kernels come apart

  for (const name of listWorkloads()) {
    it(`of ${name} gives our forward pass in ONNX Runtime and TensorFlow.js`, async () => {
      const workload = await loadWorkload(name);
      const { predict } = workload;
      assert.ok(predict !== undefined, 'it predicts');
      const { hyper } = workload.manifest.scales.smoke;
      const { data, shard } = await openSite(workload, { hyper, seed: 3 });
      const all = shard('iid', undefined);
      const batchOf = predict.batch ?? workload.batch;
      const batch = tf.tidy(() => batchOf(data, all.test.slice(0, BATCH), { hyper, shard: all, split: 'test' }));
      const inputs = Object.fromEntries(Object.keys(predict.inputs(hyper)).map((key) => [key, batch[key]]));
      await assertSame(predict, initialModel(workload, { hyper, seed: 3 }).shared, inputs, hyper);
      tf.dispose(batch as Record<string, tf.Tensor>);
    });
  }

  const ramp = (shape: number[], scale = 1) => {
    const size = shape.reduce((product, n) => product * n, 1);
    return { shape, data: Float32Array.from({ length: size }, (_, i) => scale * Math.sin(1 + 7 * i)) };
  };
  const IMAGE: InputSpec = { shape: [7, 6, 3], about: '' };
  const image = (x: tf.Tensor) => x as tf.Tensor4D;
  const passes: Record<string, (x: tf.Tensor, params: TensorMap) => tf.Tensor> = {
    'a convolution with stride, odd sides': (x, { filter }) => tf.conv2d(image(x), filter as tf.Tensor4D, 2, 'same'),
    'a convolution without padding': (x, { filter }) => tf.conv2d(image(x), filter as tf.Tensor4D, [1, 2], 'valid'),
    'a convolution padded by a number': (x, { filter }) => tf.conv2d(image(x), filter as tf.Tensor4D, 1, 2),
    'a dilated convolution': (x, { filter }) => tf.conv2d(image(x), filter as tf.Tensor4D, 1, 'same', 'NHWC', 2),
    'a depthwise convolution': (x, { filter }) => tf.depthwiseConv2d(image(x), filter as tf.Tensor4D, 1, 'same'),
    pools: (x) => tf.concat([tf.maxPool(image(x), 3, 2, 'same'), tf.avgPool(image(x), 3, 2, 'same')], -1),
    'a resize to other sides': (x) => tf.image.resizeNearestNeighbor(image(x), [14, 9]),
    'a bilinear resize': (x) => tf.image.resizeBilinear(image(x), [14, 9]),
    activations: (x) =>
      tf.stack([tf.relu6(tf.mul(x, 9)), tf.leakyRelu(x, 0.3), tf.elu(x), tf.selu(x), tf.softplus(x), tf.sigmoid(x)], 1),
    reductions: (x) =>
      tf.stack([tf.sum(x, [1, 2]), tf.mean(x, [1, 2]), tf.max(x, [1, 2]), tf.min(x, [1, 2]), tf.prod(x, [1, 2])], -1),
    'a slice, a padding and a tile': (x) =>
      tf.tile(
        tf.pad(
          tf.slice(x, [0, 1, 0, 2], [-1, 3, 4, 1]),
          [
            [0, 0],
            [1, 2],
            [0, 1],
            [0, 0],
          ],
          0.5,
        ),
        [1, 2, 1, 3],
      ), // prettier-ignore
    choices: (x) => tf.where(tf.greater(x, 0.2), tf.minimum(x, 0.7), tf.squaredDifference(x, 0.1)),
    'the place of the largest': (x) => tf.cast(tf.argMax(tf.reshape(x, [-1, 126]), 1), 'float32'),
    'log-softmax over flattened images': (x) => tf.logSoftmax(tf.reshape(x, [x.shape[0], 126])),
    'products with transposed operands': (x, { square }) =>
      tf.matMul(tf.transpose(image(x), [0, 3, 1, 2]), tf.matMul(square, square, true, false), false, true),
  };
  for (const [name, pass] of Object.entries(passes)) {
    it(`computes ${name} as we do`, async () => {
      await selectBackend('cpu'); // which has all kernels
      const predict: Prediction = {
        inputs: () => ({ x: IMAGE }),
        outputs: { y: '' },
        forward: (params, { x }) => ({ y: pass(x, params) }),
      };
      const shared = { filter: ramp([3, 2, 3, 4], 0.4), square: ramp([6, 6], 0.4) };
      const { shape, data } = ramp([BATCH, ...IMAGE.shape]);
      const x = tf.tensor(data, shape);
      await assertSame(predict, shared, { x });
      x.dispose();
    });
  }

  const refused: Record<string, [(x: tf.Tensor) => tf.Tensor, RegExp]> = {
    'makes a tensor of the size of the batch': [
      (x) => tf.concat([x, tf.ones(x.shape)], 1),
      /constants that do not depend on the inputs/,
    ],
    'reads its input and goes on with a number': [
      (x) => tf.add(x, x.dataSync()[0]),
      /constants that do not depend on the inputs/,
    ],
    'does more for a larger batch': [
      (x) => (x.shape[0] > 2 ? tf.relu(x) : x),
      /as many kernels for every batch, got 0 and 1/,
    ],
    'tiles by the batch': [(x) => tf.tile(x, [1, x.shape[0], 1, 1]), /Tile with the same reps for every batch/],
    'uses a kernel that nobody else has': [
      (x) => tf.cumsum(x, 1),
      /kernels that .*onnx-ops.ts has a row for, got Cumsum; next: /,
    ],
  };
  for (const [name, [pass, says]] of Object.entries(refused)) {
    it(`is refused of a pass that ${name}`, async () => {
      await selectBackend('cpu');
      const predict: Prediction = {
        inputs: () => ({ x: IMAGE }),
        outputs: { y: '' },
        forward: (_, { x }) => ({ y: pass(x) }),
      };
      const before = tf.memory().numTensors;
      assert.throws(() => onnxModel(graphOf(predict, {}, {}), ABOUT), { code: 'failed-precondition', message: says });
      assert.equal(tf.memory().numTensors, before);
    });
  }
});
