/**
 * The SIMD kernel's source: addition in Z_2^32, stochastic rounding, and the evaluation of Shamir polynomials over
 * GF(2^16), each a loop over 16-byte vectors of memory that the caller has laid out. The plain versions they are held
 * against stand in reference.ts; test/shared/secagg/kernel.spec.ts ties the two.
 *
 * All lengths are in bytes and multiples of 64 (`add`, `sub`) or 16 (`quantize`), none of them zero: callers pad, no tails
 * here.
 */
import {
  advance,
  type Code,
  doWhile,
  type Func,
  f32x4,
  get,
  i16x8,
  i32,
  i32x4,
  loopWhile,
  set,
  v128,
  when,
} from '../../wasm/assembler.js';

/** target[i] (op) source[i] over 32-bit lanes, four vectors at a time. */
const combine = (op: (a: Code, b: Code) => Code): Func => ({
  params: Array(3).fill('i32'),
  body(scope, target, source, sizeBytes) {
    const end = scope.local('i32');
    return [
      set(end, i32.add(get(target), get(sizeBytes))),
      doWhile(
        [
          ...[0, 16, 32, 48].map((offset) =>
            v128.store(get(target), op(v128.load(get(target), offset), v128.load(get(source), offset)), offset),
          ),
          advance(source, i32.const(64)),
          advance(target, i32.const(64)),
        ],
        i32.ltU(get(target), get(end)),
      ),
    ];
  },
});

/**
 * target = weight * (floor(y) + [r < frac(y)]), y = clamp(source * scale, -max, max), r = top 24 bits of random / 2^24.
 * Returns non-zero if some input was not finite.
 */
const quantize: Func = {
  params: ['i32', 'i32', 'i32', 'i32', 'f32', 'f32', 'i32'],
  result: 'i32',
  body(scope, target, source, random, sizeBytes, scale, max, weight) {
    const end = scope.local('i32');
    const [y, low, bad] = scope.locals('v128', 3);
    const limit = f32x4.splat(get(max));
    const r = f32x4.mul(f32x4.fromU32x4(i32x4.shrU(v128.load(get(random)), 8)), f32x4.const(2 ** -24));
    const up = f32x4.lt(r, f32x4.sub(get(y), get(low))); // exact in float32; true is -1 in each lane
    const rounded = i32x4.sub(i32x4.fromF32x4(get(low)), up);
    return [
      set(end, i32.add(get(target), get(sizeBytes))),
      doWhile(
        [
          set(y, v128.load(get(source))),
          set(low, f32x4.sub(get(y), get(y))), // NaN for NaN and infinities, else 0
          set(bad, v128.or(f32x4.ne(get(low), get(low)), get(bad))),
          set(y, f32x4.max(f32x4.min(f32x4.mul(get(y), f32x4.splat(get(scale))), limit), f32x4.neg(limit))),
          set(low, f32x4.floor(get(y))),
          v128.store(get(target), i32x4.mul(rounded, i32x4.splat(get(weight)))),
          ...[source, random, target].map((pointer) => advance(pointer, i32.const(16))),
        ],
        i32.ltU(get(target), get(end)),
      ),
      v128.anyTrue(get(bad)),
    ];
  },
};

/**
 * Shares of 64-byte secrets: out[j] = sum_i coeff[i] * x^i in each of 32 lanes of GF(2^16), for x = first, first+1, ...
 * Horner's rule; the product by the public x walks down its bits, doubling in the field (shift, and xor the reduction
 * polynomial where a bit fell out), so no secret ever chooses a branch or an address.
 */
const shares: Func = {
  params: Array(5).fill('i32'),
  body(scope, coefficients, count, out, first, holders) {
    const [x, last, at, bit] = scope.locals('i32', 4);
    const polynomial = scope.local('v128');
    const sums = scope.locals('v128', 4);
    const products = scope.locals('v128', 4);
    const timesX = [
      set(bit, i32.shrU(i32.const(0x40000000), i32.clz(get(x)))), // half of x's top bit
      ...products.map((product, i) => set(product, get(sums[i]))),
      loopWhile(get(bit), [
        ...products.map((product) => {
          const reduction = v128.and(i16x8.shrS(get(product), 15), get(polynomial));
          return set(product, v128.xor(i16x8.shl(get(product), 1), reduction));
        }),
        when(
          i32.and(get(x), get(bit)),
          products.map((product, i) => set(product, v128.xor(get(product), get(sums[i])))),
        ),
        set(bit, i32.shrU(get(bit), i32.const(1))),
      ]),
    ];
    return [
      set(polynomial, i16x8.const(0x100b)), // x^16 = x^12 + x^3 + x + 1
      set(x, get(first)),
      set(last, i32.add(get(first), get(holders))),
      doWhile(
        [
          set(at, i32.add(get(coefficients), i32.mul(i32.sub(get(count), i32.const(1)), i32.const(64)))),
          ...sums.map((sum, i) => set(sum, v128.load(get(at), 16 * i))),
          loopWhile(i32.gtU(get(at), get(coefficients)), [
            advance(at, i32.const(-64)),
            ...timesX,
            ...sums.map((sum, i) => set(sum, v128.xor(get(products[i]), v128.load(get(at), 16 * i)))),
          ]),
          ...sums.map((sum, i) => v128.store(get(out), get(sum), 16 * i)),
          advance(out, i32.const(64)),
          advance(x, i32.const(1)),
        ],
        i32.ltU(get(x), get(last)),
      ),
    ];
  },
};

/** By the names under which kernel.ts calls them; arguments in the order of the bodies' parameters. */
export const SECAGG_FUNCTIONS = { add: combine(i32x4.add), sub: combine(i32x4.sub), quantize, shares };
