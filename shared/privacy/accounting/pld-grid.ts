/**
 * Privacy loss distributions on a grid of losses, rounded so that the guarantee only gets weaker.
 *
 * A mechanism is a dominating pair (P, Q); its privacy loss is ln(P/Q) under P, and δ(ε) = E[(1 - e^(ε - loss))+]
 * (Sommer, Meiser, Mohammadi 2019; Koskela, Jälkö, Honkela 2020). "Connect the dots" (Doroshenko, Ghazi, Kamath, Kumar,
 * Manurangsi 2022, arXiv:2207.04380) moves the mass of each cell to the cell's two ends such that its mass under P *and*
 * under Q stays: δ(ε) is then exact at every grid point and too large, by convexity, between them.
 */

/** Which neighbour is the larger data set: 'remove' compares with-the-record to without, 'add' the other way. */
export type Direction = 'remove' | 'add';
/** A neighbour has one unit less, or one more; ε has to hold for both. */
export const DIRECTIONS: readonly Direction[] = ['remove', 'add'];

/** Loss probabilities at (low + i) × step, and the mass at loss = +infinity. */
export interface LossGrid {
  readonly step: number;
  readonly low: number;
  readonly probs: Float64Array;
  readonly infinity: number;
}

/** Atoms, ascending in loss, that outline a loss distribution well enough to choose a window and a grid. */
export interface LossSketch {
  readonly loss: Float64Array;
  readonly prob: Float64Array;
}

/** One release, seen through its privacy loss. */
export interface LossSource {
  sketch(direction: Direction): LossSketch;
  /** Mass at losses below `floor` may be moved up to it: pessimistic, and it spares cells that cannot matter. */
  discretize(direction: Direction, step: number, floor: number): LossGrid;
  /** Least upper bound of the loss; Infinity for unbounded noise. */
  maxLoss(direction: Direction): number;
  /** True if a positive probability sits exactly at maxLoss: the grid should then have a point there. */
  readonly atomAtMax: boolean;
}

/** Two output distributions whose base loss ln(P1/P0) is monotone in the outcome; P1 is the one with the record. */
export interface MonotonePair {
  readonly lowestLoss: number;
  readonly highestLoss: number;
  /** True if no mass lies beyond lowestLoss and highestLoss, false if they only cut negligible tails. */
  readonly bounded: boolean;
  /** Signed tails of P1 and P0 at base loss `loss`: +P(L > loss) when that is the small side, else -P(L <= loss). */
  tails(loss: number): readonly [number, number];
}

const SKETCH_CELLS = 4000;

/** Loss under Poisson subsampling at rate q: ln(1 - q + q e^base); monotone, so cells stay cells. */
export function subsampledLoss(baseLoss: number, samplingRate: number): number {
  if (samplingRate === 1) return baseLoss;
  if (baseLoss > 700) return Math.log(samplingRate) + baseLoss;
  return Math.log1p(samplingRate * Math.expm1(baseLoss));
}

function baseLossOf(loss: number, samplingRate: number): number {
  if (samplingRate === 1) return loss;
  if (loss > 700) return loss - Math.log(samplingRate);
  const odds = Math.expm1(loss) / samplingRate;
  return odds <= -1 ? Number.NEGATIVE_INFINITY : Math.log1p(odds);
}

/** A continuous (or mixed) mechanism under Poisson subsampling. */
export function monotoneSource(pair: MonotonePair, samplingRate: number): LossSource {
  const lowest = subsampledLoss(pair.lowestLoss, samplingRate);
  const highest = subsampledLoss(pair.highestLoss, samplingRate);
  const bounded = (direction: Direction) => pair.bounded || (direction === 'add' && samplingRate < 1);
  return {
    atomAtMax: pair.bounded,
    maxLoss(direction) {
      if (!bounded(direction)) return Number.POSITIVE_INFINITY;
      if (direction === 'remove') return highest;
      return pair.bounded ? -lowest : -Math.log1p(-samplingRate);
    },
    sketch(direction) {
      const span = pair.highestLoss - pair.lowestLoss;
      const edges = Float64Array.from({ length: SKETCH_CELLS + 1 }, (_, i) =>
        i === 0 ? Number.NEGATIVE_INFINITY : pair.lowestLoss + (span * i) / SKETCH_CELLS,
      );
      const masses = cellMasses(pair, edges, samplingRate);
      const loss = new Float64Array(SKETCH_CELLS);
      for (let i = 0; i < SKETCH_CELLS; i++) {
        const upper = subsampledLoss(edges[i + 1], samplingRate);
        const lower = subsampledLoss(Math.max(edges[i], pair.lowestLoss), samplingRate);
        loss[i] = direction === 'remove' ? upper : -lower;
      }
      return direction === 'remove' ? { loss, prob: masses.p } : { loss: loss.reverse(), prob: masses.q.reverse() };
    },
    discretize(direction, step, floor) {
      const bottom = direction === 'remove' ? Math.max(lowest, Math.min(floor, highest)) : lowest;
      const top = direction === 'add' ? Math.min(highest, Math.max(-floor, lowest)) : highest;
      const from = Math.floor(bottom / step);
      const count = Math.max(1, Math.ceil(top / step) - from);
      const edges = Float64Array.from({ length: count + 1 }, (_, i) => baseLossOf((from + i) * step, samplingRate));
      // Where the noise is bounded the end cells take all there is: rounding must not push an atom past the last edge.
      if (pair.bounded && direction === 'remove') edges[count] = Number.POSITIVE_INFINITY;
      if (pair.bounded && direction === 'add') edges[0] = Number.NEGATIVE_INFINITY;
      const masses = cellMasses(pair, edges, samplingRate);
      const below = tailMasses(pair.tails(edges[0]), samplingRate, 'below');
      const above = tailMasses(pair.tails(edges[count]), samplingRate, 'above');
      return direction === 'remove'
        ? connectDots({ step, low: from, p: masses.p, q: masses.q, lowTail: below.p, highTail: above.p })
        : connectDots({
            step,
            low: -(from + count),
            p: masses.q.reverse(),
            q: masses.p.reverse(),
            lowTail: above.q,
            highTail: below.q,
          });
    },
  };
}

/**
 * A mechanism with countably many outcomes: `withRecord` and `without` are the two probability vectors over the outcomes
 * that matter; what is missing from either counts as an infinite loss.
 */
export function discreteSource(withRecord: Float64Array, without: Float64Array, samplingRate: number): LossSource {
  const size = withRecord.length;
  const loss = new Float64Array(size);
  const mixture = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const p = withRecord[i];
    const q = without[i];
    loss[i] = subsampledLoss(Math.log(p) - Math.log(q), samplingRate);
    mixture[i] = (1 - samplingRate) * q + samplingRate * p;
  }
  const oriented = (direction: Direction): LossSketch =>
    direction === 'remove'
      ? { loss, prob: mixture }
      : { loss: loss.map((l) => -l).reverse(), prob: without.toReversed() };
  return {
    atomAtMax: false,
    maxLoss: () => Number.POSITIVE_INFINITY,
    sketch: oriented,
    discretize(direction, step, floor) {
      const { loss: losses, prob } = oriented(direction);
      return spreadAtoms(
        losses.map((loss) => Math.max(loss, floor)),
        prob,
        step,
      );
    },
  };
}

function spreadAtoms(losses: Float64Array, prob: Float64Array, step: number): LossGrid {
  let lowest = Number.POSITIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  for (const loss of losses) {
    if (loss < lowest) lowest = loss;
    if (loss > highest) highest = loss;
  }
  const low = Math.floor(lowest / step);
  const probs = new Float64Array(Math.floor(highest / step) - low + 2);
  let missing = 1;
  for (let i = 0; i < losses.length; i++) {
    const mass = prob[i];
    const loss = losses[i];
    const cell = Math.floor(loss / step);
    const up = Math.min(mass, (mass * Math.expm1(cell * step - loss)) / Math.expm1(-step));
    probs[cell - low] = probs[cell - low] + mass - up;
    probs[cell - low + 1] = probs[cell - low + 1] + up;
    missing -= mass;
  }
  return { step, low, probs, infinity: Math.max(0, missing) };
}

/** Splits each cell's mass over its ends: up + down = p and up e^-high + down e^-low = q. */
function connectDots(cells: {
  step: number;
  low: number;
  p: Float64Array;
  q: Float64Array;
  lowTail: number;
  highTail: number;
}): LossGrid {
  const { step, low, p, q, lowTail, highTail } = cells;
  const probs = new Float64Array(p.length + 1);
  probs[0] = lowTail; // rounded up to the lowest point
  const scale = -Math.expm1(-step);
  for (let i = 0; i < p.length; i++) {
    const mass = p[i];
    if (mass <= 0) continue;
    const loss = (low + i) * step;
    const exact = loss > 700 ? mass : (mass - q[i] * Math.exp(loss)) / scale;
    const up = Math.min(mass, Math.max(0, exact));
    probs[i] = probs[i] + mass - up;
    probs[i + 1] = probs[i + 1] + up;
  }
  return { step, low, probs, infinity: highTail };
}

/** Masses of the mixture P = (1-q) P0 + q P1 and of Q = P0 between consecutive edges (base losses, ascending). */
function cellMasses(
  pair: MonotonePair,
  edges: Float64Array,
  samplingRate: number,
): { p: Float64Array; q: Float64Array } {
  const p = new Float64Array(edges.length - 1);
  const q = new Float64Array(edges.length - 1);
  let [last1, last0] = pair.tails(edges[0]);
  for (let i = 0; i < p.length; i++) {
    const [next1, next0] = pair.tails(edges[i + 1]);
    const mass0 = massBetween(last0, next0);
    q[i] = mass0;
    p[i] = (1 - samplingRate) * mass0 + samplingRate * massBetween(last1, next1);
    last1 = next1;
    last0 = next0;
  }
  return { p, q };
}

/** With signed tails both sides of the median give the same difference; only a cell across it needs the 1. */
function massBetween(from: number, to: number): number {
  return Math.max(0, from < 0 && to >= 0 ? 1 + from - to : from - to);
}

function tailMasses(
  [tail1, tail0]: readonly [number, number],
  samplingRate: number,
  side: 'below' | 'above',
): { p: number; q: number } {
  const mass = (tail: number) => (side === 'above' ? (tail >= 0 ? tail : 1 + tail) : tail < 0 ? -tail : 1 - tail);
  const q = mass(tail0);
  return { p: (1 - samplingRate) * q + samplingRate * mass(tail1), q };
}
