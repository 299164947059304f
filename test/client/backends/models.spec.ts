/** Whole models on every training back end: the gradients of cpu, a falling loss, nothing leaked, equal bits every time. */
import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';
import { probeBackends, selectBackend } from '../../../client/backends/index.js';
import { MODELS, train, trainingDigest } from './models.js';
import { assertClose, gradientsOf, type Result } from './support.js';

const names = (await probeBackends()).filter((probe) => probe.available).map((probe) => probe.name);

for (const name of names) {
  describe(`models on ${name}`, () => {
    for (const model of MODELS) {
      it(`${model.name}: gradients as on cpu`, async () => {
        const expected: Result = await gradientsOf((await selectBackend('cpu')).tf, model);
        const actual = await gradientsOf((await selectBackend(name)).tf, model);
        // Through some ten layers rounding errors add up as in a sum of a few thousand terms; a GPU's sine is coarse.
        assertClose(actual, expected, 4_000, name === 'wasm' || name === 'cpu' ? 0 : 2 ** -8);
      });

      it(`${model.name}: the loss falls by a tenth in ten steps, and no tensor is left`, async () => {
        const { tf } = await selectBackend(name);
        const before = [tf.memory().numTensors, tf.engine().backend.numDataIds()];
        const { losses } = await train(tf, model, 10);
        assert.ok(losses[9] < 0.9 * losses[0], `losses ${losses}`);
        assert.deepEqual([tf.memory().numTensors, tf.engine().backend.numDataIds()], before);
      });
    }
  });
}

describe('models on wasm', () => {
  it('train for fifty steps in the memory of five', async () => {
    const { tf } = await selectBackend('wasm');
    const sizeBytes = () => (tf.backend() as unknown as { wasm: { HEAPU8: Uint8Array } }).wasm.HEAPU8.length;
    await train(tf, MODELS[0], 5);
    const before = sizeBytes();
    await train(tf, MODELS[0], 50);
    assert.equal(sizeBytes(), before);
  });

  it('come out the same to the bit on every run and in a worker thread', async () => {
    const { tf } = await selectBackend('wasm');
    const digests: string[] = [];
    for (let run = 0; run < 2; run++) digests.push(await trainingDigest(tf));
    const worker = new Worker(new URL('./worker.js', import.meta.url));
    digests.push(await new Promise<string>((resolve, reject) => worker.once('message', resolve).once('error', reject)));
    await worker.terminate();
    assert.equal(new Set(digests).size, 1, digests.join(' '));
  });
});
