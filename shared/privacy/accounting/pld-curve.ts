/**
 * A privacy loss distribution for mechanisms of which only Rényi divergences are known (sums of discrete noise, ρ-zCDP), so
 * that their costs compose with those of mechanisms whose distribution is known.
 *
 * Divergences bound the privacy profile δ(ε) (Canonne, Kamath, Steinke 2020, Proposition 12). Every profile is that of a
 * dominating pair, and dominating pairs compose (Zhu, Dong, Wang 2022, arXiv:2106.08567, Theorem 10 and Proposition 8). The
 * true profile is convex in x = e^ε and at most the bound, hence at most the greatest convex function below the bound's
 * values on a grid, and between grid points at most its chords: those are again a profile, of a pair with losses on the grid
 * ("connect the dots", arXiv:2207.04380). A chord from x_i to x_(i+1) has the slope -Σ_(loss > ε_i) q, so the change of
 * slope at a grid point is the probability q of its loss without the record, and q e^loss the one with it.
 */
import type { LossGrid, LossSketch, LossSource } from './pld-grid.js';
import { rdpToDelta } from './rdp.js';

/** What lies beyond a profile this small counts as an infinite loss. */
const NEGLIGIBLE = 1e-24;
const SKETCH_CELLS = 2000;
/** A grid so fine that it would need more cells to either side ends there: what lies beyond counts as infinite. */
const MOST_CELLS = 2 ** 20;

/** ln δ as a function of ε, by one order: intercept - slope ε. */
interface Line {
  readonly slope: number;
  readonly intercept: number;
}

/**
 * The source for divergences `rdp` at `orders`, ascending, of a mechanism that looks alike in both directions.
 * @param rdp at least one of them finite and above 0
 */
export function curveLoss(orders: readonly number[], rdp: readonly number[]): LossSource {
  const lines = envelopeOf(orders, rdp);
  const highest = Math.min(...lines.filter(({ slope }) => slope > 0).map(reachOf));
  const sketch = once(() => sketchOf(gridFrom(lines, highest, highest / SKETCH_CELLS)));
  return {
    atomAtMax: false,
    maxLoss: () => Number.POSITIVE_INFINITY,
    sketch,
    discretize: (_, step) => gridFrom(lines, highest, step),
  };
}

/** The ε at which a line alone is negligible. */
function reachOf({ slope, intercept }: Line): number {
  return Math.max(1e-9, (intercept - Math.log(NEGLIGIBLE)) / slope);
}

/** The lines of {@link rdpToDelta} that are the lowest somewhere in ε >= 0, flattest first. */
function envelopeOf(orders: readonly number[], rdp: readonly number[]): Line[] {
  const envelope: Line[] = [{ slope: 0, intercept: Math.log(rdpToDelta(orders, rdp, 0)) }];
  for (const [i, order] of orders.entries()) {
    if (order <= 1.01 || !Number.isFinite(rdp[i]) || !Number.isFinite(order)) continue;
    const intercept = (order - 1) * (rdp[i] + Math.log1p(-1 / order)) - Math.log(order);
    const line = { slope: order - 1, intercept };
    while (envelope.length >= 2 && crossing(envelope[envelope.length - 2], line) <= crossing(...lastTwo(envelope))) {
      envelope.pop();
    }
    envelope.push(line);
  }
  return envelope;
}

/** The ε from which the steeper line is the lower one. */
function crossing(flat: Line, steep: Line): number {
  return (steep.intercept - flat.intercept) / (steep.slope - flat.slope);
}

const lastTwo = (lines: readonly Line[]): [Line, Line] => [lines[lines.length - 2], lines[lines.length - 1]];

/** δ at 0, step, 2 step, ... */
function profileOf(lines: readonly Line[], step: number, size: number): Float64Array {
  let at = 0;
  return Float64Array.from({ length: size }, (_, i) => {
    const epsilon = i * step;
    while (at + 1 < lines.length && crossing(lines[at], lines[at + 1]) <= epsilon) at++;
    return Math.min(1, Math.exp(lines[at].intercept - lines[at].slope * epsilon));
  });
}

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

function gridFrom(lines: readonly Line[], highest: number, step: number): LossGrid {
  const top = Math.min(MOST_CELLS, Math.ceil(highest / step));
  const size = 2 * top + 1;
  const heights = new Float64Array(size);
  heights.set(profileOf(lines, step, top + 1), top);
  // below 0 by the other direction, which has the same profile: δ(-ε) = 1 - e^-ε + e^-ε δ(ε)
  for (let i = 1; i <= top; i++) heights[top - i] = Math.exp(-i * step) * heights[top + i] - Math.expm1(-i * step);
  return { step, low: -top, probs: massesOf(heights, step), infinity: heights[size - 1] };
}

/** Probabilities with the record, from the profile's values; see the head of this file. */
function massesOf(heights: Float64Array, step: number): Float64Array {
  const hull = lowerHull(heights, step);
  const masses = new Float64Array(heights.length);
  // slopes times x of their right end, so that no power of e overflows: (h_j - h_i) / (1 - e^-(ε_j - ε_i))
  const slopeTo = (i: number, j: number) => (heights[j] - heights[i]) / -Math.expm1(-(j - i) * step);
  for (let k = 0; k < hull.length; k++) {
    const at = hull[k];
    // left of the first point the profile is the chord from 1 at x = 0
    const left = k === 0 ? heights[at] - 1 : slopeTo(hull[k - 1], at);
    const right = k + 1 === hull.length ? 0 : slopeTo(at, hull[k + 1]) * Math.exp(-(hull[k + 1] - at) * step);
    masses[at] = Math.max(0, right - left);
  }
  return masses;
}

/** Indices of the points of the greatest convex function of e^ε below `heights`. */
function lowerHull(heights: Float64Array, step: number): number[] {
  const hull: number[] = [];
  for (let i = 0; i < heights.length; i++) {
    for (let size = hull.length; size >= 2; size = hull.length) {
      const [a, b] = [hull[size - 2], hull[size - 1]];
      // b lies on or above the chord from a to i, abscissae in units of x_b
      const before = -Math.expm1(-(b - a) * step);
      const after = Math.expm1((i - b) * step);
      if ((heights[b] - heights[a]) * after < (heights[i] - heights[b]) * before) break;
      hull.pop();
    }
    hull.push(i);
  }
  return hull;
}

function sketchOf({ step, low, probs }: LossGrid): LossSketch {
  const kept = Array.from(probs.keys()).filter((i) => probs[i] > 0);
  return { loss: Float64Array.from(kept, (i) => (low + i) * step), prob: Float64Array.from(kept, (i) => probs[i]) };
}
