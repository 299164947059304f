/**
 * Source of the noise kernel: the look-up of draw.ts and the lattice step of rounded-gaussian.ts, each a loop over memory
 * that kernel.ts has laid out. Both are tied to the plain versions, bit for bit, by test/shared/privacy/noise-kernel.spec.ts.
 */
import {
  advance,
  type Code,
  doWhile,
  type Func,
  f32x4,
  f64x2,
  get,
  i32,
  i32x4,
  loopWhile,
  set,
  v128,
  when,
} from '../../wasm/assembler.js';

/** Elements in one turn of a loop: up to this many less one beyond the last are read and written too. */
export const UNROLLED = 8;

const unrolled = (count: number, code: (index: number) => Code): Code[] =>
  Array.from({ length: count }, (_, index) => code(index));

/**
 * For each word of words .. end: out += factor · at / 4 + bias, with `at` the address of the first threshold whose high part
 * is not below the word; `at` takes the word's place. Where the two were equal, the place is appended at `ties`. Returns the
 * end of the ties. The guide holds addresses. Two loops, because only the second one can work on vectors.
 */
const draw: Func = {
  params: Array(8).fill('i32'),
  result: 'i32',
  body(scope, words, end, out, guide, shift, factor, bias, ties) {
    const [start, word, prefix, at, top, middle] = scope.locals('i32', 6);
    const [factors, biases] = scope.locals('v128', 2);
    const half = i32.shl(i32.shrU(i32.sub(get(top), get(at)), i32.const(3)), i32.const(2));
    const search = [
      set(top, i32.load(get(prefix), 4)),
      loopWhile(i32.ltU(get(at), get(top)), [
        set(middle, i32.add(get(at), half)), // a multiple of 4 from `at`
        when(
          i32.ltU(i32.load(get(middle)), get(word)),
          [set(at, i32.add(get(middle), i32.const(4)))],
          [set(top, get(middle))],
        ),
      ]),
    ];
    const lookUp = (offset: number): Code => [
      set(word, i32.load(get(words), offset)),
      set(prefix, i32.add(get(guide), i32.shl(i32.shrU(get(word), get(shift)), i32.const(2)))),
      set(at, i32.load(get(prefix))),
      // one entry on if that is below the word, without a jump
      advance(at, i32.shl(i32.ltU(i32.load(get(at)), get(word)), i32.const(2))),
      // seldom: several thresholds under one prefix, or a tie
      when(i32.leU(i32.load(get(at)), get(word)), [
        ...search,
        when(i32.eq(i32.load(get(at)), get(word)), [
          i32.store(get(ties), i32.add(get(words), i32.const(offset))),
          advance(ties, i32.const(4)),
        ]),
      ]),
      i32.store(get(words), get(at), offset),
    ];
    const addNoise = (offset: number): Code => {
      const noise = i32x4.mul(i32x4.shrU(v128.load(get(words), offset), 2), get(factors));
      return v128.store(get(out), i32x4.add(i32x4.add(v128.load(get(out), offset), noise), get(biases)), offset);
    };
    const isBeforeEnd = i32.ltU(get(words), get(end));
    return [
      set(start, get(words)),
      doWhile(
        [...unrolled(UNROLLED, (i) => lookUp(4 * i)), advance(words, i32.const(4 * UNROLLED))], // one word each
        isBeforeEnd,
      ),
      set(words, get(start)),
      set(factors, i32x4.splat(get(factor))),
      set(biases, i32x4.splat(get(bias))),
      doWhile(
        [
          ...unrolled(UNROLLED / 4, (i) => addNoise(16 * i)),
          advance(out, i32.const(4 * UNROLLED)),
          advance(words, i32.const(4 * UNROLLED)),
        ],
        isBeforeEnd,
      ),
      get(ties),
    ];
  },
};

/**
 * out = ((floor(sum / granularity + 1/2) + noise) · granularity) / divisor, rounded to float32 at the end, for each of the
 * 32-bit integers of noise .. end; sums are float64.
 */
const lattice: Func = {
  params: ['i32', 'i32', 'i32', 'i32', 'f64', 'f64'],
  body(scope, noise, end, sums, out, granularity, divisor) {
    const [grains, divisors, half] = scope.locals('v128', 3);
    const mean = (i: number): Code => {
      const point = f64x2.floor(f64x2.add(f64x2.div(v128.load(get(sums), 16 * i), get(grains)), get(half)));
      const noisy = f64x2.add(point, f64x2.fromLowI32x4(v128.loadLow(get(noise), 8 * i)));
      return f32x4.fromF64x2(f64x2.div(f64x2.mul(noisy, get(grains)), get(divisors)));
    };
    return [
      set(grains, f64x2.splat(get(granularity))),
      set(divisors, f64x2.splat(get(divisor))),
      set(half, f64x2.const(0.5)),
      doWhile(
        [
          ...unrolled(UNROLLED / 2, (i) => v128.storeLow(get(out), mean(i), 8 * i)),
          advance(out, i32.const(4 * UNROLLED)),
          advance(sums, i32.const(8 * UNROLLED)),
          advance(noise, i32.const(4 * UNROLLED)),
        ],
        i32.ltU(get(noise), get(end)),
      ),
    ];
  },
};

/** By the names under which kernel.ts calls them; arguments in the order of the bodies' parameters. */
export const NOISE_FUNCTIONS = { draw, lattice };
