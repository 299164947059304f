/** The element-wise functions written in SIMD against JavaScript's Math in float64. */
import assert from 'node:assert/strict';
import { selectBackend } from '../../../../client/backends/index.js';
import type { Tf } from '../cases/index.js';

const FUNCTIONS: readonly [
  name: 'exp' | 'log' | 'tanh' | 'sigmoid' | 'softplus',
  exact: (x: number) => number,
  from: number,
  to: number,
][] = [
  ['exp', Math.exp, -87, 88.7],
  ['log', Math.log, 2 ** -126, 4],
  ['log', Math.log, 4, 3e38],
  ['tanh', Math.tanh, -12, 12],
  ['sigmoid', (x) => 1 / (1 + Math.exp(-x)), -80, 80],
  ['softplus', (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))), -80, 80],
];

async function apply(tf: Tf, name: (typeof FUNCTIONS)[number][0], xs: Float32Array): Promise<Float32Array> {
  const x = tf.tensor1d(xs);
  const y = tf[name](x);
  const values = (await y.data()) as Float32Array;
  tf.dispose([x, y]);
  return values;
}

describe('SIMD functions of the wasm back end', () => {
  for (const [name, exact, from, to] of FUNCTIONS) {
    it(`${name} is within 4 units in the last place from ${from} to ${to}`, async () => {
      const { tf } = await selectBackend('wasm');
      const count = 40_001;
      const xs = Float32Array.from({ length: count }, (_, n) => from + ((to - from) * n) / (count - 1));
      const ys = await apply(tf, name, xs);
      let worst = 0;
      xs.forEach((x, n) => {
        const y = exact(x);
        // A unit in the last place of a normal float32, 2^-23 of its power of two; results near zero count absolutely.
        const unit = 2 ** Math.max(-126, Math.floor(Math.log2(Math.abs(y)))) * 2 ** -23;
        worst = Math.max(worst, Math.abs(ys[n] - y) / unit);
      });
      assert.ok(worst <= 4, `${worst} units`);
    });
  }

  it('treat infinities, zeros and NaN as Math does', async () => {
    const { tf } = await selectBackend('wasm');
    const xs = Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0, 200, -200, -1);
    for (const [name, exact] of FUNCTIONS) {
      const ys = await apply(tf, name, xs);
      const expected = Float32Array.from(xs, exact);
      xs.forEach((x, n) => {
        const close = Object.is(ys[n], expected[n]) || Math.abs(ys[n] - expected[n]) <= 1e-6 * Math.abs(expected[n]);
        assert.ok(close, `${name}(${x}): expected ${expected[n]}, got ${ys[n]}`);
      });
    }
  });
});
