/**
 * The fast Fourier transform that composes privacy losses: in place, complex, length a power of two (Cooley, Tukey 1965).
 *
 * Decimation in frequency forwards and in time backwards, so that neither direction needs the bit-reversal pass: spectra
 * are only ever multiplied entry by entry, and then the order of the entries does not matter. Blocks are finished depth
 * first, so that all passes but the outermost run inside the cache.
 */

/** Entry h holds cos and -sin of π k / 2^h for k < 2^h: the turns of the pass that joins halves of 2^h. */
export interface Twiddles {
  readonly length: number;
  readonly cos: readonly Float64Array[];
  readonly sin: readonly Float64Array[];
}

/** Blocks up to this length run pass by pass: 2^12 complex numbers and their turns are 128 KiB. */
const CACHED_LENGTH = 4096;

const tables = new Map<number, Twiddles>(); // a memo: the table depends on the length alone

/** `length` must be a power of two. */
export function twiddles(length: number): Twiddles {
  const known = tables.get(length);
  if (known !== undefined) return known;
  if (length < 2 || (length & (length - 1)) !== 0)
    throw new RangeError(`length: expected a power of two, got ${length}`);
  let cos = new Float64Array(length / 2);
  let sin = new Float64Array(length / 2);
  for (let k = 0; k < length / 2; k++) {
    cos[k] = Math.cos((2 * Math.PI * k) / length);
    sin[k] = -Math.sin((2 * Math.PI * k) / length);
  }
  const table = { length, cos: [cos], sin: [sin] };
  while (cos.length > 1) {
    cos = everySecond(cos);
    sin = everySecond(sin);
    table.cos.unshift(cos);
    table.sin.unshift(sin);
  }
  tables.set(length, table);
  return table;
}

function everySecond(values: Float64Array): Float64Array<ArrayBuffer> {
  const half = new Float64Array(values.length / 2);
  for (let k = 0; k < half.length; k++) half[k] = values[2 * k];
  return half;
}

/** Spectrum of (re + i im), left in bit-reversed order. */
export function forwardTransform(re: Float64Array, im: Float64Array, table: Twiddles): void {
  forwardBlock(re, im, table, 0, table.length);
}

/** Inverse of {@link forwardTransform}: bit-reversed spectrum in, ordered values out, scaled by 1 / length. */
export function inverseTransform(re: Float64Array, im: Float64Array, table: Twiddles): void {
  inverseBlock(re, im, table, 0, table.length);
  for (let i = 0; i < table.length; i++) {
    re[i] = re[i] / table.length;
    im[i] = im[i] / table.length;
  }
}

function forwardBlock(re: Float64Array, im: Float64Array, table: Twiddles, start: number, length: number): void {
  if (length > CACHED_LENGTH) {
    splitHalves(re, im, table, start, length / 2);
    forwardBlock(re, im, table, start, length / 2);
    forwardBlock(re, im, table, start + length / 2, length / 2);
    return;
  }
  for (let half = length / 2; half >= 1; half /= 2) {
    for (let at = start; at < start + length; at += 2 * half) splitHalves(re, im, table, at, half);
  }
}

function inverseBlock(re: Float64Array, im: Float64Array, table: Twiddles, start: number, length: number): void {
  if (length > CACHED_LENGTH) {
    inverseBlock(re, im, table, start, length / 2);
    inverseBlock(re, im, table, start + length / 2, length / 2);
    joinHalves(re, im, table, start, length / 2);
    return;
  }
  for (let half = 1; half < length; half *= 2) {
    for (let at = start; at < start + length; at += 2 * half) joinHalves(re, im, table, at, half);
  }
}

/** (x, y) -> (x + y, (x - y) turn) over one block. */
function splitHalves(re: Float64Array, im: Float64Array, table: Twiddles, start: number, half: number): void {
  const level = 31 - Math.clz32(half);
  const cos = table.cos[level];
  const sin = table.sin[level];
  for (let k = 0, a = start, b = start + half; k < half; k++, a++, b++) {
    const ar = re[a];
    const ai = im[a];
    const br = re[b];
    const bi = im[b];
    const c = cos[k];
    const s = sin[k];
    re[a] = ar + br;
    im[a] = ai + bi;
    re[b] = (ar - br) * c - (ai - bi) * s;
    im[b] = (ar - br) * s + (ai - bi) * c;
  }
}

/** (x, y) -> (x + y turn*, x - y turn*) over one block. */
function joinHalves(re: Float64Array, im: Float64Array, table: Twiddles, start: number, half: number): void {
  const level = 31 - Math.clz32(half);
  const cos = table.cos[level];
  const sin = table.sin[level];
  for (let k = 0, a = start, b = start + half; k < half; k++, a++, b++) {
    const c = cos[k];
    const s = sin[k];
    const br = re[b] * c + im[b] * s;
    const bi = im[b] * c - re[b] * s;
    const ar = re[a];
    const ai = im[a];
    re[a] = ar + br;
    im[a] = ai + bi;
    re[b] = ar - br;
    im[b] = ai - bi;
  }
}
