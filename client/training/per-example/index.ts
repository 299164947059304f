/**
 * Sums of clipped gradients of single examples, the heart of DP-SGD (Abadi et al. 2016, arXiv:1607.00133, Algorithm 1):
 *
 *     Σ_b g_b · min(1, C / |g_b|)       the L2 norm over all trained tensors together, or, with scope 'tensor', each
 *                                       tensor's own norm against C / √(number of tensors): the whole has norm <= C either way
 *
 * |g_b| is a bound of what float32 adds for example b (layer-gradients.ts, norms.ts); with how it adds, see chunks.ts.
 *
 * Two ways to the same sum: by taps (client/backends/taps.ts), one backward pass for the batch; and by the loop, one for each
 * example, which asks nothing of the model. The loop is the definition that tests and the first step of a task hold the taps to.
 */
import tf = require('@tensorflow/tfjs-core');

import { fusedOr } from '../../backends/gradients/gradient.js';
import { RELU_GRAD } from '../../backends/kernel-names.js';
import { type Recording, recording, type Tap } from '../../backends/taps.js';
import { type ExampleGradients, exampleGradients, writtenDown } from './layer-gradients.js';
import { boundOfNorm, sumOfSquares } from './norms.js';

/** How gradients of single examples are bounded. */
export interface Clipping {
  /** C */
  readonly bound: number;
  /** Default 'all'. */
  readonly scope?: 'all' | 'tensor';
}

/** Tensors of the caller's tidy. */
export interface ClippedSum {
  /** For each trained tensor, in its shape. */
  readonly sums: readonly tf.Tensor[];
  /** Bounds of |g_b| over all trained tensors, before clipping: [examples]; infinite, or no number, if it is 2^64 or more. */
  readonly norms: tf.Tensor;
}

/** Why taps do not tell a model's gradients, in a sentence. */
export type NotCovered = string;

/**
 * By taps. To be called inside a tidy, which owns what is returned. One example whose gradient is not finite spoils the
 * sum, which the caller sees; the loop does not let it.
 * @param trained tensors that `loss` computes with
 * @param loss loss of each example, [examples]; entry b must depend on row b of the batch alone
 */
export function clippedSumByTaps(
  trained: readonly tf.Tensor[],
  examples: number,
  loss: () => tf.Tensor,
  clipping: Clipping,
): ClippedSum | NotCovered {
  const watched: tf.Tensor[] = [tf.scalar(0)]; // the engine refuses an empty list before it looks at anything
  const record = recording(tf, watched, () => tf.sum(loss()));
  try {
    // The engine reads the list when the forward pass is over: by then the taps' outputs are in it.
    const { grads } = tf.engine().gradients(record.run, watched, undefined, true);
    const uses = usesOf(trained, examples, record, grads.slice(1));
    return typeof uses === 'string' ? uses : clipAndSum(trained, examples, uses, clipping);
  } finally {
    record.dispose();
  }
}

/**
 * By the loop, one backward pass for each example. To be called inside a tidy. A gradient that is not finite counts as
 * zero: to stop for it would tell that such an example is there.
 * @param loss scalar loss of example `i` alone
 */
export function clippedSumByLoop(
  trained: readonly tf.Tensor[],
  examples: number,
  loss: (i: number) => tf.Tensor,
  clipping: Clipping,
): ClippedSum {
  let sums = trained.map((tensor) => tf.zerosLike(tensor));
  const norms: tf.Tensor[] = [tf.zeros([0])];
  for (let i = 0; i < examples; i++) {
    const [norm, ...next] = tf.tidy(() => {
      const { grads } = tf.engine().gradients(() => loss(i), [...trained], undefined, true);
      const squares = grads.map((grad) => grad && sumOfSquares(tf.reshape(grad, [1, -1])));
      const { norm, factors } = clip(trained, squares, clipping);
      const added = (grad: tf.Tensor, n: number) => {
        const clipped = tf.mul(grad, tf.reshape(factors[n]!, []));
        return tf.add(sums[n], tf.where(tf.isFinite(tf.reshape(norm, [])), clipped, tf.zerosLike(clipped)));
      };
      return [norm, ...grads.map((grad, n) => (grad ? added(grad, n) : tf.clone(sums[n])))];
    });
    norms.push(tf.reshape(norm, [1]));
    tf.dispose(sums);
    sums = next;
  }
  return { sums, norms: tf.concat(norms) };
}

/** What multiplies gradients with these squared norms, each [examples]; undefined ones have no gradient. */
function clip(
  trained: readonly tf.Tensor[],
  squares: readonly (tf.Tensor | undefined)[],
  { bound, scope = 'all' }: Clipping,
): { norm: tf.Tensor; factors: (tf.Tensor | undefined)[] } {
  const present = squares.filter((square) => square !== undefined);
  const size = trained.reduce((sum, tensor) => sum + tensor.size, 0);
  const norm = present.length > 0 ? boundOfNorm(present, size) : tf.scalar(0);
  const factor = (of: tf.Tensor, limit: number) => tf.div(limit, tf.maximum(of, limit)); // exactly 1 up to the limit
  if (scope === 'all') {
    const common = factor(norm, bound);
    return { norm, factors: squares.map((square) => square && common) };
  }
  const share = bound / Math.sqrt(squares.length);
  const own = (square: tf.Tensor, n: number) => factor(boundOfNorm([square], trained[n].size), share);
  return { norm, factors: squares.map((square, n) => square && own(square, n)) };
}

/** For each trained tensor the uses that reach the loss. */
function usesOf(
  trained: readonly tf.Tensor[],
  examples: number,
  record: Recording,
  derivatives: readonly (tf.Tensor | undefined)[],
): ExampleGradients[][] | NotCovered {
  const places = new Map(trained.map(({ id }, place) => [id, place]));
  const uses: ExampleGradients[][] = trained.map(() => []);
  for (const [place, tensor] of trained.entries()) {
    if (record.usedOutside(tensor)) return `trained tensor ${place} is used outside tapped layers`;
  }
  for (const [i, tap] of record.taps.entries()) {
    const derivative = derivatives[i];
    const trainedUses = tap.uses.filter(({ param }) => places.has(param.id));
    if (derivative === undefined || trainedUses.length === 0) continue;
    const outputGradient = beforeActivation(tap, derivative);
    for (const use of trainedUses) {
      const gradients = exampleGradients(use, { examples, input: tap.input, outputGradient });
      if (gradients === undefined) return `a layer maps [${tap.input.shape}] to [${tap.output.shape}]`;
      uses[places.get(use.param.id)!].push(gradients);
    }
  }
  return uses;
}

function beforeActivation({ activation, output }: Tap, dy: tf.Tensor): tf.Tensor {
  if (activation === 'linear') return dy;
  return fusedOr(tf, RELU_GRAD, { dy, x: output }, {}, () => tf.mul(dy, tf.step(output)));
}

function clipAndSum(
  trained: readonly tf.Tensor[],
  examples: number,
  uses: readonly ExampleGradients[][],
  clipping: Clipping,
): ClippedSum {
  // A tensor that several layers use has one gradient: theirs are added before its norm is taken.
  const together = (all: readonly ExampleGradients[], param: tf.Tensor) =>
    writtenDown(param, tf.addN(all.map((use) => use.each())));
  const each = uses.map((all, n) => (all.length > 1 ? together(all, trained[n]) : all[0]));
  const { norm, factors } = clip(
    trained,
    each.map((one) => one?.squaredNorms()),
    clipping,
  );
  return {
    sums: each.map((one, n) => one?.weightedSum(factors[n]!) ?? tf.zerosLike(trained[n])),
    norms: norm.rank === 0 ? tf.fill([examples], 0) : norm,
  };
}
