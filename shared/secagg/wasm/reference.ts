/**
 * The kernel's functions in plain TypeScript: what source.ts must compute, bit for bit. They are the fallback where
 * WebAssembly SIMD is missing and the oracle of test/shared/secagg/kernel.spec.ts.
 */
import { multiply } from '../field.js';

/** target[i] += source[i] modulo 2^32. */
export function add(target: Uint32Array, source: Uint32Array): void {
  for (let i = 0; i < source.length; i++) target[i] += source[i];
}

/** target[i] -= source[i] modulo 2^32. */
export function sub(target: Uint32Array, source: Uint32Array): void {
  for (let i = 0; i < source.length; i++) target[i] -= source[i];
}

/** What {@link quantize} rounds: `values` in units of the quantity, and one random word for each. */
export interface QuantizeInput {
  readonly values: Float32Array;
  readonly random: Uint32Array;
  /** Quantization steps per unit; values are clamped to +-`max` steps. */
  readonly scale: number;
  readonly max: number;
  readonly weight: number;
}

/** Stochastic rounding; `undefined` if some value is not finite. All arithmetic is float32, as in the kernel. */
export function quantize({ values, random, scale, max, weight }: QuantizeInput): Int32Array | undefined {
  const out = new Int32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) return undefined;
    const y = Math.max(-max, Math.min(max, Math.fround(values[i] * Math.fround(scale))));
    const low = Math.floor(y);
    const up = (random[i] >>> 8) * 2 ** -24 < y - low ? 1 : 0;
    out[i] = Math.imul(low + up, weight);
  }
  return out;
}

/**
 * Shares at x = 1..holders of the polynomials whose coefficients are the rows of `coefficients`: `lanes` words of
 * GF(2^16) per row, constant term first.
 */
export function shares(coefficients: Uint16Array, lanes: number, holders: number): Uint16Array {
  const out = new Uint16Array(holders * lanes);
  for (let j = 0; j < holders; j++) {
    for (let lane = 0; lane < lanes; lane++) {
      let value = 0;
      for (let at = coefficients.length - lanes + lane; at >= 0; at -= lanes) {
        value = multiply(value, j + 1) ^ coefficients[at];
      }
      out[j * lanes + lane] = value;
    }
  }
  return out;
}
