/**
 * The formula of a figure that a workload makes in code. A coordinator has no line of that code, so what `finish` does is
 * tried at made-up sums: if a constant times g(x / y) plus a constant gives the same at all of them (to 1e-9; chance does not
 * do that), that is the formula. It finds roots and exponentials of means, percentages, ratios of two sums: what is none of
 * these has to be declared (`manifest.figures`).
 */
import { rngFromSeed } from '../../shared/rng.js';
import type { Formula } from '../../shared/run/formula.js';
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { MaskedMetric } from '../../shared/run/spec.js';

type Finish = (sums: SumMetrics) => Record<string, number>;

/** What `finish` was found to do. */
export interface Recognised {
  /** Every figure that it gives. */
  readonly names: readonly string[];
  readonly formulas: Readonly<Record<string, Formula>>;
}

const POINTS = 8;
const TOLERANCE = 1e-9;
/** Sums and counts that a figure may be made of; more are not looked through. */
const MOST_NUMBERS = 48;
const SHAPES = {
  id: (x: number) => x,
  sqrt: Math.sqrt,
  exp: Math.exp,
  log: Math.log,
} as const;
type Shape = keyof typeof SHAPES;

/** A number that can be read from sums. */
interface Reading {
  readonly formula: Formula;
  read(sums: SumMetrics): number;
}

/** @param declared the metrics that are known beforehand; others that `finish` reads are taken to be scalars */
export function recognise(finish: Finish, declared: readonly MaskedMetric[]): Recognised {
  const asked = new Set<string>();
  const points = Array.from({ length: POINTS }, (_, i) => madeUp(declared, asked, i));
  let figures: readonly Record<string, number>[];
  try {
    figures = points.map((sums) => finish(sums));
  } catch {
    return { names: [], formulas: {} };
  }
  const names = [...new Set(figures.flatMap((found) => Object.keys(found)))];
  const readings = readingsOf(declared, asked).slice(0, MOST_NUMBERS);
  const found = names.flatMap((name) => {
    const formula = formulaOf(
      figures.map((figure) => figure[name]),
      readings.map(({ formula, read }) => ({ formula, values: points.map(read) })),
    );
    return formula === undefined ? [] : [[name, formula] as const];
  });
  return { names, formulas: Object.fromEntries(found) };
}

/** Positive sums below their counts, unlike each other; equal for equal names and points. */
function madeUp(declared: readonly MaskedMetric[], asked: Set<string>, point: number): SumMetrics {
  const made = new Map<string, { sum: number[]; count: number }>();
  const metricOf = (name: string) => {
    const rng = rngFromSeed(point + 1).split(name);
    const count = 40 + 60 * rng.uniform();
    const size = declared.find((metric) => metric.name === name)?.size ?? 1;
    const metric = { sum: Array.from({ length: size }, () => count * (0.2 + 0.7 * rng.uniform())), count };
    made.set(name, metric);
    return metric;
  };
  for (const { name } of declared) metricOf(name);
  return new Proxy(Object.fromEntries(made), {
    get(known, name) {
      if (typeof name !== 'string') return undefined;
      asked.add(name);
      return known[name] ?? made.get(name) ?? metricOf(name);
    },
  });
}

function readingsOf(declared: readonly MaskedMetric[], asked: ReadonlySet<string>): Reading[] {
  return [...asked].flatMap((name): Reading[] => {
    const size = declared.find((metric) => metric.name === name)?.size ?? 1;
    const sum = (at: number): Reading => ({
      formula: size === 1 ? ['sum', name] : (['sum', name, at as Formula] as Formula),
      read: (sums) => sums[name].sum[at],
    });
    const count: Reading = { formula: ['count', name], read: (sums) => sums[name].count };
    return [...Array.from({ length: size }, (_, at) => sum(at)), count];
  });
}

interface Column {
  readonly formula: Formula;
  /** At each point. */
  readonly values: readonly number[];
}

function formulaOf(figure: readonly number[], columns: readonly Column[]): Formula | undefined {
  if (!figure.every(Number.isFinite)) return undefined;
  const one: Column = { formula: 1, values: figure.map(() => 1) };
  for (const above of columns) {
    for (const below of [...columns, one]) {
      if (above === below) continue;
      for (const shape of Object.keys(SHAPES) as Shape[]) {
        const shaped = above.values.map((value, i) => SHAPES[shape](value / below.values[i]));
        const line = lineThrough(shaped, figure);
        if (line !== undefined) return written(line, shape, above, below);
      }
    }
  }
  return undefined;
}

/** Factor and constant by which all of `to` follows from `from`; undefined: none do. */
function lineThrough(from: readonly number[], to: readonly number[]): { by: number; plus: number } | undefined {
  const by = (to[1] - to[0]) / (from[1] - from[0]);
  const plus = to[0] - by * from[0];
  const isOn = (y: number, i: number) => Math.abs(by * from[i] + plus - y) <= TOLERANCE * Math.max(1, Math.abs(y));
  if (!Number.isFinite(by) || Math.abs(by) < TOLERANCE || !to.every(isOn)) return undefined;
  return { by: short(by), plus: Math.abs(plus) < TOLERANCE ? 0 : short(plus) };
}

/** Without what rounding has left in its last places. */
function short(value: number): number {
  const rounded = Number(value.toPrecision(12));
  return Math.abs(rounded - value) <= 1e-13 * Math.abs(value) ? rounded : value;
}

function written({ by, plus }: { by: number; plus: number }, shape: Shape, above: Column, below: Column): Formula {
  const ratio: Formula = below.formula === 1 ? above.formula : ['div', above.formula, below.formula];
  const shaped: Formula = shape === 'id' ? ratio : [shape, ratio];
  const scaled: Formula = by === 1 ? shaped : ['mul', by, shaped];
  return plus === 0 ? scaled : ['add', scaled, plus];
}
