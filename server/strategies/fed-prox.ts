/**
 * FedProx (Li et al. 2020, https://arxiv.org/abs/1812.06127): the clients add mu/2 · ‖w − w_global‖² to their loss, which
 * holds them back where data differ; the server does as FedAvg does. mu = 0 is FedAvg.
 */
import { fedAvg } from './fed-avg.js';
import { notNegative, type StrategyFactory } from './strategy.js';

/** Settings `lr` (1), `mu` (0.01). No state; what it changes is the clients' loss. */
export const fedProx: StrategyFactory = {
  name: 'fed-prox',
  paper: 'https://arxiv.org/abs/1812.06127',
  params: { lr: fedAvg.params.lr, mu: notNegative(0.01) },
  make: (params) => ({ ...fedAvg.make(params), name: 'fed-prox', params, clientTerm: { proximalMu: params.mu } }),
};
