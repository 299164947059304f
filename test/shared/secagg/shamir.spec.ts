/** GF(2^16) and Shamir shares against schoolbook arithmetic done here and shares worked out by hand. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { rngFromSeed } from '../../../shared/rng.js';
import { lagrangeAtZero, multiply, tables } from '../../../shared/secagg/field.js';
import { createKernel } from '../../../shared/secagg/kernel.js';
import { combineShares, splitSecret } from '../../../shared/secagg/shamir.js';

const element = fc.integer({ min: 0, max: 0xffff });
const kernel = createKernel();

/** Schoolbook: the carry-less product of polynomials over GF(2), then long division by x^16+x^12+x^3+x+1. */
function longDivision(a: number, b: number): number {
  let product = 0n;
  for (let i = 0; i < 16; i++) if ((b >> i) & 1) product ^= BigInt(a) << BigInt(i);
  for (let degree = 31n; degree >= 16n; degree--) if ((product >> degree) & 1n) product ^= 0x1100bn << (degree - 16n);
  return Number(product);
}

describe('secagg field GF(2^16)', () => {
  it('multiplies as polynomials do: x^15 * x = x^12 + x^3 + x + 1', () => {
    assert.equal(multiply(0x8000, 2), 0x100b);
    assert.equal(multiply(3, 3), 5); // (x+1)^2 = x^2 + 1
    fc.assert(
      fc.property(element, element, (a, b) => multiply(a, b) === longDivision(a, b)),
      { seed: 6 },
    );
  });

  it('has a generator of full order, so that logarithms are products', () => {
    const { log, exp } = tables();
    assert.equal(new Set(exp.subarray(0, 65_535)).size, 65_535);
    fc.assert(
      fc.property(element, element, (a, b) => a === 0 || b === 0 || exp[log[a] + log[b]] === longDivision(a, b)),
      { seed: 7 },
    );
  });

  it('interpolates: the weights of 1, 2, 3 are 1, 1, 1', () => {
    // w_1 = 2*3 / ((2+1)(3+1)) = 6 / (3*2) = 1 and likewise, since 1+2 = 3, 1+3 = 2, 2+3 = 1 in characteristic 2.
    assert.deepEqual([...lagrangeAtZero([1, 2, 3])], [1, 1, 1]);
  });
});

describe('secagg Shamir shares', () => {
  it('gives the shares that one computes by hand', () => {
    // Threshold 2: f(x) = s + a x. Shares at 1, 2, 3: s^a, s^2a, s^3a, with 2a = a << 1 reduced by 0x1100b.
    const secret = new Uint8Array(64);
    secret.set([0x34, 0x12]); // word 0x1234, little-endian
    const slope = 0x8001;
    const bytes = (length: number): Uint8Array => {
      const out = new Uint8Array(length);
      out.set([0x01, 0x80]);
      return out;
    };
    const shares = splitSecret(kernel, { ...rngFromSeed(0), bytes }, { secret, threshold: 2, holders: 3 });
    const twice = 0x0002 ^ 0x100b; // (x^15 + 1) * x = x^16 + x
    const words = shares.map((share) => share[0] | (share[1] << 8));
    assert.deepEqual(words, [0x1234 ^ slope, 0x1234 ^ twice, 0x1234 ^ twice ^ slope]);
  });

  it('gives back the secret from every threshold-sized subset', () => {
    const rng = rngFromSeed(8);
    const secret = rng.bytes(64);
    const shares = splitSecret(kernel, rng, { secret, threshold: 3, holders: 6 });
    for (let subset = 0; subset < 64; subset++) {
      const chosen = [0, 1, 2, 3, 4, 5].filter((j) => (subset >> j) & 1);
      if (chosen.length !== 3) continue;
      assert.deepEqual(combineShares(chosen.map((j) => ({ x: j + 1, bytes: shares[j] }))), secret);
    }
  });

  it('gives it back at every threshold and size of a cohort', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 60 }), (threshold, extra) => {
        const rng = rngFromSeed(threshold * 100 + extra);
        const secret = rng.bytes(64);
        const shares = splitSecret(kernel, rng, { secret, threshold, holders: threshold + extra });
        const chosen = shares.slice(extra).map((bytes, j) => ({ x: extra + j + 1, bytes }));
        assert.deepEqual(combineShares(chosen), secret);
        const halves = chosen.map(({ x, bytes }) => ({ x, bytes: bytes.subarray(32) }));
        assert.deepEqual(combineShares(halves), secret.slice(32));
      }),
      { numRuns: 60, seed: 9 },
    );
  });

  it('says nothing with one share too few: every secret still fits', () => {
    // With shares at x=1 of threshold 2, any word s is completed by the slope s ^ share; count the candidates.
    const rng = rngFromSeed(10);
    const secret = rng.bytes(64);
    const [share] = splitSecret(kernel, rng, { secret, threshold: 2, holders: 2 });
    const candidate = rng.bytes(64);
    const other = candidate.map((byte, i) => byte ^ share![i]!); // the slope that explains `candidate`
    const second = new Uint8Array(new Uint16Array(other.buffer).map((a) => multiply(a, 2)).buffer);
    const forged = { x: 2, bytes: second.map((byte, i) => byte ^ candidate[i]) };
    assert.deepEqual(combineShares([{ x: 1, bytes: share }, forged]), candidate);
  });

  it('refuses points that repeat or are zero, and lengths that differ', () => {
    const bytes = new Uint8Array(2);
    assert.throws(
      () =>
        combineShares([
          { x: 1, bytes },
          { x: 1, bytes },
        ]),
      RangeError,
    );
    assert.throws(() => combineShares([{ x: 0, bytes }]), RangeError);
    assert.throws(
      () =>
        combineShares([
          { x: 1, bytes },
          { x: 2, bytes: new Uint8Array(4) },
        ]),
      RangeError,
    );
    assert.throws(() => splitSecret(kernel, rngFromSeed(0), { secret: new Uint8Array(64), threshold: 3, holders: 2 }));
    for (const length of [0, 63, 65]) {
      const short = { secret: new Uint8Array(length), threshold: 1, holders: 2 };
      assert.throws(() => splitSecret(kernel, rngFromSeed(1), short), /secret: expected 64 bytes/);
    }
  });
});
