/**
 * An exact weighted sum: whatever order updates arrive in, whichever worker adds them, the mean is the same to the bit.
 *
 * Floating-point addition is not associative, but addition of multiples of 2^-g is exact while the sum fits 53 bits. So
 * each contribution p = weight · x is rounded once, by itself, to the grid 2^-40, and only then added. One float64 on
 * that grid holds up to 2^13, too little for example-weighted sums. So sums live in a `fine` lane, and whenever its
 * bound comes near, its multiples of 2^-2 are carried into a `coarse` lane, made only then. How often that happens
 * depends on the order, the exact total coarse + fine does not, and the mean is a function of that total alone.
 *
 * Rounding to a grid by a magic number: for C = 1.5 · 2^k and |p| ≤ 2^(k−1), p + C lies in [2^k, 2^(k+1)], where
 * float64 has the step 2^(k−52); so (p + C) − C is p rounded to a multiple of it, ties to even, and the subtraction is
 * exact. With n ≤ 2^16 contributions and |p| ≤ 2^34:
 *
 *     fine:   k = 12, step 2^-40. A contribution of |p| ≤ 2^11 is rounded by it and added. The bound, the sum of
 *             weight · max|x| since the last carry, stays below 2^12, half of the 2^13 = 2^53 steps that are exact.
 *     coarse: k = 50, step 2^-2. A larger contribution is split, h = p to the grid 2^-2 and r = p − h (exact: a multiple
 *             of p's last place, at most 2^-3 large), r rounded as above. Since h is an even number of fine steps,
 *             h + r is p rounded to 2^-40, ties to even, just as on the other way. |coarse| ≤ 2^16 · 2^34 + 2^12 < 2^51
 *             = 2^53 steps.
 *
 * The rounding costs the mean at most 2^-41 · n / Σweight: for weights of at least 1 below 5e-13. Weights are rounded to
 * multiples of 2^-16 and are at most 2^20, so their sum (at most 2^36) is exact too. Memory: 8 bytes an element, 16 once
 * there was a carry, however many clients.
 */
import { type DropReason, FlError, invalidArgument } from '../../shared/errors.js';
import { firstNonFinite, type Layout, type LayoutEntry, sizeOf } from '../../shared/tensors/params.js';

const MAX_CONTRIBUTIONS = 2 ** 16;
export const MAX_WEIGHT = 2 ** 20;
/** Largest |weight · x|. */
export const MAX_WEIGHTED = 2 ** 34;
const WEIGHT_STEP = 2 ** -16;
const COARSE_MAGIC = 1.5 * 2 ** 50;
const FINE_MAGIC = 1.5 * 2 ** 12;
const FINE_CONTRIBUTION = 2 ** 11;
const FINE_BOUND = 2 ** 12;
/** What a carry, or the rest r of a split contribution, leaves in the fine lane at most. */
const FINE_REST = 2 ** -3;

/** One number, or one for each tensor of the layout; a tensor of weight 0 is one that the client does not hold. */
export type Weight = number | readonly number[];

/** Why an update may not be added: the round goes on without this client. */
export type Refusal = { readonly reason: DropReason; readonly detail: string };

/** An update that may be added. */
export interface Prepared {
  readonly values: Float32Array;
  /** By tensor: rounded weights, and the largest |x|. */
  readonly weights: readonly number[];
  readonly largest: readonly number[];
}

export interface ExactSum {
  /** Contributions so far. */
  readonly count: number;
  /** Sum of weights of each tensor (of one entry, for a sum made by size). */
  readonly weightSums: readonly number[];
  /** `weightSums[0]`: the sum of weights, where they are not by tensor. */
  readonly weightSum: number;
  /** Why this update may not be added, or undefined; the sum stays as it is. `maxAbs` bounds |x|. */
  validate(values: Float32Array, options: { weight: Weight; maxAbs?: number }): Refusal | undefined;
  /** The update, checked once for {@link addPrepared}, or why it may not be added. */
  prepare(values: Float32Array, options: { weight: Weight; maxAbs?: number }): Refusal | Prepared;
  /** Adds what was prepared for a sum of this layout and has not changed since. */
  addPrepared(update: Prepared): void;
  /** Adds the update, or says why not and leaves the sum as it was. */
  offer(values: Float32Array, options: { weight: Weight; maxAbs?: number }): Refusal | undefined;
  /** Adds an update that is known to be good. @throws FlError internal, the sum unchanged, if it is not. */
  add(values: Float32Array, weight: Weight): void;
  /** Adds all that another sum of the same layout holds, exactly: how partial sums of workers become one. */
  merge(other: ExactSum): void;
  /** The weighted mean, tensor by tensor; 0 where no one contributed. A function of the exact sum alone. */
  mean(): Float32Array;
  /** Views, not copies: the weighted sum is coarse + fine (fine alone, while there was no carry). */
  readonly lanes: { readonly coarse?: Float64Array; readonly fine: Float64Array };
}

/** An empty sum over vectors of this layout, or of this many elements under one weight. */
export function createSum(shape: number | Layout): ExactSum {
  const layout: Layout = typeof shape === 'number' ? [{ name: 'all', shape: [shape], offset: 0, size: shape }] : shape;
  return new Sum(layout);
}

class Sum implements ExactSum {
  readonly #layout: Layout;
  readonly #fine: Float64Array;
  #coarse: Float64Array | undefined;
  /** By tensor: no |fine[i]| is larger. */
  readonly #fineBounds: number[];
  #weightSums: number[];
  #count = 0;

  constructor(layout: Layout) {
    this.#layout = layout;
    this.#fine = new Float64Array(sizeOf(layout));
    this.#fineBounds = layout.map(() => 0);
    this.#weightSums = layout.map(() => 0);
  }

  get count(): number {
    return this.#count;
  }

  get weightSums(): readonly number[] {
    return this.#weightSums;
  }

  get weightSum(): number {
    return this.#weightSums[0] ?? 0;
  }

  get lanes() {
    return { coarse: this.#coarse, fine: this.#fine };
  }

  validate(values: Float32Array, options: { weight: Weight; maxAbs?: number }): Refusal | undefined {
    const prepared = this.prepare(values, options);
    return 'reason' in prepared ? prepared : undefined;
  }

  offer(values: Float32Array, options: { weight: Weight; maxAbs?: number }): Refusal | undefined {
    const prepared = this.prepare(values, options);
    if ('reason' in prepared) return prepared;
    this.addPrepared(prepared);
    return undefined;
  }

  addPrepared({ values, weights, largest }: Prepared): void {
    this.#grow(1);
    this.#layout.forEach(({ offset, size }, tensor) => {
      const weight = weights[tensor];
      if (weight > 0) this.#addTensor(values, weight, largest[tensor], { tensor, from: offset, to: offset + size });
      this.#weightSums[tensor] += weight;
    });
  }

  add(values: Float32Array, weight: Weight): void {
    const refused = this.offer(values, { weight });
    if (refused !== undefined) throw new FlError('internal', refused.detail);
  }

  merge(other: ExactSum): void {
    const { coarse, fine } = other.lanes;
    const { length } = this.#fine;
    if (fine.length !== length || other.weightSums.length !== this.#layout.length) {
      throw invalidArgument('other', `${length} elements in ${this.#layout.length} tensors`, fine.length);
    }
    this.#grow(other.count);
    this.#layout.forEach((_, tensor) => void this.#makeRoom(tensor, FINE_REST));
    const ours = this.#coarseLane();
    if (coarse !== undefined) for (let i = 0; i < length; i++) ours[i] += coarse[i];
    for (let i = 0; i < length; i++) {
      const h = fine[i] + COARSE_MAGIC - COARSE_MAGIC;
      ours[i] += h;
      this.#fine[i] += fine[i] - h;
    }
    this.#weightSums = this.#weightSums.map((sum, tensor) => sum + other.weightSums[tensor]);
  }

  mean(): Float32Array {
    const [coarse, fine] = [this.#coarse, this.#fine];
    const mean = new Float32Array(fine.length);
    this.#layout.forEach(({ offset, size }, tensor) => {
      const weightSum = this.#weightSums[tensor];
      if (weightSum === 0) return;
      const end = offset + size;
      if (coarse === undefined) for (let i = offset; i < end; i++) mean[i] = fine[i] / weightSum;
      else for (let i = offset; i < end; i++) mean[i] = (coarse[i] + fine[i]) / weightSum;
    });
    return mean;
  }

  prepare(
    values: Float32Array,
    { weight, maxAbs = Number.MAX_VALUE }: { weight: Weight; maxAbs?: number },
  ): Refusal | Prepared {
    const { length } = this.#fine;
    if (values.length !== length) return refusal('update', `${length} elements`, values.length);
    const given = typeof weight === 'number' ? this.#layout.map(() => weight) : weight;
    if (given.length !== this.#layout.length) {
      return refusal('weight', `one per tensor (${this.#layout.length})`, given.length);
    }
    const bad = given.find((w) => !(w >= 0 && w <= MAX_WEIGHT));
    if (bad !== undefined) return refusal('weight', `a number in 0..${MAX_WEIGHT}`, bad);
    const weights = given.map((w) => Math.round(w / WEIGHT_STEP) * WEIGHT_STEP);
    if (!weights.some((w) => w > 0)) return refusal('weight', `at least ${WEIGHT_STEP}`, given[0]);
    const largest: number[] = [];
    for (let i = 0; i < weights.length; i++) {
      const { offset, size } = this.#layout[i];
      const tensor = values.subarray(offset, offset + size);
      const limit = Math.min(maxAbs, weights[i] === 0 ? Number.MAX_VALUE : MAX_WEIGHTED / weights[i]);
      largest.push(maxMagnitude(tensor));
      if (!(largest[i] <= limit)) return outOfRange(tensor, this.#layout[i], limit); // NaN is not
    }
    return { values, weights, largest };
  }

  #addTensor(
    values: Float32Array,
    weight: number,
    largest: number,
    { tensor, from, to }: { tensor: number; from: number; to: number },
  ): void {
    if (weight * largest <= FINE_CONTRIBUTION) {
      this.#makeRoom(tensor, weight * largest);
      addFine(this.#fine, values, weight, from, to);
    } else {
      this.#makeRoom(tensor, FINE_REST);
      addSplit(this.#coarseLane(), this.#fine, values, weight, from, to);
    }
  }

  /** Carries, if need be, so that the fine lane of this tensor can take `more`. */
  #makeRoom(tensor: number, more: number): void {
    if (this.#fineBounds[tensor] + more > FINE_BOUND) {
      const { offset, size } = this.#layout[tensor];
      carry(this.#coarseLane(), this.#fine, offset, offset + size);
      this.#fineBounds[tensor] = FINE_REST;
    }
    this.#fineBounds[tensor] += more;
  }

  #coarseLane(): Float64Array {
    this.#coarse ??= new Float64Array(this.#fine.length);
    return this.#coarse;
  }

  #grow(by: number): void {
    if (this.#count + by > MAX_CONTRIBUTIONS) {
      throw new FlError('resource-exhausted', `sum: expected at most ${MAX_CONTRIBUTIONS} contributions`);
    }
    this.#count += by;
  }
}

// The hot loops stand apart so that each only ever sees one type of array. They go in fours, all loads before the first
// store: a store may change what a later load reads, for all the compiler knows, and one by one each waits for the other.
// That is 1.5 times as fast, and the same operations on each element.

function addFine(fine: Float64Array, values: Float32Array, weight: number, from: number, to: number): void {
  const wholeFours = from + ((to - from) & ~3);
  for (let i = from; i < wholeFours; i += 4) {
    const a = weight * values[i] + FINE_MAGIC - FINE_MAGIC;
    const b = weight * values[i + 1] + FINE_MAGIC - FINE_MAGIC;
    const c = weight * values[i + 2] + FINE_MAGIC - FINE_MAGIC;
    const d = weight * values[i + 3] + FINE_MAGIC - FINE_MAGIC;
    fine[i] += a;
    fine[i + 1] += b;
    fine[i + 2] += c;
    fine[i + 3] += d;
  }
  for (let i = wholeFours; i < to; i++) fine[i] += weight * values[i] + FINE_MAGIC - FINE_MAGIC;
}

function addSplit(
  coarse: Float64Array,
  fine: Float64Array,
  values: Float32Array,
  weight: number,
  from: number,
  to: number,
): void {
  const wholeFours = from + ((to - from) & ~3);
  for (let i = from; i < wholeFours; i += 4) {
    const p = weight * values[i];
    const q = weight * values[i + 1];
    const r = weight * values[i + 2];
    const s = weight * values[i + 3];
    const a = p + COARSE_MAGIC - COARSE_MAGIC;
    const b = q + COARSE_MAGIC - COARSE_MAGIC;
    const c = r + COARSE_MAGIC - COARSE_MAGIC;
    const d = s + COARSE_MAGIC - COARSE_MAGIC;
    coarse[i] += a;
    coarse[i + 1] += b;
    coarse[i + 2] += c;
    coarse[i + 3] += d;
    fine[i] += p - a + FINE_MAGIC - FINE_MAGIC;
    fine[i + 1] += q - b + FINE_MAGIC - FINE_MAGIC;
    fine[i + 2] += r - c + FINE_MAGIC - FINE_MAGIC;
    fine[i + 3] += s - d + FINE_MAGIC - FINE_MAGIC;
  }
  for (let i = wholeFours; i < to; i++) {
    const p = weight * values[i];
    const h = p + COARSE_MAGIC - COARSE_MAGIC;
    coarse[i] += h;
    fine[i] += p - h + FINE_MAGIC - FINE_MAGIC;
  }
}

function carry(coarse: Float64Array, fine: Float64Array, from: number, to: number): void {
  for (let i = from; i < to; i++) {
    const h = fine[i] + COARSE_MAGIC - COARSE_MAGIC;
    coarse[i] += h;
    fine[i] -= h;
  }
}

/** Largest |x|; NaN if there is one. */
function maxMagnitude(values: Float32Array): number {
  const bits = maxMagnitudeBits(new Int32Array(values.buffer, values.byteOffset, values.length));
  return new Float32Array(Int32Array.of(bits).buffer)[0];
}

/**
 * Without its sign bit a float32 orders like the integer of its bits, infinity and NaN above all numbers. Two running
 * maxima over fours, since a single one would wait for itself: 8 GB/s against 3.6.
 */
function maxMagnitudeBits(bits: Int32Array): number {
  const wholeEights = bits.length & ~7;
  let even = 0;
  let odd = 0;
  for (let i = 0; i < wholeEights; i += 8) {
    const four = maxOfFour(bits[i], bits[i + 1], bits[i + 2], bits[i + 3]);
    if (four > even) even = four;
    const next = maxOfFour(bits[i + 4], bits[i + 5], bits[i + 6], bits[i + 7]);
    if (next > odd) odd = next;
  }
  let largest = Math.max(even, odd);
  for (let i = wholeEights; i < bits.length; i++) largest = Math.max(largest, bits[i] & MAGNITUDE);
  return largest;
}

const MAGNITUDE = 0x7fffffff;

function maxOfFour(a: number, b: number, c: number, d: number): number {
  return Math.max(Math.max(a & MAGNITUDE, b & MAGNITUDE), Math.max(c & MAGNITUDE, d & MAGNITUDE));
}

function outOfRange(values: Float32Array, { name }: LayoutEntry, limit: number): Refusal {
  const broken = firstNonFinite(values);
  if (broken >= 0) return refusal(`update of ${name}[${broken}]`, 'a finite number', values[broken]);
  const at = values.findIndex((value) => Math.abs(value) > limit);
  return refusal(`update of ${name}[${at}]`, `at most ${limit} in magnitude`, values[at]);
}

function refusal(field: string, expected: string, got: unknown): Refusal {
  return { reason: 'invalid-update', detail: invalidArgument(field, expected, got).message };
}
