/**
 * FedAdam: v = beta2 · v + (1 − beta2) · Δ² (Reddi et al. 2021, Algorithm 2). Default beta1 = 0.9, beta2 = 0.99 and tau = 1e-3 are those of its experiments.
 */
import { type AdaptiveParams, adaptive } from './adaptive.js';
import { decay, positive, type StrategyFactory } from './strategy.js';

/** Settings `lr` (0.01), `beta1` (0.9), `beta2` (0.99), `tau` (1e-3). */
export const fedAdam: StrategyFactory = {
  name: 'fed-adam',
  paper: 'https://arxiv.org/abs/2003.00295',
  params: { lr: positive(0.01), beta1: decay(0.9), beta2: decay(0.99), tau: positive(1e-3) },
  make: (params) =>
    adaptive('fed-adam', params as AdaptiveParams, (v, squared) => params.beta2 * v + (1 - params.beta2) * squared),
};
