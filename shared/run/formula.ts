/**
 * How a figure is made of sums, as data: a coordinator that has no line of a workload's code computes what the workload's
 * author means by "rmse". A formula is a number, or a list whose first member says what is done with the rest, as in
 * ["sqrt", ["div", ["sum", "se"], ["count", "se"]]].
 *
 * What cannot be computed (a metric that nobody sent, a division by 0, a root of what is below 0) is no number, and no
 * formula of it is one, but "mean", which is over what there is, and "or", which is the first that there is.
 */
import { z } from 'zod';
import type { SumMetrics } from './metrics.js';

const ARITHMETIC = {
  add: (parts: readonly number[]) => parts.reduce((sum, part) => sum + part, 0),
  sub: ([first, ...others]: readonly number[]) => others.reduce((left, part) => left - part, first),
  mul: (parts: readonly number[]) => parts.reduce((product, part) => product * part, 1),
  div: ([above, below]: readonly number[]) => above / below,
  sqrt: ([part]: readonly number[]) => Math.sqrt(part),
  exp: ([part]: readonly number[]) => Math.exp(part),
  log: ([part]: readonly number[]) => Math.log(part),
  abs: ([part]: readonly number[]) => Math.abs(part),
  min: (parts: readonly number[]) => Math.min(...parts),
  max: (parts: readonly number[]) => Math.max(...parts),
} as const;
type Operation = keyof typeof ARITHMETIC;

/**
 * See the head of this file. `["sum", NAME, INDEX...]` adds up a metric's sums, all or those; `["when", A, B, C]` is C where A
 * is above B. The schema says which lists there are.
 */
export type Formula = number | FormulaList;

/** An operation, and what it is done with. */
export interface FormulaList extends ReadonlyArray<string | Formula> {}

const MAX_PARTS = 4096;
const MAX_DEPTH = 32;
const name = z.string().min(1).max(128);
const index = z.int().min(0).max(65_535);
const one: z.ZodType<Formula> = z.lazy(() =>
  z.union([
    z.number(),
    z.tuple([z.literal('sum'), name]).rest(index),
    z.tuple([z.literal('count'), name]),
    z.tuple([z.enum(['add', 'sub', 'mul', 'min', 'max', 'mean', 'or']), formulaPart]).rest(formulaPart),
    z.tuple([z.enum(['sqrt', 'exp', 'log', 'abs']), formulaPart]),
    z.tuple([z.literal('div'), formulaPart, formulaPart]),
    z.tuple([z.literal('when'), formulaPart, formulaPart, formulaPart]),
  ]),
) as z.ZodType<Formula>;
const formulaPart: z.ZodType<Formula> = z.lazy(() => one);

/** Of a formula, of bounded size: it comes from elsewhere. The bound is looked at first, so that no depth costs anything. */
export const formulaSchema: z.ZodType<Formula> = z
  .unknown()
  .refine(
    (value) => sizeOf(value, 0) <= MAX_PARTS,
    `expected a formula of at most ${MAX_PARTS} parts, ${MAX_DEPTH} deep`,
  )
  .pipe(one as z.ZodType<Formula, unknown>);

function sizeOf(value: unknown, depth: number): number {
  if (depth > MAX_DEPTH) return MAX_PARTS + 1;
  if (!Array.isArray(value)) return 1;
  let size = 1;
  for (const part of value) {
    size += sizeOf(part, depth + 1);
    if (size > MAX_PARTS) break;
  }
  return size;
}

/** The figure, or undefined where there is none. */
export function evaluateFormula(formula: Formula, sums: SumMetrics): number | undefined {
  const value = computed(formula, sums);
  return value === undefined || !Number.isFinite(value) ? undefined : value;
}

function computed(formula: Formula, sums: SumMetrics): number | undefined {
  if (typeof formula === 'number') return formula;
  const [operation, ...rest] = formula as readonly [string, ...unknown[]];
  if (operation === 'sum' || operation === 'count') return held(operation, rest, sums);
  const parts = rest.map((part) => evaluateFormula(part as Formula, sums));
  if (operation === 'or') return parts.find((part) => part !== undefined);
  if (operation === 'mean') {
    const there = parts.filter((part) => part !== undefined);
    return there.length === 0 ? undefined : ARITHMETIC.add(there) / there.length;
  }
  if (parts.some((part) => part === undefined)) return undefined;
  const numbers = parts as number[];
  if (operation === 'when') return numbers[0] > numbers[1] ? numbers[2] : undefined;
  return ARITHMETIC[operation as Operation](numbers);
}

/** All of a metric's sums added up, or those at some indices; or its count. */
function held(what: 'sum' | 'count', [name, ...indices]: readonly unknown[], sums: SumMetrics): number | undefined {
  const metric = Object.hasOwn(sums, name as string) ? sums[name as string] : undefined;
  if (metric === undefined || what === 'count') return metric?.count;
  const among = indices.length === 0 ? metric.sum : (indices as number[]).map((at) => metric.sum[at]);
  return among.some((part) => part === undefined) ? undefined : ARITHMETIC.add(among);
}

/** The metrics that a formula reads. */
export function namesIn(formula: Formula): readonly string[] {
  if (typeof formula === 'number') return [];
  const [operation, ...rest] = formula as readonly [string, ...unknown[]];
  if (operation === 'sum' || operation === 'count') return [rest[0] as string];
  return (rest as readonly Formula[]).flatMap(namesIn);
}
