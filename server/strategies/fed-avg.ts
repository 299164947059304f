/**
 * FedAvg: global += lr · Δ (McMahan et al. 2017, Algorithm 1, https://arxiv.org/abs/1602.05629). With lr = 1 the next
 * model is the weighted mean of the clients' models.
 */
import { checkLengths, positive, type StrategyFactory, type StrategyState } from './strategy.js';

const NO_STATE: StrategyState = { vectors: {}, scalars: {} };

/** Setting `lr` (1). No state. */
export const fedAvg: StrategyFactory = {
  name: 'fed-avg',
  paper: 'https://arxiv.org/abs/1602.05629',
  params: { lr: positive(1) },
  make: (params) => ({
    name: 'fed-avg',
    params,
    init: () => NO_STATE,
    apply(global, meanUpdate, state) {
      checkLengths(global, meanUpdate);
      const next = new Float32Array(global.length);
      for (let i = 0; i < next.length; i++) next[i] = global[i] + params.lr * meanUpdate[i];
      return [next, state];
    },
  }),
};
