/**
 * Taps: while somebody records, a layer says what it did with its parameters, so that the gradient of every single example
 * can be had from one backward pass over the whole batch (Goodfellow 2015, arXiv:1510.01799; Lee and Kifer 2021,
 * arXiv:2009.03106). If y is a layer's output, the derivative of the *sum* of the examples' losses with respect to y holds,
 * row by row, the derivative of each example's own loss; and how a parameter's gradient follows from it, the layer knows.
 *
 * Nobody records but DP-SGD, and then one forward pass at a time: without a recorder a tap costs one comparison.
 */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Tf } from './gradients/gradient.js';

/** How a layer used a parameter; δ is the derivative with respect to its output before the activation. */
export type Use =
  /** output = input · weight, [rows, in] · [in, out]; `transposed`: input · weightᵀ with weight [out, in] */
  | { readonly kind: 'product'; readonly param: Tensor; readonly transposed?: boolean }
  /** output = input * filter, filter [height, width, in, out] */
  | {
      readonly kind: 'filter';
      readonly param: Tensor;
      readonly strides: readonly number[];
      readonly pad: 'same' | 'valid';
    }
  /** output[...] = table[input[...]], table [entries, width] */
  | { readonly kind: 'lookup'; readonly param: Tensor }
  /** output[..., c] = input[..., c] · gain[c] + ... */
  | { readonly kind: 'gain'; readonly param: Tensor }
  /** the parameter was added to the last axes of the output, whose sizes are its shape */
  | { readonly kind: 'shift'; readonly param: Tensor };

/** One layer as it was run: what went in, what came out, and how it used its parameters. */
export interface Tap {
  readonly input: Tensor;
  readonly output: Tensor;
  readonly activation: 'linear' | 'relu';
  readonly uses: readonly Use[];
}

/** What was recorded; input and output of each tap are kept alive until {@link Recording.dispose}. */
export interface Recording {
  readonly taps: readonly Tap[];
  /** Whether anything but the uses of the taps took this tensor as an input: then the taps do not tell its whole gradient. */
  usedOutside(param: Tensor): boolean;
  dispose(): void;
}

interface Recorder {
  readonly taps: Tap[];
  readonly outputs: Tensor[];
  /** Ids of tensors that taps do not account for. */
  readonly outside: Set<number>;
  /** Operations on the engine's tape that belong to taps: from, to. */
  readonly ranges: (readonly [number, number])[];
}

let recorder: Recorder | undefined;

/** Runs a layer; if somebody records, the tap is noted. `input` and every `param` must be what `run` computes with. */
export function tapped<Output extends Tensor>(
  tf: Tf,
  layer: Omit<Tap, 'output' | 'activation'> & { readonly activation?: Tap['activation'] },
  run: () => Output,
): Output {
  if (recorder === undefined) return run();
  const tape = tf.engine().state.activeTape;
  const from = tape.length;
  const output = tf.keep(run());
  const input = tf.keep(tf.clone(layer.input));
  recorder.ranges.push([from, tape.length]);
  recorder.outside.add(layer.input.id);
  recorder.taps.push({ activation: 'linear', ...layer, input, output });
  recorder.outputs.push(output);
  return output;
}

/**
 * A recording to be filled by `run`, which the caller calls, once, inside a gradient: that is where the engine keeps a tape.
 * @param outputs gets the taps' outputs appended, in their order: a list that the gradient was given beforehand
 */
export function recording<Result>(
  tf: Tf,
  outputs: Tensor[],
  forward: () => Result,
): Recording & { readonly run: () => Result } {
  const own: Recorder = { taps: [], outputs, outside: new Set(), ranges: [] };
  return {
    taps: own.taps,
    usedOutside: ({ id }) => own.outside.has(id),
    dispose: () => tf.dispose(own.taps.flatMap(({ input, output }) => [input, output])),
    run() {
      const before = recorder;
      recorder = own;
      try {
        return forward();
      } finally {
        recorder = before;
        noteOutside(tf, own);
      }
    },
  };
}

function noteOutside(tf: Tf, { ranges, outside }: Recorder): void {
  let next = 0;
  for (const [at, { inputs }] of tf.engine().state.activeTape.entries()) {
    while (next < ranges.length && at >= ranges[next][1]) next++;
    if (next < ranges.length && at >= ranges[next][0]) continue;
    for (const { id } of Object.values(inputs)) outside.add(id);
  }
}
