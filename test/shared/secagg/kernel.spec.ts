/** The WebAssembly kernel against the plain versions, and both against arithmetic done by hand. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { rngFromSeed } from '../../../shared/rng.js';
import { createKernel } from '../../../shared/secagg/kernel.js';
import { naclSuite } from '../../../shared/secagg/suites/nacl.js';
import { nodeSuite } from '../../../shared/secagg/suites/node.js';

const wasm = createKernel();
const plain = createKernel('plain');
const CHUNK_ELEMENTS = 16_384;
/** Around nothing, one vector, four vectors, and one and two keystream chunks. */
const LENGTHS = [
  0,
  1,
  3,
  4,
  5,
  15,
  16,
  17,
  63,
  65,
  1000,
  CHUNK_ELEMENTS - 1,
  CHUNK_ELEMENTS,
  CHUNK_ELEMENTS + 1,
  40_001,
];

describe('secagg kernel', () => {
  it('runs as WebAssembly here', () => {
    assert.equal(wasm.kind, 'wasm');
    assert.equal(plain.kind, 'plain');
  });

  for (const suite of [nodeSuite, naclSuite]) {
    it(`adds and subtracts ${suite.id} masks like the plain version, at every length`, () => {
      const rng = rngFromSeed(3);
      for (const length of LENGTHS) {
        const values = new Uint32Array(length).map(() => rng.u32());
        const results = [wasm, plain].map((kernel) => {
          kernel.reset(length);
          kernel.add(values);
          kernel.addMask(suite, { key: new Uint8Array(32).fill(1), sign: 1 });
          kernel.addMask(suite, { key: new Uint8Array(32).fill(2), sign: -1 });
          return kernel.read();
        });
        assert.deepEqual(results[0], results[1], `length ${length}`);
      }
    });
  }

  it('adds modulo 2^32: ff..ff + 1 = 0, 0 - mask + mask = 0', () => {
    for (const kernel of [wasm, plain]) {
      kernel.reset(3);
      kernel.add(Uint32Array.of(0xffffffff, 0x80000000, 5));
      kernel.add(Uint32Array.of(1, 0x80000001, 0xfffffffe));
      assert.deepEqual(kernel.read(), Uint32Array.of(0, 1, 3));
      kernel.reset(20_000);
      kernel.addMask(nodeSuite, { key: new Uint8Array(32), sign: -1 });
      assert.ok(kernel.read().some((word) => word !== 0));
      kernel.addMask(nodeSuite, { key: new Uint8Array(32), sign: 1 });
      assert.ok(kernel.read().every((word) => word === 0));
    }
  });

  it('masks a range of coordinates on its own: chunk 1 is what a longer vector has there', () => {
    wasm.reset(CHUNK_ELEMENTS + 100);
    wasm.addMask(nodeSuite, { key: new Uint8Array(32), sign: 1 });
    const whole = wasm.read();
    wasm.reset(100);
    wasm.addMask(nodeSuite, { key: new Uint8Array(32), sign: 1, firstChunk: 1 });
    assert.deepEqual(wasm.read(), whole.slice(CHUNK_ELEMENTS));
  });

  it('takes vectors that are unaligned views of a larger buffer', () => {
    const big = new Uint32Array(50).map((_, i) => i);
    wasm.reset(7);
    wasm.add(big.subarray(3, 10));
    assert.deepEqual(wasm.read(), Uint32Array.of(3, 4, 5, 6, 7, 8, 9));
    assert.throws(() => wasm.add(big), RangeError);
  });
});

describe('secagg kernel: rounding and shares', () => {
  it('rounds like the plain version, bit for bit', () => {
    fc.assert(
      fc.property(
        fc.float32Array({ minLength: 1, maxLength: 70, noNaN: true, noDefaultInfinity: true }),
        fc.integer({ min: 2, max: 24 }),
        fc.integer({ min: 1, max: 64 }),
        (values, bits, weight) => {
          const max = 2 ** (bits - 1) - 1;
          const input = { values, scale: max / 1.5, max, weight };
          const key = new Uint8Array(32).fill(bits);
          assert.deepEqual(wasm.quantize(nodeSuite, key, input), plain.quantize(nodeSuite, key, input));
        },
      ),
      { numRuns: 200, seed: 4 },
    );
    const values = new Float32Array(40_001).map((_, i) => Math.sin(i) * 1.3);
    const input = { values, scale: 32_767, max: 32_767, weight: 3 };
    const key = new Uint8Array(32);
    assert.deepEqual(wasm.quantize(nodeSuite, key, input), plain.quantize(nodeSuite, key, input));
  });

  it('says so when a value is not finite, wherever it stands', () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      for (const at of [0, 5, 8]) {
        const input = { values: new Float32Array(9).with(at, bad), scale: 1, max: 100, weight: 1 };
        for (const kernel of [wasm, plain]) {
          assert.equal(kernel.quantize(nodeSuite, new Uint8Array(32), input), undefined);
        }
      }
    }
  });

  it('shares like the plain version', () => {
    const rng = rngFromSeed(5);
    for (const [threshold, holders] of [
      [1, 1],
      [2, 3],
      [5, 9],
      [3, 300],
      [40, 1100],
    ] as const) {
      const coefficients = rng.bytes(64 * threshold);
      assert.deepEqual(wasm.shares(coefficients, holders), plain.shares(coefficients, holders));
    }
  });
});
