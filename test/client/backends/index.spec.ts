/** Which back end is chosen, what is said about it, and that choosing is quiet and without side effects. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { promisify } from 'node:util';
import { BACKEND_NAMES, type BackendName, probeBackends, selectBackend } from '../../../client/backends/index.js';
import { measureSteps } from '../../../client/backends/measure.js';
import { FlError } from '../../../shared/errors.js';

const INDEX = new URL('../../../client/backends/index.js', import.meta.url).href;

/** Runs an ES module in a process of its own, in a folder without packages. */
function run(code: string) {
  return promisify(execFile)(process.execPath, ['--input-type=module', '--eval', code], { cwd: tmpdir() });
}

describe('selectBackend', () => {
  it('takes the best back end of the probed ones and says why not a better one', async () => {
    const probes = await probeBackends();
    const best = probes.find(({ why }) => why === 'ready');
    const chosen = await selectBackend();
    assert.equal(chosen.name, best?.name);
    assert.equal(chosen.tf.getBackend(), chosen.name.startsWith('tfjs-node') ? 'tensorflow' : chosen.name);
    const better = probes.slice(
      0,
      probes.findIndex(({ name }) => name === chosen.name),
    );
    for (const { name } of better) assert.ok(chosen.why.includes(name), chosen.why);
  });

  it('refuses a back end that is missing and says how to get it', async () => {
    const missing = (await probeBackends()).filter(({ available }) => !available);
    assert.ok(missing.length > 0); // tfjs-node and tfjs-node-gpu exclude each other
    for (const { name } of missing) {
      await assert.rejects(selectBackend(name), (error) => {
        assert.ok(error instanceof FlError);
        assert.equal(error.code, 'failed-precondition');
        assert.match(error.message, new RegExp(`^back end ${name}: .+ To get it: npm install `));
        return true;
      });
    }
  });

  it('refuses a name that is none', async () => {
    await assert.rejects(selectBackend('cuda' as BackendName), {
      code: 'invalid-argument',
      message: /tfjs-node.+"cuda"/,
    });
  });

  it('moves between back ends and back', async () => {
    for (const name of ['cpu', 'wasm', 'cpu', 'wasm'] as const) {
      const { tf, why } = await selectBackend(name);
      assert.equal(tf.getBackend(), name);
      assert.equal(why, `${name} was asked for.`);
      const product = tf.tidy(() => tf.matMul(tf.tensor2d([[1, 2]]), tf.tensor2d([[3], [4]])));
      assert.deepEqual([...(await product.data())], [11]); // 1·3 + 2·4
      product.dispose();
    }
  });

  it('finds its files from any folder, prints nothing and leaves no handler behind', async () => {
    const { stdout, stderr } = await run(`
      const { selectBackend } = await import('${INDEX}');
      for (const name of ['wasm', 'cpu']) {
        const { tf } = await selectBackend(name);
        tf.tidy(() => tf.grad((x) => tf.sum(tf.conv2d(x, tf.ones([2, 2, 1, 1]), 1, 'same')))(tf.ones([1, 3, 3, 1])));
      }
      for (const event of ['uncaughtException', 'unhandledRejection']) {
        if (process.listenerCount(event) > 0) throw new Error(event);
      }
    `);
    assert.deepEqual({ stdout, stderr }, { stdout: '', stderr: '' });
  });

  it('imports TensorFlow.js only when asked', async () => {
    const { stdout } = await run(`
      const { selectBackend } = await import('${INDEX}');
      const before = '_tfengine' in globalThis;
      await selectBackend('cpu');
      console.log(before, '_tfengine' in globalThis);
    `);
    assert.equal(stdout.trim(), 'false true');
  });
});

describe('probeBackends', () => {
  it('names all back ends, best first, and leaves the current one alone', async () => {
    const { tf } = await selectBackend('cpu');
    const probes = await probeBackends();
    assert.deepEqual(
      probes.map(({ name }) => name),
      ['tfjs-node-gpu', 'tfjs-node', 'webgpu', 'wasm', 'cpu'],
    );
    assert.deepEqual(
      BACKEND_NAMES,
      probes.map(({ name }) => name),
    );
    assert.equal(tf.getBackend(), 'cpu');
  });
});

describe('measureSteps', () => {
  it('times each network and leaves no tensor', async () => {
    const { tf } = await selectBackend('wasm');
    const before = tf.memory().numTensors;
    const times = await measureSteps(tf, { batchSize: 2, repeats: 1 });
    assert.equal(times.length, 3);
    assert.equal(new Set(times.map(({ model }) => model)).size, 3);
    for (const { batchSize, stepMs, evaluationMs } of times) {
      assert.equal(batchSize, 2);
      assert.ok(Number.isFinite(stepMs) && Number.isFinite(evaluationMs), 'a median of no step is none');
    }
    assert.equal(tf.memory().numTensors, before);
  });
});
