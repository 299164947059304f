/**
 * FedAvgM: server momentum, m = momentum · m + Δ, global += lr · m (Hsu, Qi & Brown 2019, https://arxiv.org/abs/1909.06335).
 * lr = 1 and momentum = 0 is FedAvg.
 */
import { checkLengths, decay, positive, type StrategyFactory, stateVector } from './strategy.js';

/** Settings `lr` (1), `momentum` (0.9). State: the momentum, as long as the model. */
export const fedAvgM: StrategyFactory = {
  name: 'fed-avgm',
  paper: 'https://arxiv.org/abs/1909.06335',
  params: { lr: positive(1), momentum: decay(0.9) },
  make: (params) => ({
    name: 'fed-avgm',
    params,
    init: (size) => ({ vectors: { momentum: new Float32Array(size) }, scalars: {} }),
    apply(global, meanUpdate, state) {
      checkLengths(global, meanUpdate);
      const before = stateVector(state, 'momentum', global.length);
      const momentum = new Float32Array(global.length);
      const next = new Float32Array(global.length);
      for (let i = 0; i < next.length; i++) {
        momentum[i] = params.momentum * before[i] + meanUpdate[i];
        next[i] = global[i] + params.lr * momentum[i];
      }
      return [next, { vectors: { momentum }, scalars: {} }];
    },
  }),
};
