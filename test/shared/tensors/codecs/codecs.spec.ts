/** Each encoding of an update: what it writes, what it loses at most, and what it refuses. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { bytesOf, valuesIn } from '../../../../shared/tensors/bytes.js';
import { bf16 } from '../../../../shared/tensors/codecs/bf16.js';
import { f16 } from '../../../../shared/tensors/codecs/f16.js';
import { f32 } from '../../../../shared/tensors/codecs/f32.js';
import { type Codec, parseCodec } from '../../../../shared/tensors/codecs/index.js';
import { int8 } from '../../../../shared/tensors/codecs/int8.js';
import { topK } from '../../../../shared/tensors/codecs/top-k.js';

const float = fc.float({ noNaN: true, noDefaultInfinity: true });
const updates = fc.array(float, { maxLength: 50 }).map((values) => Float32Array.from(values));
const CODECS = [f32, bf16, f16, int8, topK(0.1)];

const roundTrip = (codec: Codec, values: Float32Array) => codec.decode(codec.encode(values), values.length);

for (const codec of CODECS) {
  describe(`codec contract: ${codec.name}`, () => {
    it('has the size it declares, is found by its name, and leaves its input alone', () => {
      fc.assert(
        fc.property(updates, (values) => {
          const before = values.slice();
          assert.equal(parseCodec(codec.name).encode(values).length, codec.sizeBytes(values.length));
          assert.deepEqual(bytesOf(values), bytesOf(before));
        }),
      );
    });

    it('reads the same from any alignment', () => {
      const values = Float32Array.of(1.5, -0.25, 3, 0, 1e-3);
      const bytes = codec.encode(values);
      for (const shift of [1, 2, 3, 4]) {
        const shifted = new Uint8Array(bytes.length + shift).subarray(shift);
        shifted.set(bytes);
        assert.deepEqual(codec.decode(shifted, 5), codec.decode(bytes, 5));
      }
    });

    it('repeats itself: what was decoded is encoded to the same values', () => {
      fc.assert(
        fc.property(updates, (values) => {
          const once = roundTrip(codec, values);
          const twice = roundTrip(codec, once);
          // An int8 scale, max|x| / 127 · 127 / 127, may move by a float32 step.
          const tolerance = codec === int8 ? 2 ** -22 : 0;
          for (const [i, value] of twice.entries()) {
            assert.ok(Object.is(value, once[i]) || Math.abs(value - once[i]) <= tolerance * Math.abs(once[i]));
          }
        }),
      );
    });

    it('refuses every wrong length', () => {
      const bytes = codec.encode(new Float32Array(20));
      for (const wrong of [bytes.subarray(1), new Uint8Array(bytes.length + 1), new Uint8Array(0)]) {
        assert.throws(() => codec.decode(wrong, 20), {
          code: 'corrupt',
          message: /expected \d+ bytes for 20 elements/,
        });
      }
    });
  });
}

/** 27 numbers, among them ties, subnormals, the edges of both ranges, infinity. */
// biome-ignore format: a table
const PROBES = Float32Array.of(
  0, -0, 1, -1, 0.1, 1 / 3, 65504, 65519.996, 65520, 1e9, -1e9, 6.103515625e-5, 6.1e-5, 2 ** -24,
  2 ** -25, 2 ** -25 + 2 ** -48, 1.5 * 2 ** -24, 1e-10, 2049, 2051, 1.00048828125, Infinity,
  (2 - 2 ** -7) * 2 ** 127, (2 - 2 ** -8) * 2 ** 127, 1.00390625, 1.01171875, 1e-40,
);

describe('half precision', () => {
  it('f16 has the bits of numpy 2.4.6 astype("<f2")', () => {
    assert.equal(
      Buffer.from(f16.encode(PROBES)).toString('hex'),
      '00000080003c00bc662e5535ff7bff7b007c007c00fc0004ff030100000001000200000000680268003c007c007c007c043c0c3c0000',
    );
  });

  it('bf16 has the bits of ml_dtypes 0.6.0 astype(bfloat16)', () => {
    assert.equal(
      Buffer.from(bf16.encode(PROBES)).toString('hex'),
      '00000080803f80bfcd3dab3e8047804780476e4e6ece80388038803300330033c033dc2e00450045803f807f7f7f807f803f823f0100',
    );
  });

  it('decodes every code to a value that encodes to it', () => {
    const codes = Uint16Array.from({ length: 65_536 }, (_, code) => code);
    for (const codec of [f16, bf16]) {
      const values = codec.decode(new Uint8Array(codes.buffer), 65_536);
      const again = new Uint16Array(codec.encode(values).buffer);
      codes.forEach((code, i) => void (Number.isNaN(values[i]) || assert.equal(again[i], code)));
      assert.equal(values.filter(Number.isNaN).length, codec === f16 ? 2 * 1023 : 2 * 127);
    }
  });

  it('keeps NaN', () => {
    const nan = new Float32Array(Uint32Array.of(0x7f800001, 0xffffffff).buffer); // payloads that a shift would lose
    for (const codec of [f16, bf16]) assert.ok(roundTrip(codec, nan).every(Number.isNaN));
  });

  it('errs by no more than half a step', () => {
    const inF16 = fc.float({ min: -65_504, max: 65_504, noNaN: true });
    fc.assert(
      fc.property(
        fc.oneof(
          float.filter((x) => Math.abs(x) < 3.38e38),
          inF16,
        ),
        inF16,
        (wide, narrow) => {
          const [b] = roundTrip(bf16, Float32Array.of(wide));
          assert.ok(Math.abs(b - wide) <= Math.max(Math.abs(wide) * 2 ** -8, 2 ** -134));
          const [h] = roundTrip(f16, Float32Array.of(narrow));
          assert.ok(Math.abs(h - narrow) <= Math.max(Math.abs(narrow) * 2 ** -11, 2 ** -25));
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe('int8', () => {
  it('writes scales, then codes', () => {
    // max|x| = 127, scale 1: 127 → 127, −0.5 → 0 (tie to even), 1.5 → 2, −126.6 → −127
    const bytes = int8.encode(Float32Array.of(127, -0.5, 1.5, -126.6));
    assert.equal(Buffer.from(bytes).toString('hex'), '0000803f7f000281');
  });

  it('errs by no more than half a step of its own block', () => {
    // Blocks of very different size side by side: each must have its own scale.
    const block = fc.tuple(
      fc.integer({ min: -90, max: 90 }),
      fc.array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: 3, maxLength: 9 }),
    );
    fc.assert(
      fc.property(fc.array(block, { minLength: 1, maxLength: 3 }), (blocks) => {
        const values = new Float32Array(blocks.length * 1024 - 5);
        for (const [b, [exponent, xs]] of blocks.entries()) {
          for (const [i, x] of xs.entries()) values[b * 1024 + i * 100] = x * 2 ** exponent;
        }
        const decoded = roundTrip(int8, values);
        for (let from = 0; from < values.length; from += 1024) {
          const largest = values.subarray(from, from + 1024).reduce((m, x) => Math.max(m, Math.abs(x)), 0);
          // The scale is a float32, and so is each product: 127 steps of 2^-24 each, on top of half a step.
          const bound = largest < 2 ** -100 ? 2 ** -100 : (largest / 127) * (0.5 + 127 * 2 ** -23);
          for (let i = from; i < Math.min(from + 1024, values.length); i++) {
            assert.ok(Math.abs(decoded[i] - values[i]) <= bound, `${values[i]} became ${decoded[i]}`);
          }
        }
      }),
    );
  });

  it('keeps the largest numbers finite', () => {
    const largest = (2 - 2 ** -23) * 2 ** 127;
    const [up, down] = roundTrip(int8, Float32Array.of(largest, -largest));
    assert.ok(up <= largest && up > largest * (1 - 2 ** -22));
    assert.equal(down, -up);
  });

  it('refuses what has no code and scales that are none', () => {
    assert.throws(() => int8.encode(Float32Array.of(1, Number.NaN)), /values\[1\]: expected a finite number, got NaN/);
    for (const scale of [Number.NaN, Infinity, -1]) {
      const bytes = Buffer.alloc(5);
      bytes.writeFloatLE(scale);
      assert.throws(() => int8.decode(bytes, 1), {
        code: 'corrupt',
        message: /scale of block 0: expected a finite/,
      });
    }
  });
});

describe('top-k', () => {
  it('writes indices, then values, of the largest magnitudes', () => {
    const bytes = topK(0.5).encode(Float32Array.of(1, -3, 2, 0)); // -3 = 0xc0400000, 2 = 0x40000000
    assert.equal(Buffer.from(bytes).toString('hex'), '01000000' + '02000000' + '000040c0' + '00000040');
  });

  it('chooses as sorting would, the lower index first among equals', () => {
    const few = fc.array(fc.constantFrom(0, -0, 1, -1, 1.0000001, 2, -1e-40, 3e38), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(
        fc.oneof(few, fc.array(float, { minLength: 1 })),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (xs, fraction) => {
          const values = Float32Array.from(xs);
          const k = Math.ceil(fraction * values.length);
          const order = [...values.keys()].sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]) || a - b);
          const expected = new Float32Array(values.length);
          for (const i of order.slice(0, k)) expected[i] = values[i];
          assert.deepEqual(bytesOf(roundTrip(topK(fraction), values)), bytesOf(expected));
        },
      ),
    );
  });

  it('refuses indices out of range or out of order, and fractions that are none', () => {
    const codec = topK(0.5);
    for (const [first, second] of [
      [1, 1],
      [2, 1],
      [0, 4],
    ]) {
      const bytes = Buffer.alloc(16);
      bytes.writeUInt32LE(first);
      bytes.writeUInt32LE(second, 4);
      assert.throws(() => codec.decode(bytes, 4), { code: 'corrupt', message: /index 1: expected/ });
    }
    for (const fraction of [0, 1.5, -1, Number.NaN]) assert.throws(() => topK(fraction), /top-k: expected a fraction/);
    assert.throws(() => parseCodec('top-k:many'), /top-k: expected a fraction in \(0, 1\], got NaN/);
    assert.throws(() => parseCodec('zip'), /compression: expected none, f16, bf16, int8 or top-k:FRACTION, got "zip"/);
  });
});

describe('numbers in bytes', () => {
  it('are the same memory where that is aligned, and a copy where it is not', () => {
    const numbers = Float32Array.of(1.5, -2, 3);
    assert.equal(valuesIn(bytesOf(numbers)).buffer, numbers.buffer);
    const shifted = new Uint8Array(13);
    shifted.set(bytesOf(numbers), 1);
    assert.deepEqual(valuesIn(shifted.subarray(1)), numbers);
    assert.throws(() => valuesIn(shifted), /a multiple of 4 bytes, got 13/);
  });
});
