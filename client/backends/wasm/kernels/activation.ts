/** The activations that TensorFlow.js fuses into products and convolutions. */
import type { NamedAttrMap, TensorInfo } from '@tensorflow/tfjs-core';
import { FlError } from '../../../../shared/errors.js';
import type { Context, Inputs } from '../kernel.js';

/** The bounds that an activation amounts to, applied while the product is stored; undefined if it needs a pass of its own. */
export function boundsOf(activation: string): { low?: number; high?: number } | undefined {
  switch (activation) {
    case 'linear':
      return {};
    case 'relu':
      return { low: 0 };
    case 'relu6':
      return { low: 0, high: 6 };
    default:
      return undefined;
  }
}

/** An activation is called as its kernel, in lower case. */
const KERNELS = ['Relu', 'Relu6', 'Elu', 'Sigmoid', 'LeakyRelu', 'Prelu'];

/**
 * Applies the fused operation's activation; takes over `x` and returns what replaces it, of the same shape.
 * @throws FlError 'invalid-argument' naming the activation if there is none of that name
 */
export function applyActivation(context: Context, x: TensorInfo, inputs: Inputs, attrs: NamedAttrMap): TensorInfo {
  const { activation, leakyreluAlpha } = attrs as { activation: string; leakyreluAlpha?: number };
  if (activation === 'linear') return x;
  const name = KERNELS.find((kernel) => kernel.toLowerCase() === activation);
  if (!name) {
    const expected = KERNELS.map((kernel) => kernel.toLowerCase());
    throw new FlError('invalid-argument', `activation: expected one of ${expected}, got ${activation}`);
  }
  const out = context.run(name, { x, alpha: inputs.preluActivationWeights }, { alpha: leakyreluAlpha ?? 0.2 });
  context.heap.release(x);
  return out;
}

/** x + bias, the shapes broadcast against each other; takes over `x`, and the caller owns the sum. */
export function addBias(context: Context, x: TensorInfo, bias: TensorInfo): TensorInfo {
  const out = context.run('Add', { a: x, b: bias });
  context.heap.release(x);
  return out;
}
