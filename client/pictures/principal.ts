/**
 * The two directions in which points differ most (Pearson 1901): what a map of an embedding is drawn along. By power
 * iteration on the covariance, the second after the first is taken out; no more is needed for a picture.
 */

const STEPS = 200;

/** A plane through the mean of some points. */
export interface Plane {
  readonly mean: Float64Array;
  /** Two of unit length, at right angles; their signs are fixed by making the largest component positive. */
  readonly axes: readonly [Float64Array, Float64Array];
}

/** @param rows [count · width], count at least 1, width at least 2 */
export function principalPlane(rows: Float32Array, width: number): Plane {
  const count = rows.length / width;
  const mean = new Float64Array(width);
  for (let i = 0; i < rows.length; i++) mean[i % width] += rows[i] / count;
  const covariance = new Float64Array(width * width);
  for (let row = 0; row < count; row++) {
    for (let i = 0; i < width; i++) {
      const x = (rows[row * width + i] - mean[i]) / count;
      for (let j = 0; j < width; j++) covariance[i * width + j] += x * (rows[row * width + j] - mean[j]);
    }
  }
  const first = dominant(covariance, width, []);
  return { mean, axes: [first, dominant(covariance, width, [first])] };
}

/** Where a point lies on the plane. */
export function project({ mean, axes }: Plane, point: ArrayLike<number>): [number, number] {
  const along = (axis: Float64Array) => axis.reduce((sum, a, i) => sum + a * (point[i] - mean[i]), 0);
  return [along(axes[0]), along(axes[1])];
}

/** The eigenvector of the largest eigenvalue among those at right angles to `others`. */
function dominant(matrix: Float64Array, width: number, others: readonly Float64Array[]): Float64Array {
  let v: Float64Array = Float64Array.from({ length: width }, (_, i) => 1 + i / width); // at right angles to no likely axis
  for (let step = 0; step < STEPS; step++) {
    const next = v.map((_, i) => v.reduce((sum, x, j) => sum + matrix[i * width + j] * x, 0));
    v = orthonormal(next, others, width);
  }
  const largest = v.reduce((most, x) => (Math.abs(x) > Math.abs(most) ? x : most), 0);
  return largest < 0 ? v.map((x) => -x) : v;
}

/** Of unit length; where nothing is left (points that do not differ), the first unit vector that fits. */
function orthonormal(v: Float64Array, others: readonly Float64Array[], width: number): Float64Array {
  const candidates = [
    v,
    ...Array.from({ length: width }, (_, i) => Float64Array.from(v, (_x, j) => (i === j ? 1 : 0))),
  ];
  for (const candidate of candidates) {
    const left = candidate.slice();
    for (const other of others) {
      const along = other.reduce((sum, x, i) => sum + x * left[i], 0);
      for (let i = 0; i < width; i++) left[i] -= along * other[i];
    }
    const norm = Math.hypot(...left);
    if (norm > 1e-9) return left.map((x) => x / norm);
  }
  return v;
}
