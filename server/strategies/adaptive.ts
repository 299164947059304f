/**
 * What FedAdagrad, FedAdam and FedYogi share (Reddi et al. 2021, Algorithm 2, https://arxiv.org/abs/2003.00295):
 *
 *     m = beta1 · m + (1 − beta1) · Δ        first = m, zero at the start
 *     v = by the rule of each, from v and Δ²   second = v, tau² at the start (the paper asks for at least that)
 *     global += lr · m / (√v + tau)
 *
 * There is no bias correction: the paper has none. tau is the degree of adaptivity, small is more.
 */
import { checkLengths, type Strategy, stateVector } from './strategy.js';

/** Learning rate, decay of the first moment, and τ, the degree of adaptivity. */
export type AdaptiveParams = Readonly<Record<'lr' | 'beta1' | 'tau', number>>;

/** The strategy whose next v is `secondMoment(v, Δ²)`. */
export function adaptive(
  name: string,
  params: AdaptiveParams,
  secondMoment: (v: number, squared: number) => number,
): Strategy {
  const { lr, beta1, tau } = params;
  return {
    name,
    params,
    init: (size) => ({
      vectors: { first: new Float32Array(size), second: new Float32Array(size).fill(tau * tau) },
      scalars: {},
    }),
    apply(global, meanUpdate, state) {
      checkLengths(global, meanUpdate);
      const m = stateVector(state, 'first', global.length);
      const v = stateVector(state, 'second', global.length);
      const first = new Float32Array(global.length);
      const second = new Float32Array(global.length);
      const next = new Float32Array(global.length);
      for (let i = 0; i < next.length; i++) {
        first[i] = beta1 * m[i] + (1 - beta1) * meanUpdate[i];
        second[i] = secondMoment(v[i], meanUpdate[i] * meanUpdate[i]);
        next[i] = global[i] + (lr * first[i]) / (Math.sqrt(second[i]) + tau);
      }
      return [next, { vectors: { first, second }, scalars: {} }];
    },
  };
}
