/** Rounding that is right on average, sums that cannot wrap, packing without loss. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { FlError } from '../../../shared/errors.js';
import { rngFromSeed } from '../../../shared/rng.js';
import { createKernel } from '../../../shared/secagg/kernel.js';
import { dequantize, elementsOf, type QuantizeSpec, quantize, ringFor } from '../../../shared/secagg/quantize.js';
import { centre, chooseRing, pack, packedBytes, ringMayWrap, unpack } from '../../../shared/secagg/ring.js';
import { nodeSuite } from '../../../shared/secagg/suites/node.js';

const tools = { kernel: createKernel(), suite: nodeSuite, rng: rngFromSeed(11) };
const spec: QuantizeSpec = { valueRange: 2, quantizeBits: 8, weightCap: 4, metricBounds: [100] };
const isInvalid = (error: unknown): boolean => error instanceof FlError && error.code === 'invalid-argument';

describe('secagg quantization', () => {
  it('writes values, the weight and metrics as one vector, and reads their sums back', () => {
    // 127 steps per bound: 2 -> 127, -2 -> -127, 5 is clamped, each times the weight 3; 100 -> 127 without it.
    const contribution = { values: Float32Array.of(2, -2, 5, 0), weight: 3, metrics: [100] };
    const vector = quantize(tools, spec, contribution);
    assert.deepEqual([...vector], [381, -381, 381, 0, 3, 127]);
    const sums = { values: Float64Array.of(6, -6, 6, 0), weight: 3, ownWeights: [], metrics: [100] };
    assert.deepEqual(dequantize(spec, vector), sums);
  });

  it('lets whole numbers through as they are, and nothing that is none or beyond the grid', () => {
    const whole = { ...spec, metricBounds: [100, 1, 1], wholeMetrics: [false, true, true] };
    const contribution = { values: Float32Array.of(0), weight: 1, metrics: [0, 127, -3] };
    const vector = quantize(tools, whole, contribution);
    assert.deepEqual([...vector], [0, 1, 0, 127, -3]);
    assert.deepEqual(dequantize(whole, vector).metrics, [0, 127, -3]);
    for (const wrong of [0.5, 128, -128, Number.NaN]) {
      assert.throws(() => quantize(tools, whole, { ...contribution, metrics: [0, wrong, 0] }), isInvalid);
    }
  });

  it('multiplies each part by the weight, by one or by its own weight, which is capped and masked like the rest', () => {
    // 127 steps for a value of 2: times 1, times 3, times own weights of 2, 0 and (capped) 4.
    const weighs = ['one', 'client', 'own', 'own', 'own'] as const;
    const parted = { ...spec, parts: weighs.map((how) => ({ size: 1, weighs: how })) };
    const values = new Float32Array(5).fill(2);
    const vector = quantize(tools, parted, { values, weight: 3, ownWeights: [2, 0, 9], metrics: [100] });
    assert.deepEqual([...vector], [127, 381, 254, 0, 508, 3, 2, 0, 4, 127]);
    assert.equal(elementsOf(parted, 5), vector.length);
    const sums = { values: Float64Array.of(2, 6, 4, 0, 8), weight: 3, ownWeights: [2, 0, 4], metrics: [100] };
    assert.deepEqual(dequantize(parted, vector), sums);
    for (const ownWeights of [
      [1, 1],
      [1, 1, 0.5],
      [1, 1, -1],
    ]) {
      assert.throws(() => quantize(tools, parted, { values, weight: 3, ownWeights, metrics: [100] }), isInvalid);
    }
    const short = { values: values.subarray(1), weight: 3, ownWeights: [2, 0, 9], metrics: [100] };
    assert.throws(() => quantize(tools, parted, short), isInvalid);
  });

  it('clamps the weight, and values and metrics however far out, accepts no values at all, and refuses what is not finite', () => {
    assert.equal(quantize(tools, spec, { values: new Float32Array(0), weight: 900, metrics: [0] })[0], 4);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => quantize(tools, spec, { values: Float32Array.of(bad), weight: 1, metrics: [0] }), isInvalid);
      assert.throws(() => quantize(tools, spec, { values: Float32Array.of(0), weight: 1, metrics: [bad] }), isInvalid);
    }
    for (const [far, at] of [
      [1e41, 127], // 1e39 bounds: beyond float32, and no error, which would be a word about somebody's examples
      [-Number.MAX_VALUE, -127],
    ]) {
      const vector = quantize(tools, spec, { values: Float32Array.of(3e38), weight: 1, metrics: [far] });
      assert.deepEqual([...vector], [127, 1, at]);
    }
    assert.throws(() => quantize(tools, spec, { values: Float32Array.of(0), weight: 0, metrics: [0] }), isInvalid);
    assert.throws(() => quantize(tools, spec, { values: Float32Array.of(0), weight: 1.5, metrics: [0] }), isInvalid);
    assert.throws(() => quantize(tools, spec, { values: Float32Array.of(0), weight: 1, metrics: [] }), isInvalid);
  });

  for (const [fraction, quantizeBits] of [
    [0.3, 8],
    [0.0625, 16],
    [-0.71, 4],
  ] as const) {
    it(`rounds ${fraction} of a step up or down so that the mean is right, at ${quantizeBits} bits`, () => {
      const count = 200_000;
      const at = { valueRange: 1, quantizeBits, weightCap: 1, metricBounds: [] };
      const step = 1 / (2 ** (quantizeBits - 1) - 1);
      const values = new Float32Array(count).fill(fraction * step);
      const rounded = quantize(tools, at, { values, weight: 1, metrics: [] }).subarray(0, count);
      const low = Math.floor(fraction);
      assert.deepEqual(
        [...new Set(rounded)].sort((a, b) => a - b),
        [low, low + 1],
      );
      // Bernoulli(p): the mean of `count` draws is within 5 standard deviations, 5 sqrt(p(1-p)/count) < 0.0056.
      const p = fraction - low;
      const mean = rounded.reduce((sum, value) => sum + value, 0) / count;
      assert.ok(Math.abs(mean - fraction) < 5 * Math.sqrt((p * (1 - p)) / count), `mean ${mean}`);
    });
  }

  it('never leaves the bound, whatever float32 does to value times scale', () => {
    fc.assert(
      fc.property(
        fc.float({ noNaN: true, noDefaultInfinity: true }),
        fc.integer({ min: 2, max: 24 }),
        fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
        (value, quantizeBits, valueRange) => {
          const at = { valueRange, quantizeBits, weightCap: 1, metricBounds: [] };
          const values = Float32Array.of(value, valueRange, -valueRange);
          const out = quantize(tools, at, { values, weight: 1, metrics: [] });
          return out.subarray(0, 3).every((q) => Math.abs(q) <= 2 ** (quantizeBits - 1) - 1);
        },
      ),
      { numRuns: 300, seed: 12 },
    );
  });
});

describe('secagg ring', () => {
  it('has room for the cohorts that the bound allows and throws one client later', () => {
    // n * (2^(b-1) - 1) < 2^31: b = 16 holds 65,538 clients (65,538 * 32,767 = 2^31 - 2), b = 22 holds 1,024.
    const at = (quantizeBits: number, weightCap: number): QuantizeSpec => ({ ...spec, quantizeBits, weightCap });
    assert.equal(ringFor(at(16, 1), 65_538).bits, 32);
    assert.throws(() => ringFor(at(16, 1), 65_539), isInvalid);
    assert.equal(ringFor(at(22, 1), 1024).bits, 32);
    assert.throws(() => ringFor(at(22, 1), 1025), isInvalid);
    assert.throws(() => ringFor(at(16, 65), 1009), isInvalid);
    assert.equal(ringMayWrap({ bits: 32, valueMax: 1, noiseTailMax: 2 ** 31 - 1 }, 1), true);
    assert.equal(ringMayWrap({ bits: 32, valueMax: Number.NaN, noiseTailMax: 0 }, 1), true);
  });

  it('chooses the least ring on request: 100 clients of 8 bits need 15', () => {
    // 100 * 127 = 12,700 < 2^14
    assert.equal(chooseRing({ clients: 100, valueMax: 127 }, true).bits, 15);
    assert.equal(chooseRing({ clients: 100, valueMax: 127 }).bits, 32);
  });

  it('refuses specs outside their range', () => {
    for (const wrong of [{ quantizeBits: 25 }, { quantizeBits: 1 }, { weightCap: 0 }, { valueRange: 0 }]) {
      assert.throws(() => ringFor({ ...spec, ...wrong }, 3), isInvalid);
    }
  });

  it('centres: in 4 bits, 7 is 7, 8 is -8 and 15 is -1, whatever stands above', () => {
    assert.deepEqual([...centre(Uint32Array.of(7, 8, 15, 0xabc0), 4)], [7, -8, -1, 0]);
    assert.deepEqual([...centre(Uint32Array.of(0x7fffffff, 0x80000000), 32)], [2 ** 31 - 1, -(2 ** 31)]);
  });

  it('packs by hand: 1, 2, 3 in 3 bits are 0b011010001', () => {
    assert.deepEqual([...pack(Uint32Array.of(1, 2, 3), 3)], [0b11010001, 0]);
    assert.deepEqual([...pack(Uint32Array.of(0x04030201), 32)], [1, 2, 3, 4]);
  });

  it('unpacks what it packed, at every width and length', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 32 }), fc.array(fc.nat(0xffffffff), { maxLength: 40 }), (bits, values) => {
        const packed = pack(Uint32Array.from(values), bits);
        assert.equal(packed.length, packedBytes(values.length, bits));
        const cut = Uint32Array.from(values, (value) => value % 2 ** bits);
        assert.deepEqual(unpack(packed, values.length, bits), cut);
      }),
      { seed: 13 },
    );
    assert.throws(() => unpack(new Uint8Array(3), 1, 16), isInvalid);
    assert.throws(() => unpack(Uint8Array.of(0xff), 1, 7), isInvalid);
  });

  it('keeps an upload within 1.05 of plain float32', () => {
    const values = 100_000;
    assert.ok(packedBytes(elementsOf(spec, values), 32) <= 1.05 * 4 * values);
  });
});
