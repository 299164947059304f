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

const KERNELS: Record<string, string> = {
  ...{ relu: 'Relu', relu6: 'Relu6', elu: 'Elu', sigmoid: 'Sigmoid', leakyrelu: 'LeakyRelu', prelu: 'Prelu' },
};

/** Applies the fused operation's activation; takes over `x` and returns what replaces it. */
export function applyActivation(context: Context, x: TensorInfo, inputs: Inputs, attrs: NamedAttrMap): TensorInfo {
  const { activation, leakyreluAlpha } = attrs as { activation: string; leakyreluAlpha?: number };
  if (activation === 'linear') return x;
  const name = KERNELS[activation];
  if (!name)
    throw new FlError('invalid-argument', `activation: expected one of ${Object.keys(KERNELS)}, got ${activation}`);
  const alpha = activation === 'prelu' ? { alpha: inputs.preluActivationWeights } : {};
  const out = context.run(name, { x, ...alpha }, { alpha: leakyreluAlpha ?? 0.2 });
  context.heap.release(x);
  return out;
}

/** x + bias with broadcasting; takes over `x`. */
export function addBias(context: Context, x: TensorInfo, bias: TensorInfo): TensorInfo {
  const out = context.run('Add', { a: x, b: bias });
  context.heap.release(x);
  return out;
}
