/**
 * Metrics in a masked sum without loss. A number of one client is written in balanced digits (Knuth, The Art of Computer
 * Programming, vol. 2, section 4.1: base B, digits from -B/2 to B/2 - 1), each of them an element of the masked vector that
 * the ring adds exactly; the sums of the digits are the digits of the sum. So neither bound nor grid is felt: the unit is
 * 2^-50 of what one example adds (or of 1, where that is more), and 2^75 and more of these units fit.
 *
 * The digits of all declared metrics travel as one more metric, so a client that is older than this adds nothing to it and
 * is noticed: then the figures are those of the grid, for all.
 */
import type { SumMetrics } from './metrics.js';
import type { MaskedMetric } from './spec.js';

/** No workload's own name: those have no slash. */
export const EXACT = 'starling/exact';
const FRACTION_BITS = 50;
/** Of a training, whose grid may be of 6 bits, and of an evaluation, which has more. */
const DIGITS = { train: 8, test: 7 } as const;
/** Elements before the digits: 1 for a client that speaks of this, and 1 for one with a number that does not fit. */
const HEAD = 2;
/** A specification's limits on a metric's size, and on their number. */
const MAX_SIZE = 65_536;
const MAX_METRICS = 64;

/** As a specification declares it, for these metrics; none where it would not fit. */
export function exactMetrics(kind: keyof typeof DIGITS, metrics: readonly MaskedMetric[]): readonly MaskedMetric[] {
  const size = HEAD + DIGITS[kind] * numbersOf(metrics);
  return size > MAX_SIZE || metrics.length === 0 || metrics.length >= MAX_METRICS
    ? []
    : [{ name: EXACT, size, max: 1 }];
}

/** Sums and counts. */
const numbersOf = (metrics: readonly MaskedMetric[]): number => metrics.reduce((sum, { size }) => sum + size + 1, 0);

interface Digits {
  readonly declared: readonly MaskedMetric[];
  readonly count: number;
  readonly bits: number;
  readonly fractionBits: number;
}

/** How the digits lie for these declared metrics on a grid of so many steps; undefined: there are none. */
function digitsOf(metrics: readonly MaskedMetric[], steps: number): Digits | undefined {
  const size = metrics.find(({ name }) => name === EXACT)?.size;
  const declared = metrics.filter(({ name }) => !name.startsWith('starling/'));
  const count = ((size ?? 0) - HEAD) / Math.max(1, numbersOf(declared));
  const bits = Math.floor(Math.log2(steps + 1));
  if (!Number.isInteger(count) || count < 1 || bits < 4) return undefined;
  return { declared, count, bits, fractionBits: Math.min(FRACTION_BITS, Math.floor(0.4 * bits * count)) };
}

/** What a number is a multiple of, when one example adds at most `max`. */
const unitOf = ({ fractionBits }: Digits, max: number): number => Math.min(1, max) * 2 ** -fractionBits;

/**
 * The elements of {@link EXACT}, whole numbers within the grid; zeros of a client that has measured nothing count as zeros.
 * @param metrics all that the plan declares @param measured finite numbers
 */
export function toDigits(metrics: readonly MaskedMetric[], measured: SumMetrics, steps: number): number[] {
  const digits = digitsOf(metrics, steps);
  const size = metrics.find(({ name }) => name === EXACT)?.size ?? 0;
  if (digits === undefined) return Array<number>(size).fill(0);
  let tooLarge = 0;
  const written = digits.declared.flatMap(({ name, size, max }) => {
    const { sum, count } = Object.hasOwn(measured, name) ? measured[name] : { sum: [], count: 0 };
    const numbers = [
      ...Array.from({ length: size }, (_, i) => (sum[i] ?? 0) / unitOf(digits, max)),
      count / unitOf(digits, 1),
    ];
    return numbers.flatMap((number) => {
      const { value, cut } = within(number, digits);
      if (cut) tooLarge = 1;
      return balanced(value, digits);
    });
  });
  return [1, tooLarge, ...written];
}

/** Rounded to a whole number, and cut to what the digits hold. */
function within(number: number, { bits, count }: Digits): { value: bigint; cut: boolean } {
  const most = 2 ** (bits * count - 2);
  const cut = Math.abs(number) > most;
  return { value: BigInt(Math.round(Math.min(most, Math.max(-most, number)))), cut };
}

function balanced(value: bigint, { bits, count }: Digits): number[] {
  let rest = value;
  return Array.from({ length: count }, () => {
    const digit = BigInt.asIntN(bits, rest);
    rest = (rest - digit) >> BigInt(bits);
    return Number(digit);
  });
}

/** What digits came to, over all survivors. */
export interface ExactSums {
  readonly metrics: SumMetrics;
  /** Largest error of each declared metric's sums. */
  readonly errors: Readonly<Record<string, number>>;
  /** Clients with a number that was cut to what the digits hold. */
  readonly tooLarge: number;
}

/** Undefined unless all `clients` of the sum have written digits. @param sums of the elements of {@link EXACT} */
export function fromDigits(
  metrics: readonly MaskedMetric[],
  sums: readonly number[],
  about: { readonly steps: number; readonly clients: number },
): ExactSums | undefined {
  const digits = digitsOf(metrics, about.steps);
  if (digits === undefined || sums[0] !== about.clients) return undefined;
  let at = HEAD;
  const next = (unit: number) => {
    let value = 0n;
    for (let i = digits.count - 1; i >= 0; i--) value = (value << BigInt(digits.bits)) + BigInt(sums[at + i]);
    at += digits.count;
    return Number(value) * unit;
  };
  const entries = digits.declared.map(({ name, size, max }) => {
    const sum = Array.from({ length: size }, () => next(unitOf(digits, max)));
    return [name, { sum, count: next(unitOf(digits, 1)) }] as const;
  });
  const errors = digits.declared.map(({ name, max }) => [name, (about.clients * unitOf(digits, max)) / 2] as const);
  return { metrics: Object.fromEntries(entries), errors: Object.fromEntries(errors), tooLarge: sums[1] };
}
