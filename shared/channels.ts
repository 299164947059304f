/**
 * Channels: everything a client may send, declared by name and shape before round 1, so that one clip, noise, mask and
 * sum serve model updates and every other contribution (prototypes, logits, moments, histogram bins) alike.
 */
import { invalidArgument } from './errors.js';
import { type Layout, layoutOf, type TensorSpec } from './params.js';

export interface ChannelSpec {
  readonly name: string;
  readonly tensors: readonly TensorSpec[];
  /** 'mean' divides the weighted sum by the sum of weights; 'sum' does not divide. */
  readonly reduce: 'sum' | 'mean';
  /** What weighs a client: its examples, 1 for each client, or one weight for each tensor (0: does not hold it). */
  readonly weight: 'examples' | 'clients' | 'per-tensor';
  readonly clip?: { readonly norm: number; readonly per?: 'all' | 'tensor' | 'row' };
}

/** A kind of round; phases follow one another. `rounds` absent: all that are left. */
export interface PhaseSpec {
  readonly name: string;
  readonly rounds?: number;
  readonly channels: readonly ChannelSpec[];
}

/** The channel that carries `update = local - global` and that the strategy applies to the model. */
export const UPDATE_CHANNEL = 'update';

/** What one client contributes to one round. */
export interface Contribution {
  /** All channels of the phase, tensor after tensor, in the order of {@link contributionLayout}. */
  readonly values: Float32Array;
  /** One weight for each tensor of that layout, finite and >= 0. */
  readonly weights: readonly number[];
  /** Training metrics, as sums. */
  readonly metrics: Readonly<Record<string, { readonly sum: readonly number[]; readonly count: number }>>;
}

/** The update channel of a model: example-weighted mean over all shared tensors. */
export function updateChannel(tensors: readonly TensorSpec[]): ChannelSpec {
  return { name: UPDATE_CHANNEL, tensors, reduce: 'mean', weight: 'examples' };
}

/** The flat layout of a phase's contributions; tensors are named `channel/tensor`. */
export function contributionLayout(phase: PhaseSpec): Layout {
  return layoutOf(
    phase.channels.flatMap((channel) =>
      channel.tensors.map((tensor) => ({ name: `${channel.name}/${tensor.name}`, shape: tensor.shape })),
    ),
  );
}

/** The phase that round `round` (from 1) belongs to. */
export function phaseOfRound(phases: readonly PhaseSpec[], round: number): PhaseSpec {
  let last = 0;
  for (const phase of phases) {
    last += phase.rounds ?? Number.POSITIVE_INFINITY;
    if (round <= last) return phase;
  }
  throw invalidArgument('round', `a round within the ${last} rounds of the phases`, round);
}
