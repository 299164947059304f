import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createSum, type ExactSum, MAX_WEIGHT, MAX_WEIGHTED } from '../../../server/updates/exact-sum.js';
import { bytesOf } from '../../../shared/tensors/bytes.js';
import { layoutOf } from '../../../shared/tensors/params.js';

type Contribution = { values: Float32Array; weight: number };

const SIZE = 5;
const exponents = fc.integer({ min: -60, max: 14 }); // up to MAX_WEIGHTED / MAX_WEIGHT = 2^14
const element = fc
  .tuple(fc.float({ min: -1, max: 1, noNaN: true }), exponents)
  .map(([x, e]) => Math.fround(x * 2 ** e));
const contribution = fc.record({
  values: fc.array(element, { minLength: SIZE, maxLength: SIZE }).map((values) => Float32Array.from(values)),
  weight: fc.integer({ min: 1, max: MAX_WEIGHT }),
});
const contributions = fc.array(contribution, { minLength: 1, maxLength: 40 });

function sumOf(items: readonly Contribution[]): ExactSum {
  const sum = createSum(SIZE);
  for (const { values, weight } of items) assert.equal(sum.offer(values, { weight }), undefined);
  return sum;
}

/** The exact total as an integer in units of 2^-40. */
function units({ lanes: { coarse, fine } }: ExactSum, i: number): bigint {
  return BigInt((coarse?.[i] ?? 0) * 4) * 2n ** 38n + BigInt(fine[i] * 2 ** 40);
}

/** weight · x in units of 2^-40, ties to even, by integers only: a float32 is a multiple of 2^-149. */
function referenceUnits(weight: number, x: number): bigint {
  return roundToEven(BigInt(x * 2 ** 149) * BigInt(weight), 109n);
}

function roundToEven(value: bigint, bits: bigint): bigint {
  const floor = value >> bits;
  const rest = value - (floor << bits);
  const half = 1n << (bits - 1n);
  return rest > half || (rest === half && (floor & 1n) === 1n) ? floor + 1n : floor;
}

function sameBits(a: ExactSum, b: ExactSum): void {
  for (let i = 0; i < SIZE; i++) assert.equal(units(a, i), units(b, i));
  assert.deepEqual(bytesOf(a.mean()), bytesOf(b.mean()));
  assert.equal(a.weightSum, b.weightSum);
  assert.equal(a.count, b.count);
}

describe('exact sum', () => {
  it('is the weighted mean', () => {
    const sum = createSum(2);
    sum.add(Float32Array.of(1, -0.5), 3);
    sum.add(Float32Array.of(2, 0.5), 1);
    // (3·1 + 1·2) / 4 = 1.25;  (3·−0.5 + 1·0.5) / 4 = −0.25
    assert.deepEqual([...sum.mean()], [1.25, -0.25]);
    assert.equal(sum.weightSum, 4);
    assert.equal(sum.count, 2);
  });

  it('of nothing is zero, and of one client is that client', () => {
    assert.deepEqual([...createSum(2).mean()], [0, 0]);
    const one = Float32Array.of(0.1, -3e-6);
    const sum = createSum(2);
    sum.add(one, 7);
    assert.deepEqual(sum.mean(), one); // error 2^-41/7 = 6.5e-14; half a float32 step at 3e-6 is 1.1e-13
  });

  it('gives the same bits for every order and every split over workers', () => {
    fc.assert(
      fc.property(contributions, fc.infiniteStream(fc.nat(1 << 20)), fc.nat(40), (items, draws, cut) => {
        const expected = sumOf(items);
        const keyed = items.map((item) => ({ item, key: draws.next().value }));
        const shuffled = keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
        sameBits(sumOf(shuffled), expected);
        const merged = sumOf(shuffled.slice(cut));
        merged.merge(sumOf(shuffled.slice(0, cut)));
        sameBits(merged, expected);
      }),
    );
  });

  it('equals a sum of big integers', () => {
    fc.assert(
      fc.property(contributions, (items) => {
        const sum = sumOf(items);
        for (let i = 0; i < SIZE; i++) {
          const expected = items.reduce((total, { values, weight }) => total + referenceUnits(weight, values[i]), 0n);
          assert.equal(units(sum, i), expected);
        }
      }),
    );
  });

  it('is exact at its bounds: 65,536 contributions of the largest magnitude, and no more', () => {
    const sum = createSum(2);
    const largest = Math.fround(MAX_WEIGHTED / MAX_WEIGHT); // 2^14
    // In the split contribution this one is all rest, just below its bound of 2^-3: 2^20 · x = 2^-3 − 2^-24.
    const rest = (2 ** -3 - 2 ** -24) / MAX_WEIGHT;
    const values = Float32Array.of(largest, rest);
    for (let i = 0; i < 65_536; i++) sum.add(values, MAX_WEIGHT);
    assert.equal(units(sum, 0), 2n ** (16n + 34n + 40n));
    assert.equal(units(sum, 1), 2n ** 16n * (2n ** 37n - 2n ** 16n));
    assert.deepEqual([...sum.mean()], [largest, rest]);
    assert.throws(() => sum.add(values, 1), /sum: expected at most 65536 contributions/);
  });

  it('carries before the fine lane is full, and not sooner', () => {
    const sum = createSum(1);
    const odd = 2048 - 2 ** -12; // 23 bits; with two of them the bound of 2^12 is nearly reached
    sum.add(Float32Array.of(odd), 1);
    sum.add(Float32Array.of(odd), 1);
    assert.equal(sum.lanes.coarse, undefined);
    for (let i = 2; i < 5000; i++) sum.add(Float32Array.of(odd), 1);
    assert.equal(units(sum, 0), 5000n * (2n ** 51n - 2n ** 28n));
    assert.ok(Math.abs(sum.lanes.fine[0]) <= 2 ** 12);
  });

  it('rounds weights to multiples of 2^-16 and uses the rounded weight for sum and values alike', () => {
    const sum = createSum(1);
    sum.add(Float32Array.of(3), 0.1);
    sum.add(Float32Array.of(3), 0.7);
    assert.equal(sum.weightSum, (6554 + 45_875) / 65_536); // 0.1 · 65536 = 6553.6; 0.7 · 65536 = 45875.2
    assert.deepEqual([...sum.mean()], [3]);
  });
});

describe('exact sum by tensor', () => {
  const layout = layoutOf([
    { name: 'shared', shape: [1] },
    { name: 'head', shape: [2] },
  ]);

  it('divides each tensor by the weights of those who hold it', () => {
    const sum = createSum(layout);
    sum.add(Float32Array.of(1, 10, 20), [1, 0]);
    sum.add(Float32Array.of(3, 30, 40), [3, 2]);
    assert.deepEqual(sum.weightSums, [4, 2]);
    assert.deepEqual([...sum.mean()], [2.5, 30, 40]); // (1·1 + 3·3) / 4; the second client alone
  });

  it('leaves a tensor that no one holds at zero', () => {
    const sum = createSum(layout);
    sum.add(Float32Array.of(1, 10, 20), [1, 0]);
    assert.deepEqual([...sum.mean()], [1, 0, 0]);
  });
});

describe('exact sum refusals', () => {
  const refused = (values: number[], options: { weight: number | number[]; maxAbs?: number }, detail: RegExp) => {
    const sum = createSum(layoutOf([{ name: 'w', shape: [Math.min(values.length, 3)] }]));
    const refusal = sum.offer(Float32Array.from(values), options);
    assert.equal(refusal?.reason, 'invalid-update');
    assert.match(refusal.detail, detail);
    assert.equal(sum.count, 0);
    assert.equal(sum.weightSum, 0);
    assert.deepEqual([...sum.mean()], [0, 0, 0].slice(0, values.length));
  };

  it('names what is wrong and leaves the sum untouched', () => {
    refused([0, Number.NaN], { weight: 1 }, /update of w\[1\]: expected a finite number, got NaN/);
    refused([0, 1, -Infinity], { weight: 1, maxAbs: Infinity }, /update of w\[2\]: expected a finite number, got -Inf/);
    refused([1, -1.5], { weight: 1, maxAbs: 1.25 }, /update of w\[1\]: expected at most 1\.25 in magnitude, got -1\.5/);
    refused([1, 2, 3, 4], { weight: 1 }, /update: expected 3 elements, got 4/);
    refused([2 ** 16], { weight: 2 ** 20 }, /update of w\[0\]: expected at most 16384 in magnitude, got 65536/);
    for (const weight of [-1, Number.NaN, 2 ** 20 + 1])
      refused([1], { weight }, /weight: expected a number in 0\.\.104/);
    for (const weight of [0, 2 ** -18]) refused([1], { weight }, /weight: expected at least 0\.0000152/);
    refused([1], { weight: [1, 1] }, /weight: expected one per tensor \(1\), got 2/);
  });

  it('finds what is wrong at every place of a vector of any length', () => {
    for (const length of [1, 3, 4, 7, 8, 9, 15, 16, 17, 31]) {
      for (let at = 0; at < length; at++) {
        for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1.5, 1.5]) {
          const sum = createSum(length);
          const values = new Float32Array(length).fill(0.25).with(at, bad);
          const said = sum.offer(values, { weight: 1, maxAbs: 1.25 })?.detail;
          assert.ok(said?.includes(`[${at}]`), `${bad} at ${at} of ${length}: ${said}`);
          assert.equal(sum.count, 0);
        }
      }
    }
  });

  it('takes what lies exactly on the bounds', () => {
    const sum = createSum(1);
    assert.equal(sum.offer(Float32Array.of(-1.25), { weight: 2 ** 20, maxAbs: 1.25 }), undefined);
    assert.equal(sum.offer(Float32Array.of(2 ** 14), { weight: 2 ** 20 }), undefined);
    assert.equal(sum.count, 2);
  });
});
