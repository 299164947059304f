/**
 * Which training examples a site holds out for validation, by their number in the split alone: nothing that a plan can
 * name moves one, and examples that come later move none of those before them.
 *
 * One in each stretch of 1 / fraction examples, at a place that is drawn (stratified sampling: Cochran 1977, "Sampling
 * Techniques", section 8.3): as many as asked for, to one, and no period of the data is hit again and again.
 */
import { invalidArgument } from '../../shared/errors.js';
import { rngFromSeed } from '../../shared/rng.js';

/** Beyond it two stretches could choose one example. */
export const MOST_HELD_OUT = 0.5;

/** By example whether it is held out. @throws FlError invalid-argument: a fraction that is not in [0, {@link MOST_HELD_OUT}] */
export function heldOut(count: number, fraction: number): (example: number) => boolean {
  if (!(fraction >= 0 && fraction <= MOST_HELD_OUT)) {
    throw invalidArgument('validation-fraction', `a number from 0 to ${MOST_HELD_OUT}`, fraction);
  }
  const chosen = new Set<number>();
  const rng = rngFromSeed(1).split('validation/v1');
  const stretches = Math.ceil(count * fraction);
  for (let stretch = 0; stretch < stretches; stretch++) {
    const [first, end] = [stretch, stretch + 1].map((edge) => Math.ceil(edge / fraction));
    chosen.add(first + Math.floor(rng.uniform() * (end - first)));
  }
  return (example) => chosen.has(example);
}
