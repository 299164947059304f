/**
 * Exponential, logarithm and what is made of them, four lanes at a time, as pure SIMD instructions.
 *
 * Argument reduction and polynomials after Moshier's Cephes library, single precision (expf, logf, tanhf:
 * https://netlib.org/cephes/), whose errors are below 2 ulp. Only IEEE operations are used, so results do not depend on
 * the machine. Infinities, zeros and NaN behave as in JavaScript's Math.
 */
import { type Code, f32x4, get, i32x4, type Scope, set, v128 } from '../../../../shared/wasm/assembler.js';

/** A statement list and the expression that holds the result afterwards. */
export interface Computed {
  readonly code: readonly Code[];
  readonly value: Code;
}

/** Coefficients from the highest power down (Horner). */
function polynomial(x: Code, coefficients: readonly number[]): Code {
  return coefficients
    .slice(1)
    .reduce<Code>((sum, c) => f32x4.add(f32x4.mul(sum, x), f32x4.const(c)), f32x4.const(coefficients[0]));
}

const LOG2_E = Math.LOG2E;
/** ln 2 in two parts, the first with trailing zeros, so that n·LN2_HIGH is exact. */
const LN2_HIGH = 0.693359375;
const LN2_LOW = -2.1219444e-4;

/** e^x = 2^n · e^r with |r| <= ln(2) / 2; the scaling is done in two steps so that overflow and underflow are gradual. */
export function exponential(scope: Scope, argument: Code): Computed {
  const [x, n, r, exponent, half] = scope.locals('v128', 5);
  const power = (k: Code): Code => i32x4.shl(i32x4.add(k, i32x4.const(127)), 23);
  const tail = polynomial(
    get(r),
    [1.98756915e-4, 1.39819995e-3, 8.33345191e-3, 4.16657959e-2, 1.66666657e-1, 5.00000012e-1],
  );
  const significand = f32x4.add(f32x4.add(f32x4.mul(tail, f32x4.mul(get(r), get(r))), get(r)), f32x4.const(1));
  return {
    code: [
      set(x, f32x4.max(f32x4.min(argument, f32x4.const(89)), f32x4.const(-104))),
      set(n, f32x4.nearest(f32x4.mul(get(x), f32x4.const(LOG2_E)))),
      set(r, f32x4.sub(get(x), f32x4.mul(get(n), f32x4.const(LN2_HIGH)))),
      set(r, f32x4.sub(get(r), f32x4.mul(get(n), f32x4.const(LN2_LOW)))),
      set(exponent, i32x4.fromF32x4(get(n))),
      set(half, i32x4.shrS(get(exponent), 1)),
    ],
    value: f32x4.mul(f32x4.mul(significand, power(get(half))), power(i32x4.sub(get(exponent), get(half)))),
  };
}

/** ln x for x >= 0 normal; ln 0 = -Infinity, of a negative number NaN. Subnormal numbers count as 0. */
export function logarithm(scope: Scope, argument: Code): Computed {
  const [x, m, e, small, z] = scope.locals('v128', 5);
  const smallestNormal = f32x4.const(2 ** -126);
  const series = polynomial(
    get(m),
    [
      7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
      2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
    ],
  );
  return {
    code: [
      set(x, argument),
      // x = m · 2^e with m in [0.5, 1), then in [sqrt(1/2), sqrt(2)) less one
      set(e, f32x4.fromI32x4(i32x4.sub(i32x4.shrU(get(x), 23), i32x4.const(126)))),
      set(m, v128.or(v128.and(get(x), i32x4.const(0x007fffff)), i32x4.const(0x3f000000))),
      set(small, f32x4.lt(get(m), f32x4.const(Math.SQRT1_2))),
      set(e, f32x4.sub(get(e), v128.and(get(small), f32x4.const(1)))),
      set(m, f32x4.sub(f32x4.add(get(m), v128.and(get(small), get(m))), f32x4.const(1))),
      set(z, f32x4.mul(get(m), get(m))),
      set(
        m,
        f32x4.add(
          get(m),
          f32x4.add(
            f32x4.sub(
              f32x4.add(f32x4.mul(f32x4.mul(series, get(m)), get(z)), f32x4.mul(get(e), f32x4.const(LN2_LOW))),
              f32x4.mul(get(z), f32x4.const(0.5)),
            ),
            f32x4.mul(get(e), f32x4.const(LN2_HIGH)),
          ),
        ),
      ),
      // Infinity and NaN give themselves; below the normal numbers -Infinity, negative numbers NaN.
      set(m, v128.select(get(m), get(x), f32x4.lt(get(x), f32x4.const(Number.POSITIVE_INFINITY)))),
      set(m, v128.select(f32x4.const(Number.NEGATIVE_INFINITY), get(m), f32x4.lt(get(x), smallestNormal))),
      set(m, v128.or(get(m), f32x4.lt(get(x), v128.zero))),
    ],
    value: get(m),
  };
}

/** tanh x: an odd polynomial below 0.625, 1 - 2 / (e^2|x| + 1) with the sign of x above. */
export function hyperbolicTangent(scope: Scope, argument: Code): Computed {
  const [x, size, square, far] = scope.locals('v128', 4);
  const exp = exponential(scope, f32x4.add(get(size), get(size)));
  const near = f32x4.add(
    f32x4.mul(
      f32x4.mul(
        polynomial(
          get(square),
          [-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1],
        ),
        get(square),
      ),
      get(x),
    ),
    get(x),
  );
  return {
    code: [
      set(x, argument),
      set(size, f32x4.abs(get(x))),
      ...exp.code,
      set(far, f32x4.sub(f32x4.const(1), f32x4.div(f32x4.const(2), f32x4.add(exp.value, f32x4.const(1))))),
      set(far, v128.or(get(far), v128.and(get(x), i32x4.const(0x80000000)))),
      set(square, f32x4.mul(get(x), get(x))),
    ],
    value: v128.select(near, get(far), f32x4.lt(get(size), f32x4.const(0.625))),
  };
}

/** 1 / (1 + e^-x) */
export function logistic(scope: Scope, argument: Code): Computed {
  const exp = exponential(scope, f32x4.neg(argument));
  return { code: exp.code, value: f32x4.div(f32x4.const(1), f32x4.add(f32x4.const(1), exp.value)) };
}

/** ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|), the logarithm corrected for the rounding of its argument (Kahan). */
export function softplus(scope: Scope, argument: Code): Computed {
  const [x, small, sum] = scope.locals('v128', 3);
  const exp = exponential(scope, f32x4.neg(f32x4.abs(get(x))));
  const log = logarithm(scope, get(sum));
  const excess = f32x4.sub(get(sum), f32x4.const(1));
  const corrected = f32x4.div(f32x4.mul(log.value, get(small)), excess);
  return {
    code: [
      set(x, argument),
      ...exp.code,
      set(small, exp.value),
      set(sum, f32x4.add(get(small), f32x4.const(1))),
      ...log.code,
    ],
    value: f32x4.add(
      f32x4.max(get(x), v128.zero),
      v128.select(get(small), corrected, f32x4.eq(get(sum), f32x4.const(1))),
    ),
  };
}

/** Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415: gelu(x) = x/2 · (1 + tanh u), u = SCALE · (x + CUBIC · x³). */
const SCALE = Math.sqrt(2 / Math.PI);
const CUBIC = 0.044715;

function geluTangent(scope: Scope, x: Code): Computed {
  const cubed = f32x4.mul(f32x4.mul(x, x), x);
  return hyperbolicTangent(scope, f32x4.mul(f32x4.add(x, f32x4.mul(cubed, f32x4.const(CUBIC))), f32x4.const(SCALE)));
}

/** x · Φ(x) by the approximation above. */
export function gelu(scope: Scope, x: Code): Computed {
  const { code, value } = geluTangent(scope, x);
  return { code, value: f32x4.mul(f32x4.mul(x, f32x4.const(0.5)), f32x4.add(value, f32x4.const(1))) };
}

/** dy · (1 + t + x · (1 - t²) · du/dx) / 2 with t = tanh u, du/dx = SCALE · (1 + 3 · CUBIC · x²) */
export function geluGradient(scope: Scope, dy: Code, x: Code): Computed {
  const t = scope.local('v128');
  const { code, value } = geluTangent(scope, x);
  const inner = f32x4.add(f32x4.mul(f32x4.mul(x, x), f32x4.const(3 * CUBIC * SCALE)), f32x4.const(SCALE));
  const slope = f32x4.mul(f32x4.sub(f32x4.const(1), f32x4.mul(get(t), get(t))), f32x4.mul(x, inner));
  const sum = f32x4.add(f32x4.add(f32x4.const(1), get(t)), slope);
  return { code: [...code, set(t, value)], value: f32x4.mul(f32x4.mul(dy, f32x4.const(0.5)), sum) };
}
