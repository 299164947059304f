/** Chunks that one example changes one of, and what float sums over them may add to the sensitivity: claimed, and measured. */
import assert from 'node:assert/strict';
import { type BackendName, selectBackend } from '../../../../client/backends/index.js';
import { chunksOf, floatAllowance, LEAST_BOUND, MOST_BOUND } from '../../../../client/training/per-example/chunks.js';
import { poissonBatch } from '../../../../shared/privacy/mechanisms/poisson.js';
import { rngFromSeed } from '../../../../shared/rng.js';
import { type Example, lotSum, product } from './linear-layers.js';

/** Four deviations above `batchSize`, and 173 at most: 128 + 4 √128. */
const mostOf = (batchSize: number) => Math.floor(Math.min(batchSize, 128) + 4 * Math.sqrt(Math.min(batchSize, 128)));

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

describe('the chunks of a lot', () => {
  const sizes = (lot: Int32Array, batchSize: number, samplingRate: number) =>
    chunksOf(lot, { batchSize, samplingRate }).map(({ length }) => length);
  const all = (count: number) => Int32Array.from({ length: count }, (_, i) => i);

  it('are of the batch size when everybody is in, and of 128 when that is larger', () => {
    assert.deepEqual(sizes(all(23), 7, 1), [7, 7, 7, 2]);
    assert.deepEqual(sizes(all(300), 8192, 1), [128, 128, 44]);
    assert.deepEqual(sizes(all(0), 7, 1), []);
  });

  it('hold as many as a batch on average, and halve the places where chance put too many', () => {
    // a quarter of the examples, 8 in a chunk: 32 positions each, and 8 + 4 √8 = 19 at most
    assert.deepEqual(sizes(all(32), 8, 0.25), [16, 16]);
    assert.deepEqual(sizes(all(19), 8, 0.25), [19]);
    assert.deepEqual(sizes(all(20), 8, 0.25), [16, 4]);
    assert.deepEqual(sizes(all(20), 8, 2 ** -40), [16, 4]); // of 2^43 positions, halved 39 times
    const lot = Int32Array.from(poissonBatch({ population: 40_000, samplingRate: 0.01, rng: rngFromSeed(3) }));
    const drawn = sizes(lot, 32, 0.01); // 400 of them, 3200 positions a chunk
    assert.equal(drawn.length, 13);
    assert.ok(Math.abs(sum(drawn) / 12.5 - 32) < 5, `${drawn}`);
  });

  it('are the same for a lot with one example more, but for those of one chunk at most', () => {
    const rng = rngFromSeed(8);
    for (let n = 0; n < 2000; n++) {
      const population = 1 + rng.below(3000);
      const samplingRate = [1, 0.7, 0.25, 0.05, 0.01][rng.below(5)];
      const batchSize = [1, 2, 7, 32, 500][rng.below(5)];
      // crowds where the sampler would hardly ever put one, whole or with gaps
      const [start, span, density] = [rng.below(population), rng.below(400), rng.uniform()];
      const chosen = all(population).filter((i) =>
        i >= start && i < start + span ? rng.uniform() < density : rng.uniform() < samplingRate,
      );
      const one = rng.below(population);
      const [larger, smaller] = [
        Int32Array.from(new Set([...chosen, one])).sort(),
        chosen.filter((i) => i !== one),
      ].map((lot) => chunksOf(lot, { batchSize, samplingRate }));
      const keys = [larger, smaller].map((chunks) => new Set(chunks.map((chunk) => chunk.join())));
      const changed = [larger, smaller].map((chunks, side) =>
        sum(chunks.filter((chunk) => !keys[1 - side].has(chunk.join())).map(({ length }) => length)),
      );
      const about = `lot ${n} of seed 8: ${changed} changed, of ${batchSize} at ${samplingRate}`;
      const most = mostOf(batchSize);
      assert.ok(changed[0] <= most + 1 && changed[1] === changed[0] - 1, about);
      for (const chunks of [larger, smaller]) {
        assert.ok(
          chunks.every(({ length }) => length > 0 && length <= most),
          about,
        );
      }
      assert.deepEqual(
        smaller.flatMap((chunk) => [...chunk]),
        [...chosen.filter((i) => i !== one)],
      );
    }
  });
});

describe('what float arithmetic is allowed to add to the sensitivity', () => {
  /** What it was: all chunks of a lot shift when one example is drawn more. */
  const formerly = (chunk: number, lot: number) => 2 ** -10 + Math.min(chunk, lot) * lot * 2 ** -23;

  const batches = [1, 2, 8, 32, 128, 129, 512, 1024, 4096, 8192];
  const lots = [0.1, 1, 30, 600, 6000, 16_384, 100_000, 1_000_000];

  it('is less than a hundredth for every batch and lot, where it was several times the bound', () => {
    for (const batch of batches) {
      for (const lot of lots) {
        const allowance = floatAllowance(batch, lot);
        assert.ok(allowance > 2 ** -10 && allowance < 0.01, `${batch} of ${lot}: ${allowance}`);
      }
    }
    assert.ok(formerly(512, 6000) > 0.36 && formerly(1024, 16_384) > 2 && formerly(8192, 1e6) > 900);
    // 2^-10 + 54² 2^-23 for chunks of 32 + 4 √32 = 54, and nothing to speak of for 19 chunks of a lot of 600
    assert.ok(Math.abs(floatAllowance(32, 600) - (0.0009765625 + 2916 / 8_388_608)) < 1e-10);
  });

  it('covers bounds from 2^-40 to 2^40', async () => {
    await selectBackend('cpu');
    for (const bound of [LEAST_BOUND, MOST_BOUND]) {
      for (const [x, d] of [
        [1e19, 1e-19],
        [1e-19, 1e19],
        [1e18, 1],
        [1, 1e18],
      ]) {
        const example = { x: new Float32Array(6).fill(x), d: new Float32Array(7).fill(d) };
        const clipped = await lotSum(product(1, [6, 7]), [example], { method: 'taps', clipping: { bound } });
        const length = Math.hypot(...clipped);
        assert.ok(length <= bound * 1.001, `${x} · ${d}: ${length} of ${bound}`);
      }
    }
  });
});

for (const backend of ['wasm', 'cpu'] satisfies BackendName[]) {
  describe(`what float arithmetic does add to the sensitivity on ${backend}`, () => {
    before(() => selectBackend(backend));

    for (const { batchSize, samplingRate, method } of [
      { batchSize: 512, samplingRate: 1, method: 'taps' },
      { batchSize: 100, samplingRate: 0.3, method: 'taps' },
      { batchSize: 64, samplingRate: 0.3, method: 'loop' },
    ] as const) {
      it(`is within what is allowed: batches of ${batchSize} at ${samplingRate}, by ${method}`, async () => {
        const count = method === 'loop' ? 600 : 6000;
        const rng = rngFromSeed(21);
        const layer = product(1, [2, 2]);
        // all in nearly one direction and clipped, so that sums grow as far as they can and lose the most bits
        const examples: Example[] = Array.from({ length: count }, () => ({
          x: Float32Array.of(1 + rng.uniform() / 10, 0.7),
          d: Float32Array.of(1 + rng.uniform() / 10, 0.9),
        }));
        const lot = Int32Array.from(poissonBatch({ population: count, samplingRate, rng }));
        const options = { method, batchSize, samplingRate, clipping: { bound: 1 } };
        const whole = await lotSum(layer, examples, { ...options, lot });
        let most = 0;
        for (const at of [0, 1, lot.length >> 1, lot.length - 1]) {
          const one = lot[at];
          const alone = await lotSum(layer, examples, { ...options, lot: Int32Array.of(one) });
          const without = await lotSum(layer, examples, { ...options, lot: lot.filter((i) => i !== one) });
          assert.ok(Math.hypot(...alone) <= 1 + 2 ** -10);
          most = Math.max(most, Math.hypot(...whole.map((value, i) => value - without[i] - alone[i])));
        }
        const allowed = floatAllowance(batchSize, samplingRate * count) - 2 ** -10;
        assert.ok(most <= allowed, `${most} of ${allowed}`);
        assert.ok(most > 0, 'a sum of many float32 numbers that is exact tells nothing');
      });
    }
  });
}
