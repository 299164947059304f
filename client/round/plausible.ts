/**
 * Which models a client trains at all. Values that no training produces have one use: to make some examples' numbers
 * overflow, or their gradients vanish, so that what comes back tells which examples these are.
 */

import { FlError } from '../../shared/errors.js';

/** Largest magnitude of a value. Trained networks stay below 10^3; what has diverged passes this within a few steps. */
export const MOST_MODEL_VALUE = 1e6;

/** The virtual clients of a process read one and the same model. */
const plausible = new WeakSet<Float32Array>();

/** @throws FlError failed-precondition: a value that is not finite, or too large */
export function checkModel(values: Float32Array): void {
  if (plausible.has(values)) return;
  for (let i = 0; i < values.length; i++) {
    if (Math.abs(values[i]) <= MOST_MODEL_VALUE) continue; // NaN is not
    const expected = `finite values of at most ${MOST_MODEL_VALUE} in magnitude`;
    throw new FlError('failed-precondition', `model: expected ${expected}, got ${values[i]}: no training makes these`);
  }
  plausible.add(values);
}
