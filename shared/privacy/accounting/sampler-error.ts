/**
 * What imperfect samplers cost. Noise that is drawn from tables is off the ideal by some total variation distance; with η the
 * distance of all draws that protect one unit, both neighbours move by at most η, so that a mechanism that would be
 * (ε, δ)-DP with ideal noise is (ε, δ + (1 + e^ε) η)-DP with the real one. Stated the other way round: at a given δ, ε is
 * that of ideal noise at δ - (1 + e^ε) η.
 */

/** Parts of δ that are set aside, the first that is enough. */
const SHARES = [2 ** -10, 0.5];

/**
 * ε at `delta` with the error of samplers charged to it.
 *
 * Where half of δ does not cover the charge, the figure is that of ideal noise: (1 + e^ε) η > δ / 2 takes an ε of 20 to 30
 * (docs/privacy.md says so), where the figure has stopped to be a protection.
 * @param idealEpsilon ε with ideal noise at the δ it is given
 * @param samplerError η; 0 for samplers that are exact
 */
export function withSamplerError(
  idealEpsilon: (delta: number) => number,
  { delta, samplerError }: { readonly delta: number; readonly samplerError: number },
): number {
  if (samplerError === 0) return idealEpsilon(delta);
  for (const share of SHARES) {
    const epsilon = idealEpsilon(delta * (1 - share));
    if ((1 + Math.exp(epsilon)) * samplerError <= share * delta) return epsilon;
  }
  return idealEpsilon(delta);
}
