/**
 * What a server optimizer is: a pair of pure functions over flat vectors, and numbers.
 *
 * The mean update Δ of the survivors (local − global) takes the place of a negative gradient (Reddi et al. 2021, "Adaptive
 * Federated Optimization", Algorithm 2, https://arxiv.org/abs/2003.00295), so every strategy *adds* its step. Arithmetic
 * is float64, each stored number is rounded to float32 once.
 */
import { FlError, invalidArgument } from '../../shared/errors.js';

/** All that a strategy remembers between rounds; vectors have the model's length, so they go into a model file as they are. */
export type StrategyState = {
  readonly vectors: Readonly<Record<string, Float32Array>>;
  readonly scalars: Readonly<Record<string, number>>;
};

/** A server optimizer with its settings: what a round's mean update does to the global model. */
export interface Strategy {
  readonly name: string;
  readonly params: Readonly<Record<string, number>>;
  /** Extra terms in the clients' loss: proximalMu adds mu/2 · ‖w − w_global‖² (FedProx). */
  readonly clientTerm?: { readonly proximalMu: number };
  /** The state before the first round, for a model of `size` elements. */
  init(size: number): StrategyState;
  /** The next global model and state. Pure: neither argument is changed, and the results share no memory with them. */
  apply(
    global: Float32Array,
    meanUpdate: Float32Array,
    state: StrategyState,
    round: number,
  ): [next: Float32Array, state: StrategyState];
}

/** A setting: its value when none is given, and the values it may take. */
export type ParamSpec = {
  readonly default: number;
  readonly expected: string;
  readonly allows: (x: number) => boolean;
};

/** One row of the table of strategies. */
export interface StrategyFactory {
  readonly name: string;
  readonly paper: string;
  readonly params: Readonly<Record<string, ParamSpec>>;
  make(params: Readonly<Record<string, number>>): Strategy;
}

/** A setting above 0. */
export const positive = (byDefault: number): ParamSpec => ({
  default: byDefault,
  expected: 'a finite number above 0',
  allows: (x) => x > 0 && Number.isFinite(x),
});

/** A setting of at least 0. */
export const notNegative = (byDefault: number): ParamSpec => ({
  default: byDefault,
  expected: 'a finite number of at least 0',
  allows: (x) => x >= 0 && Number.isFinite(x),
});

/** A setting in [0, 1). */
export const decay = (byDefault: number): ParamSpec => ({
  default: byDefault,
  expected: 'a number in [0, 1)',
  allows: (x) => x >= 0 && x < 1,
});

/** The strategy with `given` settings and defaults for the rest. @throws FlError invalid-argument naming the setting. */
export function makeStrategy(factory: StrategyFactory, given: Readonly<Record<string, number>> = {}): Strategy {
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(factory.params, name)) {
      throw invalidArgument(
        `strategy ${factory.name} setting`,
        `one of ${Object.keys(factory.params).join(', ')}`,
        name,
      );
    }
  }
  const settings: Record<string, number> = {};
  for (const [name, spec] of Object.entries(factory.params)) {
    settings[name] = given[name] ?? spec.default;
    if (!spec.allows(settings[name]))
      throw invalidArgument(`strategy ${factory.name} ${name}`, spec.expected, given[name]);
  }
  return factory.make(settings);
}

/** The vector of that name, which must have the model's length: a state may come from a file. */
export function stateVector(state: StrategyState, name: string, size: number): Float32Array {
  const vector = Object.hasOwn(state.vectors, name) ? state.vectors[name] : undefined;
  if (vector?.length !== size) {
    throw new FlError('corrupt', `strategy state ${name}: expected ${size} elements, got ${vector?.length ?? 'none'}`);
  }
  return vector;
}

/** Both vectors must have one length. */
export function checkLengths(global: Float32Array, meanUpdate: Float32Array): void {
  if (meanUpdate.length !== global.length) {
    throw invalidArgument('meanUpdate', `${global.length} elements, as global has`, meanUpdate.length);
  }
}
