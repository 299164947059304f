/**
 * What a class can be told by without a network. All learn from rows of numbers with a class each and say which class a row
 * is of; equal rows and equal `rng` give equal answers.
 */
import type { Rng } from '../../../shared/rng.js';

/** `count` rows of `width` numbers; row i is of class `labels[i]`. */
export interface LabelledRows {
  readonly count: number;
  readonly width: number;
  readonly classes: number;
  readonly values: Float32Array;
  readonly labels: Int32Array;
}

/** Scores of the classes [classes] for a row [width], the highest for the class that it is thought to be of. */
export type Scores = (row: Float32Array) => Float64Array;

/** Neighbours that vote. */
const NEIGHBOURS = 5;
const EPOCHS = 40;
const BATCH = 32;
const MOMENTUM = 0.9;
const L2 = 1e-3;

/** How often each class occurs, whatever the row. */
export function majority({ classes, labels }: LabelledRows): Scores {
  const counts = new Float64Array(classes);
  for (const label of labels) counts[label]++;
  return () => counts;
}

/** The nearer the mean of a class, the higher its score; a class without a row is never chosen. */
export function nearestMean({ count, width, classes, values, labels }: LabelledRows): Scores {
  const means = new Float64Array(classes * width);
  const counts = new Float64Array(classes);
  for (let i = 0; i < count; i++) {
    counts[labels[i]]++;
    for (let k = 0; k < width; k++) means[labels[i] * width + k] += values[i * width + k];
  }
  for (let c = 0; c < classes; c++) {
    for (let k = 0; k < width; k++) means[c * width + k] /= Math.max(1, counts[c]);
  }
  return (row) =>
    Float64Array.from(counts, (seen, c) => {
      if (seen === 0) return Number.NEGATIVE_INFINITY;
      let distance = 0;
      for (let k = 0; k < width; k++) distance += (row[k] - means[c * width + k]) ** 2;
      return -distance;
    });
}

/** The votes of the five nearest rows, the nearer the weightier. */
export function nearestNeighbours({ count, width, classes, values, labels }: LabelledRows): Scores {
  const squares = Float64Array.from({ length: count }, (_, i) => dot(values, i * width, values, i * width, width));
  return (row) => {
    const own = dot(row, 0, row, 0, width);
    const nearest: { at: number; distance: number }[] = [];
    for (let at = 0; at < count; at++) {
      const distance = Math.max(0, own + squares[at] - 2 * dot(values, at * width, row, 0, width));
      if (nearest.length === NEIGHBOURS && distance >= nearest[NEIGHBOURS - 1].distance) continue;
      nearest.push({ at, distance });
      nearest.sort((a, b) => a.distance - b.distance);
      if (nearest.length > NEIGHBOURS) nearest.pop();
    }
    const votes = new Float64Array(classes);
    for (const [rank, { at }] of nearest.entries()) votes[labels[at]] += 1 + (nearest.length - rank) / 1000;
    return votes;
  };
}

/**
 * Log-probabilities of softmax regression on rows less their mean: gradient descent with momentum on batches of 32, 40
 * passes, the rate 1 over the rows' mean square and falling to 0, and an L2 penalty of 0.001.
 */
export function softmaxRegression(rows: LabelledRows, rng: Rng): Scores {
  const { count, width, classes, values, labels } = rows;
  const mean = meanRow(rows);
  const x = values.map((value, i) => value - mean[i % width]);
  const rate = 1 / (1 + dot(x, 0, x, 0, x.length) / Math.max(1, count));
  const size = width + 1; // the last weight of a class is its bias
  const weights = new Float32Array(classes * size);
  const speed = new Float32Array(classes * size);
  const gradient = new Float32Array(classes * size);
  const steps = EPOCHS * Math.ceil(count / BATCH);
  let step = 0;
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const order = rng.shuffle(Int32Array.from({ length: count }, (_, i) => i));
    for (let start = 0; start < count; start += BATCH, step++) {
      const batch = order.subarray(start, start + BATCH);
      gradient.fill(0);
      for (const i of batch) {
        const errors = logSoftmax(weights, x, i * width, classes, width).map(Math.exp);
        errors[labels[i]] -= 1;
        for (let c = 0; c < classes; c++) {
          const [error, to, from] = [errors[c], c * size, i * width];
          for (let k = 0; k < width; k++) gradient[to + k] += error * x[from + k];
          gradient[to + width] += error;
        }
      }
      const now = rate * (1 - step / steps);
      for (let k = 0; k < weights.length; k++) {
        speed[k] = MOMENTUM * speed[k] - now * (gradient[k] / batch.length + L2 * weights[k]);
        weights[k] += speed[k];
      }
    }
  }
  return (row) =>
    logSoftmax(
      weights,
      row.map((value, k) => value - mean[k]),
      0,
      classes,
      width,
    );
}

/** Which class has the highest score; the first of equals. */
export function bestOf(scores: Float64Array): number {
  return scores.indexOf(Math.max(...scores));
}

function logSoftmax(weights: Float32Array, x: Float32Array, at: number, classes: number, width: number): Float64Array {
  const logits = new Float64Array(classes);
  for (let c = 0; c < classes; c++) {
    const first = c * (width + 1);
    logits[c] = dot(weights, first, x, at, width) + weights[first + width];
  }
  const most = Math.max(...logits);
  const total = most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
  return logits.map((logit) => logit - total);
}

function meanRow({ count, width, values }: LabelledRows): Float32Array {
  const mean = new Float64Array(width);
  for (let i = 0; i < values.length; i++) mean[i % width] += values[i] / count;
  return Float32Array.from(mean);
}

/** Of one type of array, and four sums at a time: most of what a floor costs is here. */
function dot(a: Float32Array, atA: number, b: Float32Array, atB: number, length: number): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let k = 0;
  for (; k + 3 < length; k += 4) {
    s0 += a[atA + k] * b[atB + k];
    s1 += a[atA + k + 1] * b[atB + k + 1];
    s2 += a[atA + k + 2] * b[atB + k + 2];
    s3 += a[atA + k + 3] * b[atB + k + 3];
  }
  for (; k < length; k++) s0 += a[atA + k] * b[atB + k];
  return s0 + s1 + s2 + s3;
}
