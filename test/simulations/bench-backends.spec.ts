/** The bench of back ends takes the steps that it times; its figures are not judged here. */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { selectBackend } from '../../client/backends/index.js';
import { drawNetwork, lossOf } from '../../client/backends/measure.js';
import { MEASURED } from '../../client/training/measure-privacy.js';
import { clippedSumByTaps } from '../../client/training/per-example/index.js';
import { benchPrivateSteps } from '../../simulations/bench/backends.js';

describe('the bench of example-level privacy', () => {
  it('has a row for the 2NN and one for the demo’s CNN, and leaves no tensor', async () => {
    await selectBackend('wasm');
    const before = tf.engine().backend.numDataIds();
    const rows = (await benchPrivateSteps({ repeats: 1 })) as Record<string, number | string>[];
    // 784 · 200 + 200 + 200 · 200 + 200 + 200 · 10 + 10; 25 · 16 + 16 + 25 · 16 · 32 + 32 + 1568 · 10 + 10
    assert.deepEqual(
      rows.map(({ parameters }) => parameters),
      [199_210, 28_938],
    );
    for (const row of rows) {
      const [plain, clipped, dp, torch] = ['plain ms', 'clipped ms', 'dp ms', 'PyTorch dp ms'].map((name) => row[name]);
      assert.deepEqual(
        [row['clipped/plain'], row['dp/plain']],
        [Number(clipped) / Number(plain), Number(dp) / Number(plain)],
      );
      assert.ok(Number.isFinite(row['clipped/plain']) && Number.isFinite(row['dp/plain']), JSON.stringify(row));
      // beside PyTorch, or with the reason why not
      if (typeof torch === 'number') assert.equal(row['dp/PyTorch'], Number(dp) / torch);
      else assert.deepEqual([/^(not installed|python3 failed)$/.test(torch), row['dp/PyTorch']], [true, '']);
    }
    assert.equal(tf.engine().backend.numDataIds(), before);
  });

  it('times networks that taps cover', () => {
    for (const network of MEASURED) {
      const drawn = drawNetwork(tf, network, 2);
      const sum = tf.tidy(
        () => typeof clippedSumByTaps(drawn.params, 2, () => lossOf(tf, network, drawn), { bound: 1 }),
      );
      assert.equal(sum, 'object', network.model);
      tf.dispose([...drawn.params, drawn.x, drawn.labels]);
    }
  });
});
