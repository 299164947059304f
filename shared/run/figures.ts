/**
 * From sums to figures, the same everywhere: means of scalar metrics, and what the run's specification makes of sums by
 * formulas. Beside each figure stands its resolution, where the sums came through a grid; one that is below it is left out,
 * for 0 would be read as a result.
 */
import { z } from 'zod';
import { evaluateFormula, type Formula, formulaSchema } from './formula.js';
import { bySplit, meansOf, type SumMetrics } from './metrics.js';
import type { Headline } from './report.js';

/** What a run says of its figures: the one that a person looks at first, and how those are made that are no means. */
export const figuresSpec = z.strictObject({
  headline: z.strictObject({ metric: z.string().min(1).max(200), better: z.enum(['higher', 'lower']) }).optional(),
  /** By the name of the figure, without `test.`. */
  formulas: z.record(z.string().min(1).max(128), formulaSchema).optional(),
}) as z.ZodType<FiguresSpec, unknown>;

/** What a run says of its figures. */
export interface FiguresSpec {
  readonly headline?: Headline;
  readonly formulas?: Formulas;
}

/** By the name of the figure, without `test.`. */
export interface Formulas {
  readonly [name: string]: Formula;
}

/** Figures under `test.`, `validation.` or `train.`. */
export interface Figures {
  readonly metrics: Record<string, number>;
  /** Differences smaller than this are not seen; absent where sums are exact as they come. */
  readonly resolution?: Readonly<Record<string, number>>;
}

/** What is finer than this is the arithmetic's. */
const EXACT_BELOW = 1e-9;

/** @param about.errors the largest error of each metric's sums */
export function figuresOf(
  sums: SumMetrics,
  prefix: 'train' | 'test' | 'validation',
  about: { readonly errors?: Readonly<Record<string, number>>; readonly formulas?: Formulas } = {},
): Figures {
  const { errors, formulas = {} } = about;
  const metrics = withFormulas(sums, prefix, formulas);
  if (errors === undefined) return { metrics };
  const resolution: Record<string, number> = {};
  for (const [name, error] of Object.entries(errors)) {
    if (!Object.hasOwn(sums, name)) continue;
    for (const direction of [error, -error]) {
      const { sum, count } = sums[name];
      const moved = { ...sums, [name]: { sum: sum.map((value) => value + direction), count } };
      const others = withFormulas(moved, prefix, formulas);
      for (const [figure, value] of Object.entries(metrics)) {
        resolution[figure] = Math.max(resolution[figure] ?? 0, Math.abs((others[figure] ?? value) - value));
      }
    }
  }
  for (const name of Object.keys(resolution)) resolution[name] ||= Math.abs(metrics[name]) * Number.EPSILON;
  const seen = Object.entries(metrics).filter(([name, value]) => !isBelow(value, resolution[name] ?? 0));
  return { metrics: Object.fromEntries(seen), resolution };
}

/** The same of an evaluation: under `test.`, and under `validation.` where there are such examples. */
export function figuresOfEvaluation(sums: SumMetrics, about: Parameters<typeof figuresOf>[2] = {}): Figures {
  const { formulas } = about;
  const [split, errors] = [bySplit(sums), bySplit(about.errors ?? {})];
  const parts = (['test', 'validation'] as const).map((name) =>
    figuresOf(split[name], name, { formulas, ...(about.errors && { errors: errors[name] }) }),
  );
  const metrics = { ...parts[0].metrics, ...parts[1].metrics };
  return about.errors === undefined
    ? { metrics }
    : { metrics, resolution: { ...parts[0].resolution, ...parts[1].resolution } };
}

/** Whether a figure is lost in the grid that its sums came through. */
function isBelow(value: number, resolution: number): boolean {
  return resolution > EXACT_BELOW && Math.abs(value) < resolution;
}

function withFormulas(sums: SumMetrics, prefix: string, formulas: Formulas): Record<string, number> {
  const figures = meansOf(sums, prefix);
  for (const [name, formula] of Object.entries(formulas)) {
    const value = evaluateFormula(formula, sums);
    if (value !== undefined) figures[`${prefix}.${name}`] = value;
  }
  return figures;
}
