/**
 * Who is drawn for a round. Uniform without replacement (McMahan et al. 2017, https://arxiv.org/abs/1602.05629,
 * Algorithm 1), from the sorted names, so that equal seeds draw equal cohorts whoever connected first.
 */
import type { Rng } from '../../shared/rng.js';

/** `size` of the sorted `names`, or all of them when there are fewer; sorted. */
export function sampleUniform(names: readonly string[], size: number, rng: Rng): string[] {
  if (size >= names.length) return [...names];
  return rng
    .shuffle([...names])
    .slice(0, size)
    .sort();
}
