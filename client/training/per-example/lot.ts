/**
 * The clipped gradients of a whole lot, summed: chunk by chunk, so that a lot of any size fits into memory, by taps where the
 * model allows it and one example at a time where it does not.
 */
import { setImmediate } from 'node:timers/promises';

import tf = require('@tensorflow/tfjs-core');

import { firstNonFinite } from '../../../shared/tensors/params.js';
import { type LocalSgdInput, namedParams, type SgdState, type TrainLayout, throwIfCancelled } from '../local-sgd.js';
import { chunksOf, LEAST_BOUND } from './chunks.js';
import { type ClippedSum, type Clipping, clippedSumByLoop, clippedSumByTaps, type NotCovered } from './index.js';

type Method = 'taps' | 'loop';

/** What local SGD has, and who is told of slowness. */
export interface LotInput<Data> extends LocalSgdInput<Data> {
  /** Told once if gradients have to be computed one example at a time, which is slow; and why. */
  readonly onSlow?: (reason: string) => void;
}

/**
 * Σ over `lot` of clipped gradients, in the order of the layout, into `total`, which is returned. An empty lot sums to zero.
 * @param options.lot ascending positions in the shard's training examples, each drawn with probability `samplingRate`
 */
export async function sumOverLot<Data>(
  input: LotInput<Data>,
  layout: TrainLayout,
  state: SgdState,
  options: { lot: Int32Array; samplingRate: number; method: Method; clipping: Clipping; total: Float64Array },
): Promise<Float64Array> {
  const { lot, samplingRate, method, clipping, total } = options;
  const { batchSize } = input.training;
  total.fill(0);
  for (const chunk of chunksOf(lot, { batchSize, samplingRate })) {
    throwIfCancelled(input.signal);
    const examples = chunk.map((position) => input.shard.train[position]);
    const sums = await finiteSums(input, layout, state, { examples, method, clipping });
    for (const [i, { offset }] of layout.tensors.entries()) add(total, offset, sums[i]);
    await setImmediate(); // the client answers its coordinator between chunks
  }
  return total;
}

/**
 * The clipped sums of a chunk, in which an example whose norm is no number counts as zero: it is left out, and the others
 * are computed again as if it had not been drawn, to the bit. A vector for each trained tensor; all zero if none is left.
 */
async function finiteSums<Data>(
  input: LotInput<Data>,
  layout: TrainLayout,
  state: SgdState,
  { examples, method, clipping }: { examples: Int32Array; method: Method; clipping: Clipping },
): Promise<readonly Float32Array[]> {
  let rest = examples;
  while (rest.length > 0) {
    const part = await clippedSum(input, layout, state, { examples: rest, method, clipping });
    if (typeof part === 'string') return finiteSums(input, layout, state, { examples: rest, method: 'loop', clipping });
    if (method === 'loop' || firstNonFinite(part.norms) < 0) return part.sums; // the loop leaves them out itself
    rest = rest.filter((_, i) => Number.isFinite(part.norms[i]));
  }
  return layout.tensors.map(({ size }) => new Float32Array(size));
}

/** `part` is added to `total` from `offset` on. */
function add(total: Float64Array, offset: number, part: Float32Array): void {
  for (let i = 0; i < part.length; i++) total[offset + i] += part[i];
}

/** How far sums and norms by the two methods may lie apart, relative to their size: rounding, through some tens of layers. */
const TOLERANCE = 1e-3;

/**
 * Whether the taps tell this model's gradients: its tensors are used in tapped layers only, and for the first two examples
 * they come to the same norms and the same clipped sum as the loop, which a model that mixes the examples of a batch, or
 * lays them out in another order, does not. This catches a workload's mistake and proves nothing: the bound of what an
 * example adds does not rest on it, and that examples are kept apart is what `perExampleLoss` promises.
 */
export async function chooseMethod<Data>(
  input: LotInput<Data>,
  layout: TrainLayout,
  state: SgdState,
  clipping: Clipping,
): Promise<Method> {
  const examples = input.shard.train.slice(0, 2);
  if (examples.length === 0) return 'loop';
  const byTaps = await clippedSum(input, layout, state, { examples, method: 'taps', clipping });
  let reason = byTaps;
  if (typeof byTaps !== 'string') {
    const byLoop = (await clippedSum(input, layout, state, { examples, method: 'loop', clipping })) as HostSum;
    if (firstNonFinite(byLoop.norms) >= 0 || agree(byTaps, byLoop)) return 'taps';
    reason = 'two examples together give other gradients than each alone';
  }
  input.onSlow?.(`gradients are computed one example at a time: ${reason}`);
  return 'loop';
}

function agree(a: HostSum, b: HostSum): boolean {
  return distance([a.norms], [b.norms]) <= TOLERANCE && distance(a.sums, b.sums) <= TOLERANCE;
}

/** What is smaller is as good as zero: norms are bounds, that of a zero gradient some 1e-18. */
const NOTHING = LEAST_BOUND;

/** L2 norm of the difference over that of `b`. */
function distance(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  let [apart, size] = [0, 0];
  for (const [n, values] of b.entries()) {
    for (let i = 0; i < values.length; i++) {
      apart += (a[n][i] - values[i]) ** 2;
      size += values[i] ** 2;
    }
  }
  return Math.sqrt(apart) / Math.max(Math.sqrt(size), NOTHING);
}

/** A clipped sum on the host: a vector for each trained tensor, and the norms before clipping. */
interface HostSum {
  readonly sums: readonly Float32Array[];
  readonly norms: Float32Array;
}

/** The clipped sum of `examples` in one chunk; a reason, when the taps do not cover the model. Leaves no tensor behind. */
async function clippedSum<Data>(
  input: LotInput<Data>,
  layout: TrainLayout,
  state: SgdState,
  { examples, method, clipping }: { examples: Int32Array; method: Method; clipping: Clipping },
): Promise<HostSum | NotCovered> {
  const { workload, data, hyper, shard } = input;
  const made = tf.tidy((): ClippedSumTensors | NotCovered => {
    const named = namedParams(layout, state);
    const loss = (indices: Int32Array): tf.Tensor => {
      const batch = workload.batch(data, indices, { hyper, shard, split: 'train' });
      return workload.perExampleLoss!(named, batch);
    };
    if (method === 'taps') {
      return tensorsOf(clippedSumByTaps(state.params, examples.length, () => loss(examples), clipping));
    }
    const alone = (i: number): tf.Tensor => tf.sum(loss(examples.subarray(i, i + 1)));
    return tensorsOf(clippedSumByLoop(state.params, examples.length, alone, clipping));
  });
  if (typeof made === 'string') return made;
  const [norms, ...sums] = await Promise.all(made.map((tensor) => tensor.data<'float32'>()));
  tf.dispose(made);
  return { norms, sums };
}

/** The norms, then the sums: a form that a tidy can hand out. */
type ClippedSumTensors = tf.Tensor[];

function tensorsOf(clipped: ClippedSum | NotCovered): ClippedSumTensors | NotCovered {
  return typeof clipped === 'string' ? clipped : [clipped.norms, ...clipped.sums];
}
