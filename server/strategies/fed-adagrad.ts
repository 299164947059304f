/**
 * FedAdagrad: v = v + Δ² (Reddi et al. 2021, Algorithm 2). v never falls, so steps only shrink; the paper runs it without first moment (beta1 = 0).
 */
import { type AdaptiveParams, adaptive } from './adaptive.js';
import { decay, positive, type StrategyFactory } from './strategy.js';

/** Settings `lr` (0.1), `beta1` (0), `tau` (1e-3). */
export const fedAdagrad: StrategyFactory = {
  name: 'fed-adagrad',
  paper: 'https://arxiv.org/abs/2003.00295',
  params: { lr: positive(0.1), beta1: decay(0), tau: positive(1e-3) },
  make: (params) => adaptive('fed-adagrad', params as AdaptiveParams, (v, squared) => v + squared),
};
