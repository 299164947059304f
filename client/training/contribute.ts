/**
 * A client's whole contribution: the update that the engine has trained, and what the workload adds to it for the other
 * channels of the phase (prototypes, losses, moments) and as weights of single tensors.
 */

import { invalidArgument } from '../../shared/errors.js';
import {
  type Contribution,
  contributionLayout,
  type PhaseSpec,
  UPDATE_CHANNEL,
} from '../../shared/tensors/channels.js';
import { sizeOf } from '../../shared/tensors/params.js';
import type { Addition } from '../workload.js';

/** The phase as local SGD knows it: with the update channel alone. */
export function updateOnly(phase: PhaseSpec): PhaseSpec {
  return { ...phase, channels: phase.channels.filter(({ name }) => name === UPDATE_CHANNEL) };
}

/**
 * `update`, which follows {@link updateOnly}, and what was added, in the layout of the whole phase.
 * @throws FlError invalid-argument: a tensor of another channel is missing or has another size, or a name is unknown
 */
export function complete(
  phase: PhaseSpec,
  update: Contribution,
  { tensors = {}, weights = {} }: Addition,
): Contribution {
  const layout = contributionLayout(phase);
  const trained = new Map(contributionLayout(updateOnly(phase)).map((entry, i) => [entry.name, { ...entry, i }]));
  const known = new Set(layout.map(({ name }) => name));
  const unknown = [...Object.keys(tensors), ...Object.keys(weights)].find((name) => !known.has(name));
  if (unknown !== undefined) throw invalidArgument('contribution', `tensors of phase ${phase.name}`, unknown);
  const values = new Float32Array(sizeOf(layout));
  for (const { name, offset, size } of layout) {
    const own = trained.get(name);
    const added = own ? update.values.subarray(own.offset, own.offset + own.size) : tensors[name]?.data;
    if (added?.length !== size) throw invalidArgument(`contribution to ${name}`, `${size} values`, added?.length);
    values.set(added, offset);
  }
  const weighed = layout.map(({ name }) => weights[name] ?? update.weights[trained.get(name)?.i ?? 0] ?? 0);
  return { values, weights: weighed, metrics: update.metrics };
}
