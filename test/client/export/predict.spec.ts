/** A run's model in use: what is predicted of data and of files, and the file for PyTorch. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { selectBackend } from '../../../client/backends/index.js';
import { readInputs } from '../../../client/export/inputs.js';
import { inputsOfRows, inputsOfSite, predicted, predictionOf } from '../../../client/export/predict.js';
import { modelBytes, node, tensor, valueInfo } from '../../../client/export/protobuf.js';
import { pytorchTensors } from '../../../client/export/pytorch.js';
import { evaluate } from '../../../client/training/evaluate.js';
import { initialModel, openSite } from '../../../client/training/task.js';
import type { InputSpec } from '../../../client/workload.js';
import { loadWorkload } from '../../../client/workloads/index.js';
import { bytesOf } from '../../../shared/tensors/bytes.js';
import { packTensors } from '../../../shared/tensors/params.js';
import { encode } from '../../../shared/tensors/safetensors.js';
import { ranByOnnx } from '../../support/runtimes.js';

const SPECS: Record<string, InputSpec> = {
  x: { shape: [2, 2], about: '' },
  code: { shape: [1], dtype: 'int32', about: '' },
};

describe('inputs from a file', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-inputs-'));
  });
  after(() => rm(folder, { recursive: true }));

  async function read(name: string, content: string | Uint8Array) {
    await writeFile(join(folder, name), content);
    const { count, values } = await readInputs(join(folder, name), SPECS);
    return { count, ...Object.fromEntries(Object.entries(values).map(([key, data]) => [key, [...data]])) };
  }

  it('are rows of CSV, with a line of names, a byte-order mark and CRLF or without', async () => {
    const rows = { count: 2, x: [1, 2, 3, 4, 5, 6, 7, 8.5], code: [9, -1] };
    assert.deepEqual(await read('a.csv', '1,2,3,4,9\n5,6,7,8.5,-1\n'), rows);
    assert.deepEqual(await read('b.csv', '\uFEFFp,"q",r,s,code\r\n1, 2,3,4,"9"\r\n5,6,7,85e-1,-1'), rows);
  });

  it('are tensors of safetensors', async () => {
    const x = { shape: [2, 2, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8.5) };
    const code = { shape: [2, 1], data: Float32Array.of(9, -1) };
    const rows = { count: 2, x: [...x.data], code: [9, -1] };
    assert.deepEqual(await read('a.safetensors', encode(packTensors({ code, x }))), rows);
  });

  const refused: Record<string, [name: string, content: string | Uint8Array, says: RegExp]> = {
    'a row that is too short': [
      'a.csv',
      '1,2,3,4,9\n5,6',
      /a\.csv, line 2: expected 5 numbers \(x \[2,2\], code \[1\]\), as the model .* name the folder .*, got 2/,
    ],
    'a word': ['a.csv', '1,2,3,4,9\n1,2,x,4,9', /line 2, column 3: expected a number, got "x"/],
    'an empty cell': ['a.csv', '1,2,3,4,9\n1,2,,4,9', /line 2, column 3: expected a number, got ""/],
    'a broken code': ['a.csv', '1,2,3,4,0.5', /column 5: expected a whole number, got "0.5"/],
    'another kind of file': ['a.txt', '1', /expected a folder, a \.csv or a \.safetensors file/],
    'a missing tensor': [
      'a.safetensors',
      encode(packTensors({ x: { shape: [1, 2, 2], data: new Float32Array(4) } })),
      /expected "?code"? of shape \[count,1\] in F32, I32 or I64, got "tensors x"/,
    ],
    'another shape': [
      'a.safetensors',
      encode(packTensors({ x: { shape: [1, 4], data: new Float32Array(4) } })),
      /expected "?x"? of shape \[count,2,2\] .* got "F32 \[1,4\]"/,
    ],
  };
  for (const [what, [name, content, says]] of Object.entries(refused)) {
    it(`are refused of ${what}`, () =>
      assert.rejects(read(name, content), { code: 'invalid-argument', message: says }));
  }
});

describe('a prediction', () => {
  before(() => selectBackend('cpu'));

  async function cnnSmoke() {
    const workload = await loadWorkload('cnn');
    const { hyper } = workload.manifest.scales.smoke;
    const site = await openSite(workload, { hyper, seed: 5 });
    return { workload, hyper, site, predict: predictionOf(workload), ...initialModel(workload, { hyper, seed: 5 }) };
  }

  it('is as often right as the evaluation says, and the same from a file', async () => {
    const { workload, hyper, site, predict, shared } = await cnnSmoke();
    const all = site.shard('iid', undefined);
    const { accuracy } = await evaluate({
      ...{ workload, data: site.data, hyper, shard: all, split: 'test', shared, privateTensors: {} },
    });
    const { labels } = workload.examples(site.data, hyper).test;
    const source = inputsOfSite(site, hyper);
    const held = tf.memory().numTensors;
    let right = 0;
    const rows: number[][] = [];
    for await (const { first, count, outputs } of predicted(predict, shared, source, hyper)) {
      const { shape, values } = outputs.probabilities;
      assert.deepEqual(shape, [10]);
      for (let row = 0; row < count; row++) {
        const numbers = Array.from({ length: 10 }, (_, i) => values[row * 10 + i]);
        right += numbers.indexOf(Math.max(...numbers)) === labels![first + row] ? 1 : 0;
        rows.push(numbers);
      }
    }
    assert.equal(tf.memory().numTensors, held);
    assert.deepEqual([rows.length, right], [accuracy.count, accuracy.sum[0]]);
    const { images } = source.inputs(0, rows.length);
    const again = inputsOfRows(
      { count: rows.length, values: { images: images.dataSync() as Float32Array } },
      predict,
      hyper,
    );
    let at = 0;
    for await (const { count, outputs } of predicted(predict, shared, again, hyper)) {
      assert.deepEqual([...(outputs.probabilities.values as Float32Array)], rows.slice(at, at + count).flat());
      at += count;
    }
  });

  it('is not offered of a workload without predict, in words', async () => {
    const { workload } = await cnnSmoke();
    assert.throws(() => predictionOf({ ...workload, predict: undefined }), {
      code: 'failed-precondition',
      message: /workload cnn: expected one that brings predict, got none; next: /,
    });
  });

  it('comes out of the PyTorch file, by layers as PyTorch computes them', async () => {
    // ONNX defines Conv (cross-correlation, [out, in, height, width]) and Gemm with transB = 1 ([out, in]) as torch.nn's
    // Conv2d and Linear; the padding and the permutation are those of docs/use-the-model.md.
    const { hyper, site, predict, shared } = await cnnSmoke();
    const tensors = pytorchTensors(shared);
    assert.deepEqual(
      Object.entries(tensors).map(([name, { shape }]) => [name, shape]),
      [
        ['conv1.weight', [4, 1, 5, 5]],
        ['conv1.bias', [4]],
        ['conv2.weight', [8, 4, 5, 5]],
        ['conv2.bias', [8]],
        ['logits.weight', [10, 72]],
        ['logits.bias', [10]],
      ],
    );
    const conv = { strides: { ints: [2, 2] }, pads: { ints: [1, 1, 2, 2] } };
    const step = (op: string, inputs: string[], output: string, attrs = {}) => node(op, { inputs, output, attrs });
    const file = modelBytes({
      ...{ name: 'torch', producerVersion: '0', metadata: {} },
      nodes: [
        step('Conv', ['images', 'conv1.weight', 'conv1.bias'], 'a', conv),
        step('Relu', ['a'], 'b'),
        step('Conv', ['b', 'conv2.weight', 'conv2.bias'], 'c', conv),
        step('Relu', ['c'], 'd'),
        step('Transpose', ['d'], 'e', { perm: { ints: [0, 2, 3, 1] } }),
        step('Flatten', ['e'], 'f', { axis: { int: 1 } }),
        step('Gemm', ['f', 'logits.weight', 'logits.bias'], 'g', { transB: { int: 1 } }),
        step('Softmax', ['g'], 'probabilities', { axis: { int: -1 } }),
      ],
      initializers: Object.entries(tensors).map(([name, { shape, data }]) => {
        return tensor(name, 'float32', shape, bytesOf(data));
      }),
      inputs: [valueInfo('images', 'float32', ['batch', 1, 12, 12], '')],
      outputs: [valueInfo('probabilities', 'float32', ['batch', 10], '')],
    });
    const { images } = inputsOfSite(site, hyper).inputs(0, 7);
    const theirs = tf.transpose(images as tf.Tensor4D, [0, 3, 1, 2]);
    const { probabilities } = await ranByOnnx(file, { images: theirs });
    const params = Object.fromEntries(
      Object.entries(shared).map(([name, { shape, data }]) => [name, tf.tensor(data, [...shape])]),
    );
    const ours = predict.forward(params, { images }, hyper).probabilities.dataSync();
    for (const [i, value] of [...ours].entries()) assert.ok(Math.abs(value - probabilities.data[i]) < 1e-6, `${i}`);
  });
});
