/**
 * The batch that DP-SGD's accounting assumes (Abadi et al. 2016): each example is in it or not, independently, so its size varies and
 * may be zero. Batches of fixed size, or a shuffle per epoch, are something else and earn no `poisson-secret`.
 */
import { invalidArgument } from '../../errors.js';
import type { Rng } from '../../rng.js';

/**
 * Ascending indices below `population`, each with probability `samplingRate` (to 2^-32, rounded down so that the rate accounted for is
 * never exceeded). The generator must be secret to whoever sees the result. Divide the noisy sum by `population × samplingRate`, never
 * by the batch's own size: that one is private.
 */
export function poissonBatch(options: { population: number; samplingRate: number; rng: Rng }): Uint32Array {
  const { population, samplingRate, rng } = options;
  if (!Number.isSafeInteger(population) || population < 0)
    throw invalidArgument('population', 'an integer >= 0', population);
  if (!(samplingRate >= 0 && samplingRate <= 1)) throw invalidArgument('samplingRate', 'a probability', samplingRate);
  const threshold = Math.floor(samplingRate * 2 ** 32);
  const chosen: number[] = [];
  for (let i = 0; i < population; i++) if (rng.u32() < threshold) chosen.push(i);
  return Uint32Array.from(chosen);
}
