/**
 * FedYogi: v = v − (1 − beta2) · Δ² · sign(v − Δ²) (Reddi et al. 2021, Algorithm 2). Like FedAdam, but v moves by a step that does not depend on v, so it falls slowly when updates become small.
 */
import { type AdaptiveParams, adaptive } from './adaptive.js';
import { decay, positive, type StrategyFactory } from './strategy.js';

/** Settings `lr` (0.01), `beta1` (0.9), `beta2` (0.99), `tau` (1e-3). */
export const fedYogi: StrategyFactory = {
  name: 'fed-yogi',
  paper: 'https://arxiv.org/abs/2003.00295',
  params: { lr: positive(0.01), beta1: decay(0.9), beta2: decay(0.99), tau: positive(1e-3) },
  make: (params) =>
    adaptive(
      'fed-yogi',
      params as AdaptiveParams,
      (v, squared) => v - (1 - params.beta2) * squared * Math.sign(v - squared),
    ),
};
