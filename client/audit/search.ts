/**
 * A search for the unit that moves a clipped sum the most: over what is huge, tiny, nearly cancels or is no number. Noise is
 * made for one sensitivity; whatever moves a sum by more than that is not hidden by it.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Rng } from '../../shared/rng.js';
import { encodePrivately, latticeFor } from '../../shared/run/client-level-privacy.js';
import type { Hyper, TrainingSpec, WorkSpec } from '../../shared/run/spec.js';
import { updateChannel } from '../../shared/tensors/channels.js';
import { firstNonFinite, packTensors } from '../../shared/tensors/params.js';
import { startState, trainLayoutOf } from '../training/local-sgd.js';
import { floatAllowance } from '../training/per-example/chunks.js';
import { chooseMethod, type LotInput, sumOverLot } from '../training/per-example/lot.js';
import type { Batch, Workload } from '../workload.js';

/** What is done to the numbers of a unit, cancellation most often: that is where squares in float32 lose norms. */
export const CHANGES = [
  'none',
  'cancelling',
  'cancelling',
  'cancelling',
  'alternating',
  'one infinite',
  'one no number',
] as const;

/** How numbers are changed; `width` of them belong together (a time, a row of an image). */
export interface Change {
  readonly change: (typeof CHANGES)[number];
  /** By which part of itself a row differs from the one before. */
  readonly closeness: number;
  readonly width: number;
  /** Whether each row has the opposite sign of the one before. */
  readonly turns: boolean;
}

/** Changes `values` in place: from one row to the next it may return nearly unchanged, or turned; or one number is none. */
export function disturb(values: Float32Array, { change, closeness, width, turns }: Change, rng: Rng): void {
  if (change === 'cancelling' || change === 'alternating') {
    for (let i = width; i < values.length; i++) {
      const sign = turns || (change === 'alternating' && rng.below(2)) ? -1 : 1;
      values[i] = sign * values[i - width] * (1 + closeness * rng.normal());
    }
  }
  if (change === 'one infinite') values[rng.below(values.length)] = Number.POSITIVE_INFINITY;
  if (change === 'one no number') values[rng.below(values.length)] = Number.NaN;
}

/** A sum with one unit and without it, and by how much they may differ. */
export interface Moved {
  readonly all: ArrayLike<number>;
  readonly without: ArrayLike<number>;
  readonly sensitivity: number;
}

/** The most that a unit moved its sum in any of the trials, over the sensitivity; infinite where a sum is no number. */
export async function mostMoved(draws: number, trial: (n: number) => Promise<Moved> | Moved): Promise<number> {
  let most = 0;
  for (let n = 0; n < draws; n++) {
    const { all, without, sensitivity } = await trial(n);
    let squares = 0;
    for (let i = 0; i < all.length; i++) squares += (all[i] - without[i]) ** 2;
    most = Math.max(most, Number.isFinite(squares) ? Math.sqrt(squares) / sensitivity : Number.POSITIVE_INFINITY);
  }
  return most;
}

const INPUTS = [1, 1, 1e2, 1e4, 1e5, 1e9, 1e18, 1e38, 1e-5, 1e-20, 1e-40];
const PARAMETERS = [1, 1, 1, 10, 1e3, 1e-3];
const LOTS = [1, 2, 3, 5, 17, 40];

/** The network whose examples are searched. */
export interface ExampleSearch<Data> {
  /** With a per-example loss. */
  readonly workload: Workload<Data>;
  readonly hyper: Hyper;
  readonly data: Data;
  readonly training: TrainingSpec;
  readonly clippingBound: number;
  readonly draws: number;
  readonly rng: Rng;
  /** What sums a lot; another one only to see whether the search finds it out. */
  readonly sum?: typeof sumOverLot;
}

/**
 * The most that one example moves the sum of a lot in the workload's own network, over what the noise is made for: real
 * examples at all magnitudes, with rows that nearly cancel, before models of several sizes. Leaves no tensor behind.
 */
export function searchExamples<Data>(search: ExampleSearch<Data>): Promise<number> {
  const { workload, hyper, data, training, clippingBound, rng, sum = sumOverLot } = search;
  const { count } = workload.examples(data, hyper).train;
  const clipping = { bound: clippingBound };
  return mostMoved(search.draws, async (n) => {
    const draw = rng.split(`draw/${n}`);
    const size = LOTS[draw.below(LOTS.length)];
    const scale = PARAMETERS[draw.below(PARAMETERS.length)];
    const { shared } = workload.init(draw.split('init'), hyper);
    for (const { data: values } of Object.values(shared)) for (const i of values.keys()) values[i] *= scale;
    const { layout: model } = packTensors(shared);
    const input: LotInput<Data> = {
      ...{
        workload: withExtremes(workload, draw.split('examples')),
        data,
        hyper,
        training,
        shared,
        privateTensors: {},
      },
      shard: {
        train: Int32Array.from({ length: size }, () => draw.below(count)),
        ...{ test: new Int32Array(0), index: 0, count: 1 },
      },
      phase: { name: 'train', channels: [updateChannel(model.map(({ name, shape }) => ({ name, shape })))] },
      ...{ round: 1, rounds: 1, rng: draw },
    };
    const layout = trainLayoutOf(input);
    const state = startState(layout, training);
    try {
      const method = await chooseMethod({ ...input, workload }, layout, state, clipping);
      const lot = Int32Array.from(input.shard.train.keys());
      const sumOf = (positions: Int32Array) => {
        const total = new Float64Array(layout.start.length);
        return sum(input, layout, state, { lot: positions, samplingRate: 1, method, clipping, total });
      };
      const all = await sumOf(lot);
      const without = await sumOf(lot.subarray(1));
      return { all, without, sensitivity: clippingBound * (1 + floatAllowance(training.batchSize, size)) };
    } finally {
      tf.dispose([state.params, state.velocity, state.anchor]);
    }
  });
}

/** The workload with inputs that are taken to extremes: which, follows from the example and `rng`. */
function withExtremes<Data>(workload: Workload<Data>, rng: Rng): Workload<Data> {
  return {
    ...workload,
    batch(data, indices, context) {
      const batch = workload.batch(data, indices, context);
      const changed = Object.entries(batch).map(([name, tensor]) => {
        if (tensor.dtype !== 'float32' || tensor.shape[0] !== indices.length || tensor.rank < 2) return [name, tensor];
        const values = Float32Array.from(tensor.dataSync());
        const size = values.length / indices.length;
        for (const [row, index] of indices.entries()) {
          const own = rng.split(`${index}/${name}`);
          const scale = INPUTS[own.below(INPUTS.length)];
          const example = values.subarray(row * size, (row + 1) * size);
          for (const i of example.keys()) example[i] *= scale;
          disturb(example, drawChange(size / tensor.shape[1]!, own), own);
        }
        return [name, tf.tensor(values, tensor.shape)];
      });
      return Object.fromEntries(changed) as Batch;
    },
  };
}

/** A change with a closeness between 1 and 1e-8. */
function drawChange(width: number, rng: Rng): Change {
  const change = CHANGES[rng.below(CHANGES.length)];
  return { change, closeness: 10 ** (-8 * rng.uniform()), width, turns: rng.below(2) === 1 };
}

/** The run whose clients' contributions are searched. */
export interface ContributionSearch {
  readonly work: WorkSpec;
  readonly draws: number;
  readonly rng: Rng;
  readonly encode?: typeof encodePrivately;
}

/**
 * The most that one client's update moves the sum of a round, over what the noise is made for: along one coordinate, few or
 * all. The same draws with a zero update tell the noise from the update.
 */
export function searchContributions({
  work,
  draws,
  rng,
  encode = encodePrivately,
}: ContributionSearch): Promise<number> {
  const plan = { work, round: 1 };
  const { length, integerNorm } = latticeFor(work, 1);
  return mostMoved(draws, (n) => {
    const draw = rng.split(`draw/${n}`);
    const update = new Float32Array(length);
    const scale = work.privacy!.clippingBound * INPUTS[draw.below(INPUTS.length)];
    const touched = [1, 3, length][draw.below(3)];
    for (let i = 0; i < touched; i++) update[touched === length ? i : draw.below(length)] = scale * draw.normal();
    disturb(update, drawChange(1 + draw.below(length), draw), draw);
    const noise = draw.split('noise');
    // What is not finite has failed in training and is never sent.
    const without = encode(plan, new Float32Array(length), noise);
    return {
      all: firstNonFinite(update) < 0 ? encode(plan, update, noise) : without,
      without,
      sensitivity: integerNorm,
    };
  });
}
