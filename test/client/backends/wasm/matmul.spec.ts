/** Matrix products of the wasm back end against float64, over sizes that nobody chose. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { selectBackend } from '../../../../client/backends/index.js';
import { rngFromSeed } from '../../../../shared/rng.js';

describe('matMul on wasm', () => {
  it('is within the rounding error of its sums for any sizes and transpositions', async () => {
    const { tf } = await selectBackend('wasm');
    const size = fc.integer({ min: 1, max: 40 });
    const depths = fc.oneof(size, fc.integer({ min: 300, max: 700 }));
    const property = fc.property(
      size,
      depths,
      size,
      fc.boolean(),
      fc.boolean(),
      fc.nat(),
      (m, k, n, tA, tB, rngSeed) => {
        const rng = rngFromSeed(rngSeed);
        const [a, b] = [m * k, k * n].map((length) => Float32Array.from({ length }, () => rng.normal()));
        const product = tf.tidy(() =>
          tf.matMul(tf.tensor2d(a, tA ? [k, m] : [m, k]), tf.tensor2d(b, tB ? [n, k] : [k, n]), tA, tB).dataSync(),
        );
        for (let i = 0; i < m; i++) {
          for (let j = 0; j < n; j++) {
            let [sum, sizes] = [0, 0];
            for (let p = 0; p < k; p++) {
              const term = a[tA ? p * m + i : i * k + p] * b[tB ? j * k + p : p * n + j];
              sum += term;
              sizes += Math.abs(term);
            }
            // |error| <= k · u · sum |terms| for any order of additions (Higham 2002, section 3.1), u = 2^-24
            assert.ok(Math.abs(product[i * n + j] - sum) <= (k + 1) * 2 ** -24 * sizes, `[${i}, ${j}]`);
          }
        }
      },
    );
    fc.assert(property, { numRuns: 60, seed: 7 });
  });
});
