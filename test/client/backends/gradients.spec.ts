/** Our gradients against the definition of the derivative, and against the list of those that TensorFlow.js has. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { gradientTable } from '../../../client/backends/gradients/register.js';
import { selectBackend } from '../../../client/backends/index.js';
import { rngFromSeed } from '../../../shared/rng.js';
import { CASES, type Case, type Tf } from './cases/index.js';
import { type Draws, drawInputs, runCase, weights } from './support.js';

/** Step of the difference quotient: small against the 0.1 by which inputs stay off kinks. */
const STEP = 4e-3;

/** The weighted sum of the outputs at the inputs moved by `step` along `direction`, summed in float64. */
async function lossAt(tf: Tf, given: Case, inputs: readonly Draws[], direction: readonly Float32Array[], step: number) {
  const moved = inputs.map(({ shape, values }, index) =>
    tf.tensor(
      values.map((value, n) => value + step * direction[index][n]),
      shape as number[],
    ),
  );
  const output = tf.tidy(() => tf.cast(given.run(tf, ...moved), 'float32'));
  const values = await output.data();
  tf.dispose([moved, output]);
  return weights(values.length).reduce((sum, weight, n) => sum + weight * values[n], 0);
}

describe('gradients', () => {
  it('exist for every kernel for which TensorFlow.js has one, but for complex numbers', async () => {
    const { tf } = await selectBackend('cpu');
    const core = createRequire(import.meta.url).resolve('@tensorflow/tfjs-core');
    const files = readdirSync(join(dirname(core), 'gradients'));
    const upstream = files.filter((file) => file.endsWith('_grad.js')).map((file) => file.replace('_grad.js', ''));
    assert.ok(upstream.length > 90, `${upstream.length} gradients found`);
    const ours = gradientTable(tf);
    const missing = upstream.filter((name) => !(name in ours) && name !== 'ComplexAbs' && name !== 'BroadcastTo');
    assert.deepEqual(missing, []); // BroadcastTo is computed by the Tile kernel
  });

  for (const given of CASES.filter(({ constant }) => !constant)) {
    it(`of ${given.name} is the limit of the difference quotient`, async () => {
      const { tf } = await selectBackend('cpu');
      const inputs = drawInputs(given);
      const rng = rngFromSeed(2).split(given.name);
      // Each input moves by one step up or down.
      const direction = inputs.map(({ values }) => values.map(() => (rng.below(2) ? 1 : -1)));
      const [up, down] = [
        await lossAt(tf, given, inputs, direction, STEP),
        await lossAt(tf, given, inputs, direction, -STEP),
      ];
      const [, ...gradients] = await runCase(tf, given);
      const products = gradients.flatMap(({ values }, index) => Array.from(values, (g, n) => g * direction[index][n]));
      const slope = products.reduce((sum, product) => sum + product, 0);
      // Errors: of the quotient, third derivative · STEP² / 6; of the two losses, roundoff · |values| / STEP, about 1e-4 each.
      const size = Math.hypot(...products) + 1e-2;
      const difference = Math.abs((up - down) / (2 * STEP) - slope);
      assert.ok(difference <= 1e-2 * size, `slope ${slope}, quotient ${(up - down) / (2 * STEP)}, size ${size}`);
    });
  }
});
