/**
 * Differential privacy for Node.js, usable without the rest of Starling (`starling-fl/privacy`). Read this file as a table of contents;
 * docs/privacy.md says which of it to use against whom.
 *
 * Every function is pure: vectors and plain data in, new ones out; randomness is an {@link Rng} argument.
 */

// Accountants, one by one: exact Gaussian, Rényi, privacy loss distributions
export { centralLimitEpsilon, gaussianDelta, gaussianEpsilon, gaussianNoise } from './accounting/analytic.js';
// What does this noise cost, and what noise does this ε need?
export { calibrate, type GaussianRun, privacyEpsilon, privacyNoise } from './accounting/calibrate.js';
export { groupPrivacy } from './accounting/group.js';
export { LEAST_NOISE, MOST_NOISE } from './accounting/limits.js';
export { type LossPart, pldDelta, pldEpsilon } from './accounting/pld.js';
export type { Direction, LossGrid, LossSource } from './accounting/pld-grid.js';
export {
  discreteGaussianLoss,
  discreteLaplaceLoss,
  gaussianLoss,
  laplaceLoss,
  skellamLoss,
} from './accounting/pld-sources.js';
export {
  composeRdp,
  DEFAULT_RDP_ORDERS,
  rdpGaussian,
  rdpLaplace,
  rdpToDelta,
  rdpToEpsilon,
  rdpZcdp,
} from './accounting/rdp.js';
export { discreteGaussianSumRho, rdpSkellam } from './accounting/rdp-lattice.js';
export { type FractionalOrders, rdpSubsampledGaussian } from './accounting/rdp-subsampled.js';
// The same for any mix of mechanisms
export {
  type Accountant,
  type AccountingOptions,
  composedDelta,
  composedEpsilon,
  composedRdp,
  mergeSpends,
  PRICE_ERROR,
  type Release,
  rdpOf,
  type Spend,
} from './accounting/releases.js';
export { withSamplerError } from './accounting/sampler-error.js';
// The audit: what a run is seen to leak, as a lower bound beside the accountants' upper one
export { clopperPearson, type Interval } from './audit/binomial.js';
export {
  type AttackCounts,
  areaUnderCurve,
  attackEpsilon,
  gaussianAttackEpsilon,
  type ThresholdAttack,
  thresholdAttack,
} from './audit/membership.js';
export {
  type Guesses,
  type OneRunBound,
  oneRunBound,
  oneRunEpsilon,
  oneRunPValue,
  type ScoredCanaries,
} from './audit/one-run.js';
// Charges: what was spent, signed, and whether the next round still fits
export {
  type Budget,
  type BudgetAnswer,
  type Charge,
  type Charges,
  type ChargeTerms,
  charge,
  chargedEpsilon,
  epsilonOf,
  type PrivacyUnit,
  type RoundSpend,
  samplerErrorOf,
  spendsOf,
  wouldExceed,
} from './charges/charges.js';
export { type ChargesVerification, encodeCharges, verifyCharges } from './charges/verify.js';
// Mechanisms: clip, round, add noise
export {
  ADAPTIVE_CLIP_DEFAULT,
  type AdaptiveClip,
  adaptClip,
  belowSign,
  bitNoiseFor,
  splitNoise,
} from './mechanisms/adaptive-clip.js';
export {
  type ClipGroup,
  type Clipped,
  type ClipScope,
  clip,
  clipFactor,
  norm,
  weightedSensitivity,
} from './mechanisms/clip.js';
// Mechanisms for runs without secret sampling
export {
  bandedCoefficients,
  bandedSpend,
  correlatedNoise,
  type Participation,
  treePrefixNoise,
  treeSpend,
} from './mechanisms/ftrl.js';
export { rotate, rotatedLength, unrotate } from './mechanisms/hadamard.js';
export {
  addCentralNoise,
  decodeSum,
  encodeUpdate,
  type LatticeOptions,
  type LatticePlan,
  noiseShare,
  planLattice,
} from './mechanisms/lattice.js';
export { poissonBatch } from './mechanisms/poisson.js';
export { ROUNDING_BETA, roundConditionally, roundedNormBound } from './mechanisms/rounding.js';
// Noise: exact samplers, and tables that are fast and say how far from exact they are
export { sampleDiscreteGaussian, sampleDiscreteLaplace, samplePoisson, sampleSkellam } from './noise/exact.js';
export { type Coins, coinsFromRng, type Rational, rational, rationalFromNumber } from './noise/rational.js';
export {
  type GaussianPlan,
  type LatticeNoise,
  noisyMean,
  planGaussianNoise,
  roundedGaussianError,
  roundedGaussianNoise,
} from './noise/rounded-gaussian.js';
export {
  deltaWithSamplerError,
  discreteGaussianError,
  discreteGaussianTable,
  type NoiseTable,
  skellamTable,
} from './noise/table.js';
