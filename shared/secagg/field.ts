/**
 * GF(2^16) = GF(2)[x] / (x^16 + x^12 + x^3 + x + 1), elements as 16-bit integers, bit i the coefficient of x^i.
 * The polynomial is primitive (Lin & Costello, Error Control Coding, table 2.7), so x generates the multiplicative group.
 *
 * {@link multiply} works bit by bit without a table or a branch on its operands: it may see secrets. {@link tables} gives
 * logarithms for public values, such as interpolation weights; its look-ups would leak secrets through the cache.
 */

/** x^16 + x^12 + x^3 + x + 1, primitive over GF(2): GF(2^16) is polynomials modulo this one. */
export const FIELD_POLYNOMIAL = 0x1100b;
const GROUP_ORDER = 0xffff;

/** Product in the field, in time that does not depend on the operands. */
export function multiply(a: number, b: number): number {
  let product = 0;
  let shifted = a;
  for (let bit = 0; bit < 16; bit++) {
    product ^= shifted & -((b >> bit) & 1);
    shifted = (shifted << 1) ^ (FIELD_POLYNOMIAL & -(shifted >> 15));
  }
  return product;
}

let cached: { readonly log: Uint16Array; readonly exp: Uint16Array } | undefined;

/** exp[i] = x^i for 0 <= i < 2 * 65535, log its inverse (log[0] means nothing). Built on first use, 512 KiB. */
export function tables(): { readonly log: Uint16Array; readonly exp: Uint16Array } {
  if (cached !== undefined) return cached;
  const log = new Uint16Array(GROUP_ORDER + 1);
  const exp = new Uint16Array(2 * GROUP_ORDER);
  let value = 1;
  for (let i = 0; i < GROUP_ORDER; i++) {
    exp[i] = value;
    exp[i + GROUP_ORDER] = value;
    log[value] = i;
    value = (value << 1) ^ (FIELD_POLYNOMIAL & -(value >> 15));
  }
  cached = { log, exp };
  return cached;
}

/**
 * Lagrange weights at zero for the distinct non-zero points: f(0) = sum_j weights[j] * f(points[j]) for every polynomial
 * of degree below their number. In characteristic 2, w_j = prod_{m != j} x_m / (x_m + x_j).
 */
export function lagrangeAtZero(points: readonly number[]): Uint16Array {
  const { log, exp } = tables();
  const logProduct = points.reduce((sum, x) => (sum + log[x]) % GROUP_ORDER, 0);
  return Uint16Array.from(points, (xj) => {
    let exponent = logProduct - log[xj] + GROUP_ORDER;
    for (const xm of points) if (xm !== xj) exponent += GROUP_ORDER - log[xm ^ xj];
    return exp[exponent % GROUP_ORDER];
  });
}
