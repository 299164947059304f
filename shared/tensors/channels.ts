/**
 * Channels: everything a client may send, declared by name and shape before round 1, so that one clip, noise, mask and
 * sum serve model updates and every other contribution (prototypes, logits, moments, histogram bins) alike.
 */
import { z } from 'zod';
import { invalidArgument } from '../errors.js';
import type { Infer } from '../schema.js';
import { type LayoutEntry, layoutOf, type Params, type TensorSpec, tensorSpec } from './params.js';

const channelSpec = z.strictObject({
  name: z.string().regex(/^[a-z0-9-]{1,63}$/),
  tensors: z.array(tensorSpec),
  /** 'mean' divides the weighted sum by the sum of weights; 'sum' is the plain sum, whatever the clients weigh. */
  reduce: z.enum(['sum', 'mean']),
  /**
   * What weighs a client in a mean: its examples, 1 for each client, or one weight for each tensor (0: does not hold it).
   * Under secure aggregation weights are rounded to whole numbers; one above 0 counts as at least 1.
   */
  weight: z.enum(['examples', 'clients', 'per-tensor']),
  clip: z.strictObject({ norm: z.number().positive(), per: z.enum(['all', 'tensor', 'row']).optional() }).optional(),
});

/** Of {@link PhaseSpec}. */
export const phaseSpec = z.strictObject({
  name: z.string(),
  rounds: z.int().min(1).max(1_000_000).optional(),
  channels: z.array(channelSpec).min(1),
});

/** One kind of contribution of a client: its tensors, and how they are summed over clients. */
export interface ChannelSpec extends Infer<typeof channelSpec> {}

/** A kind of round; phases follow one another. `rounds` absent: all that are left. */
export interface PhaseSpec extends Infer<typeof phaseSpec> {}

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

/** One tensor of a contribution, and how it is summed over clients. */
export type SummedEntry = LayoutEntry & {
  /** What multiplies a client's values: its one weight, 1, or the weight that it gives this tensor. */
  readonly weighs: 'client' | 'one' | 'own';
  /** Whether the sum is divided by the sum of what multiplied. */
  readonly divided: boolean;
};

/** All tensors of a phase, back to back. */
export type SummedLayout = readonly SummedEntry[];

/** The flat layout of a phase's contributions; tensors are named `channel/tensor`. */
export function contributionLayout(phase: PhaseSpec): SummedLayout {
  const tensors = phase.channels.flatMap(({ name: channel, tensors, reduce, weight }) => {
    const byWeight = ({ examples: 'client', clients: 'one', 'per-tensor': 'own' } as const)[weight];
    const weighs = reduce === 'sum' ? 'one' : byWeight;
    return tensors.map(({ name, shape }) => ({
      name: `${channel}/${name}`,
      shape,
      weighs,
      divided: reduce === 'mean',
    }));
  });
  return layoutOf(tensors).map((entry, i) => ({ ...entry, weighs: tensors[i].weighs, divided: tensors[i].divided }));
}

/** What multiplies each tensor's values, of a client that gave these weights. */
export function multipliersOf(layout: SummedLayout, weights: readonly number[]): readonly number[] {
  return layout.map(({ weighs }, i) => (weighs === 'one' ? 1 : weights[i]));
}

/** Sums over clients, and for each tensor the sum of what multiplied, to what the channels declare; 0 where no one is. */
export function reduceSums(
  layout: SummedLayout,
  { sums, weights }: { readonly sums: Float64Array; readonly weights: readonly number[] },
): Float32Array {
  const reduced = new Float32Array(sums.length);
  layout.forEach(({ offset, size, divided }, tensor) => {
    if (weights[tensor] === 0) return;
    const divisor = divided ? weights[tensor] : 1;
    for (let i = offset; i < offset + size; i++) reduced[i] = sums[i] / divisor;
  });
  return reduced;
}

/** Without the tensors that no client holds, for which there is no mean and the model keeps its values. */
export function heldOnly(layout: SummedLayout, values: Float32Array, weights: readonly number[]): Params {
  return { layout: layout.filter((_, tensor) => weights[tensor] > 0), values };
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
