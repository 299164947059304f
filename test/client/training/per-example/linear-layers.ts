/**
 * Layers under a loss that is linear in their outputs, Σ output · d, so that an example chooses both halves of its gradient:
 * the layer's input x, and the derivative by its output, which is d. One for every way in which a layer uses a parameter.
 */
import * as tf from '@tensorflow/tfjs-core';
import { convolution, dense, embedding, scaled, shifted, tiedLogits } from '../../../../client/backends/layers.js';
import { startState, trainLayoutOf } from '../../../../client/training/local-sgd.js';
import type { Clipping } from '../../../../client/training/per-example/index.js';
import { type LotInput, sumOverLot } from '../../../../client/training/per-example/lot.js';
import type { Workload } from '../../../../client/workload.js';
import { rngFromSeed } from '../../../../shared/rng.js';
import { updateChannel } from '../../../../shared/tensors/channels.js';

type Tensors = Readonly<Record<string, tf.Tensor>>;
type Shapes = Readonly<Record<string, readonly number[]>>;

export interface LinearLayer {
  readonly name: string;
  readonly params: Shapes;
  /** What one example consists of: `x...` inputs and `d...` derivatives, [times, width] or images, and `ids`, [times]. */
  readonly example: Shapes;
  /** Outputs, and the derivative of each. */
  outputs(params: Tensors, batch: Tensors): readonly (readonly [output: tf.Tensor, derivative: tf.Tensor])[];
}

/** Different ids, when they are drawn. */
export const ENTRIES = 5;

const flat = (x: tf.Tensor) => tf.reshape(x, [-1, x.shape[x.rank - 1]]);
const ids = (batch: Tensors) => tf.cast(batch.ids, 'int32');

/** A product at `times`, with a bias. */
export function product(times: number, [inputs, outputs]: readonly [number, number]): LinearLayer {
  return {
    name: `product ${inputs} x ${outputs} at ${times} times, with its bias`,
    params: { kernel: [inputs, outputs], bias: [outputs] },
    example: { x: [times, inputs], d: [times, outputs] },
    outputs: ({ kernel, bias }, { x, d }) => [[dense(tf, flat(x), kernel, bias), flat(d)]],
  };
}

export const LINEAR_LAYERS: readonly LinearLayer[] = [
  product(1, [6, 7]),
  product(2, [64, 64]), // that of issue reports: the gradient is larger than its times by far
  product(9, [4, 3]), // that of long texts: the times are more than the gradient
  ...[1, 4].map(
    (times): LinearLayer => ({
      name: `product with a transposed table at ${times} times`,
      params: { table: [12, 8] },
      example: { x: [times, 8], d: [times, 12] },
      outputs: ({ table }, { x, d }) => [[tiedLogits(tf, flat(x), table), flat(d)]],
    }),
  ),
  {
    name: 'filter over an image of few pixels',
    params: { filter: [3, 3, 4, 8], bias: [8] },
    example: { x: [4, 4, 4], d: [2, 2, 8] }, // two windows above one another see nearly the same if the rows are
    outputs: ({ filter, bias }, { x, d }) => [[convolution(tf, x, filter, bias, { pad: 'valid' }), d]],
  },
  {
    name: 'filter with strides over an image of many pixels',
    params: { filter: [2, 2, 1, 2] },
    example: { x: [8, 8, 1], d: [4, 4, 2] },
    outputs: ({ filter }, { x, d }) => [[convolution(tf, x, filter, undefined, { stride: 2, pad: 'valid' }), d]],
  },
  {
    name: 'lookup',
    params: { table: [ENTRIES, 6] },
    example: { ids: [8], d: [8, 6] },
    outputs: ({ table }, batch) => [[embedding(tf, table, ids(batch)), batch.d]],
  },
  {
    name: 'lookup at one time',
    params: { table: [ENTRIES, 6] },
    example: { ids: [1], d: [1, 6] },
    outputs: ({ table }, batch) => [[embedding(tf, table, ids(batch)), batch.d]],
  },
  {
    name: 'gain and shift',
    params: { gain: [5], shift: [5] },
    example: { x: [6, 5], d: [6, 5] },
    outputs: ({ gain, shift }, { x, d }) => [[scaled(tf, x, gain, shift), d]],
  },
  {
    name: 'shift of single times',
    params: { positions: [3, 5] },
    example: { x: [3, 5], d: [3, 5] },
    outputs: ({ positions }, { x, d }) => [[shifted(tf, x, positions), d]],
  },
  {
    name: 'one kernel and one bias used twice',
    params: { kernel: [4, 4], bias: [4] },
    example: { x1: [1, 4], d1: [1, 4], x2: [3, 4], d2: [3, 4] },
    outputs: ({ kernel, bias }, { x1, d1, x2, d2 }) => [
      [dense(tf, flat(x1), kernel, bias), flat(d1)],
      [dense(tf, flat(x2), kernel, bias), flat(d2)],
    ],
  },
  {
    name: 'one table looked up and multiplied with',
    params: { table: [ENTRIES, 6] },
    example: { ids: [4], d1: [4, 6], x: [4, 6], d2: [4, ENTRIES] },
    outputs: ({ table }, batch) => [
      [embedding(tf, table, ids(batch)), batch.d1],
      [tiedLogits(tf, flat(batch.x), table), flat(batch.d2)],
    ],
  },
  {
    name: 'several layers',
    params: { kernel: [6, 3], gain: [5], table: [ENTRIES, 2] },
    example: { x1: [2, 6], d1: [2, 3], x2: [2, 5], d2: [2, 5], ids: [2], d3: [2, 2] },
    outputs: ({ kernel, gain, table }, batch) => [
      [dense(tf, flat(batch.x1), kernel), flat(batch.d1)],
      [scaled(tf, batch.x2, gain), batch.d2],
      [embedding(tf, table, ids(batch)), batch.d3],
    ],
  },
];

/** The numbers of one example, under the names of {@link LinearLayer.example}. */
export type Example = Readonly<Record<string, Float32Array>>;

export interface SumOptions {
  readonly clipping: Clipping;
  readonly method: 'taps' | 'loop';
  /** Default all. */
  readonly lot?: Int32Array;
  /** Default 32. */
  readonly batchSize?: number;
  /** Default 1. */
  readonly samplingRate?: number;
}

/** The clipped sum of a lot as DP-SGD has it before noise. */
export async function lotSum(layer: LinearLayer, examples: readonly Example[], options: SumOptions) {
  const { clipping, method, batchSize = 32, samplingRate = 1 } = options;
  const all = Int32Array.from(examples.keys());
  const shared = Object.fromEntries(
    Object.entries(layer.params).map(([name, shape]) => [name, { shape, data: new Float32Array(sizeOf(shape)) }]),
  );
  const input = {
    ...{ workload: workloadOf(layer), data: examples, hyper: {}, shared, privateTensors: {} },
    shard: { train: all, test: new Int32Array(0), index: 0, count: 1 },
    phase: {
      name: 'train',
      channels: [updateChannel(Object.entries(layer.params).map(([name, shape]) => ({ name, shape })))],
    },
    training: {
      ...{ localSteps: 1, batchSize, clientLr: 1, momentum: 0, weightDecay: 0, gradientClipNorm: 0 },
      ...{ lrSchedule: 'constant', proximalMu: 0 },
    },
    ...{ round: 1, rounds: 1, rng: rngFromSeed(1) },
  } satisfies LotInput<readonly Example[]>;
  const layout = trainLayoutOf(input);
  const state = startState(layout, input.training);
  try {
    const total = new Float64Array(layout.start.length).fill(Number.NaN);
    const lot = options.lot ?? all;
    return await sumOverLot(input, layout, state, { lot, samplingRate, method, clipping, total });
  } finally {
    tf.dispose([state.params, state.velocity, state.anchor]);
  }
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, dimension) => size * dimension, 1);
}

function workloadOf(layer: LinearLayer): Workload<readonly Example[]> {
  return {
    batch: (data: readonly Example[], indices: Int32Array) =>
      Object.fromEntries(
        Object.entries(layer.example).map(([name, shape]) => {
          const values = new Float32Array(indices.length * sizeOf(shape));
          for (const [row, i] of indices.entries()) values.set(data[i][name], row * sizeOf(shape));
          return [name, tf.tensor(values, [indices.length, ...shape])];
        }),
      ),
    perExampleLoss: (params: Tensors, batch: Tensors) => {
      const terms = layer.outputs(params, batch).map(([output, derivative]) => {
        const count = Object.values(batch)[0].shape[0];
        return tf.sum(tf.reshape(tf.mul(output, derivative), [count, -1]), 1);
      });
      return tf.addN(terms) as tf.Tensor1D;
    },
  } as unknown as Workload<readonly Example[]>;
}
