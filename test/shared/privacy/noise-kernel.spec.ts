/** The noise kernel against the plain versions, bit for bit, from equal generators: values, ties and what is drawn afterwards. */
import assert from 'node:assert/strict';
import {
  BLOCK_WORDS,
  type Draw,
  plainDraw,
  type Thresholds,
  thresholdsOf,
} from '../../../shared/privacy/noise/draw.js';
import { fastestDraw, noiseKernel } from '../../../shared/privacy/noise/kernel.js';
import { noisyMean, plainMean, roundedGaussianNoise } from '../../../shared/privacy/noise/rounded-gaussian.js';
import { type Rng, rngFromSeed } from '../../../shared/rng.js';

/** A table of `size` entries whose probabilities fall by `decay` from the middle to the ends, as those of noise do. */
function tableOf(size: number, decay: number): Thresholds {
  const reach = (size - 1) / 2;
  const weights = Array.from({ length: size }, (_, i) => Math.exp(-decay * ((i - reach) / reach) ** 2));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const low = BigUint64Array.from(weights, (_, i) => BigInt(i) * 0x9e37_79b9_7f4a_7c15n);
  let sum = 0;
  const high = Uint32Array.from(weights, (weight) => {
    sum += weight;
    return Math.min(0xffff_ffff, Math.floor((sum / total) * 2 ** 32));
  });
  high[size - 1] = 0xffff_ffff;
  return thresholdsOf(high, low, reach);
}

/** A generator whose bytes are these words, again and again; its u32() are other ones. */
function rngOf(words: Uint32Array): Rng {
  const rest = rngFromSeed(8);
  let position = 0;
  const fill = (out: Uint8Array) => {
    const bytes = new Uint8Array(words.buffer);
    for (let i = 0; i < out.length; i++) out[i] = bytes[position++ % bytes.length];
  };
  const bytes = (length: number) => {
    const out = new Uint8Array(length);
    fill(out);
    return out;
  };
  return { ...rest, fill, bytes, u32: () => rest.u32() };
}

/** Draws by both from equal generators into equal vectors; the generators must be left alike. */
function assertAlike(fast: Draw, plain: Draw, makeRng: () => Rng, length: number, factor: number): void {
  const [got, expected] = [fast, plain].map((draw) => {
    const out = Int32Array.from({ length: length + 1 }, (_, i) => 0x7fff_fff0 + 17 * i).subarray(1);
    const rng = makeRng();
    draw(out, rng, factor);
    return { out, next: [rng.u32(), ...rng.bytes(8)] };
  });
  assert.deepEqual(got.next, expected.next);
  assert.deepEqual(got.out, expected.out);
}

describe('the noise kernel', () => {
  it('is there on this platform, for vectors of a block or more', () => {
    assert.notEqual(noiseKernel(BLOCK_WORDS), undefined);
    assert.equal(noiseKernel(BLOCK_WORDS - 1), undefined);
  });

  // three entries, a few, those of a deviation of 1000, and flat or so steep that most thresholds share a prefix with others
  for (const [size, decay] of [
    [3, 1],
    [101, 60],
    [24_637, 68],
    [24_637, 0],
    [200_001, 2000],
  ]) {
    it(`draws as the plain version does from ${size} entries that fall by e^-${decay}`, () => {
      const table = tableOf(size, decay);
      const [fast, plain] = [fastestDraw(table), plainDraw(table)];
      for (const length of [4095, 4096, 4097, 8191, 20_003]) {
        for (const factor of [1, -423, 0x4000_0001]) {
          assertAlike(fast, plain, () => rngFromSeed(length), length, factor);
        }
      }
    });
  }

  it('breaks ties as the plain version does, and none beyond the end of a vector', () => {
    const table = tableOf(24_637, 68);
    const edges = Array.from(table.high).flatMap((high) => [high, high, high + 1, high - 1]);
    const words = Uint32Array.from([...edges, 0, 0xffff_ffff, 0xffff_fffe]);
    rngFromSeed(2).shuffle(words);
    for (const length of [4096, 4097, 4098, 4099, 60_001]) {
      assertAlike(fastestDraw(table), plainDraw(table), () => rngOf(words), length, 3);
    }
  });

  it('makes room for further tables by dropping those that it has', () => {
    // 1.5 million entries each: 6.3 MB, of which two have room
    const low = new BigUint64Array(1_500_001);
    const tables = [1, 2, 3].map((steepness) => {
      const high = new Uint32Array(low.length);
      for (let i = 0; i < high.length; i++) high[i] = Math.floor((2 ** 32 - 1) * (i / (high.length - 1)) ** steepness);
      const table = thresholdsOf(high, low, 750_000);
      return { fast: fastestDraw(table), plain: plainDraw(table) };
    });
    for (const { fast, plain } of [...tables, ...tables]) assertAlike(fast, plain, () => rngFromSeed(1), 5000, 1);
  });

  it('keeps nothing of a draw into a vector outside its memory', () => {
    fastestDraw(tableOf(101, 60))(new Int32Array(5000).fill(9), rngFromSeed(1), 1);
    const kept = noiseKernel(BLOCK_WORDS)?.vector(BLOCK_WORDS);
    assert.deepEqual(kept, new Int32Array(BLOCK_WORDS));
  });

  it('gives the same noisy mean', () => {
    const table = roundedGaussianNoise(44_321);
    for (const length of [4095, 4096, 4099, 20_002, 70_001]) {
      const uniform = rngFromSeed(length);
      const sum = Float64Array.from({ length }, () => 3 * uniform.normal());
      sum.set([0, -0, 1e-300, 0.5 * 0.0013, -0.5 * 0.0013, 1.5 * 0.0013, 1e9, -1e9]);
      const lattice = { lattice: { granularity: 0.0013, latticeStdDev: 44_321, inflation: 1 }, table };
      const got = noisyMean(sum, lattice, 31.7, rngFromSeed(4));
      const noise = new Int32Array(length);
      table.fill(noise, rngFromSeed(4));
      const expected = new Float32Array(length);
      plainMean(sum, noise, { granularity: 0.0013, divisor: 31.7, out: expected });
      assert.deepEqual(got, expected);
    }
  });
});

describe('the generator', () => {
  it('fills an array with the bytes that it would return', () => {
    const [filling, returning] = [rngFromSeed(6), rngFromSeed(6)];
    for (const length of [0, 1, 511, 513, 16_384, 50_001, 4]) {
      const out = new Uint8Array(length).fill(7);
      filling.fill(out);
      assert.deepEqual(out, returning.bytes(length));
      assert.equal(filling.u32(), returning.u32());
    }
  });
});
