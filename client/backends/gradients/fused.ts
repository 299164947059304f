/** Gradients of the fused kernels behind layers.ts: product or convolution, bias, and no activation or relu. */
import type { NamedAttrMap, Tensor } from '@tensorflow/tfjs-core';
import { RELU_GRAD } from '../kernel-names.js';
import { fusedOr, type Gradient, type GradientTable, type Tf } from './gradient.js';

/** Of products and convolutions that are one kernel with their bias, and with relu or no activation. */
export function fusedGradients(tf: Tf): GradientTable {
  return {
    _FusedMatMul: fused(tf, ['a', 'b'], (dz, a, b) => ({
      a: () => tf.matMul(dz, b, false, true),
      b: () => tf.matMul(a, dz, true, false),
    })),
    FusedConv2D: fused(tf, ['x', 'filter'], (dz, x, filter, attrs) => ({
      x: () => run(tf, 'Conv2DBackpropInput', { dy: dz, filter }, { ...attrs, inputShape: x.shape }),
      filter: () => run(tf, 'Conv2DBackpropFilter', { x, dy: dz }, { ...attrs, filterShape: filter.shape }),
    })),
  };
}

type Rules = (dz: Tensor, first: Tensor, second: Tensor, attrs: NamedAttrMap) => Record<string, () => Tensor>;

/** dz is the gradient before the activation; the bias was added to every row of it. */
function fused(tf: Tf, inputs: [string, string], rules: Rules): Gradient {
  return {
    inputsToSave: inputs,
    outputsToSave: [true],
    gradFunc: (given, saved, attrs) => {
      const [dy, [first, second, y]] = [given as Tensor, saved as Tensor[]];
      const { activation } = attrs as { activation: string };
      if (activation !== 'linear' && activation !== 'relu') {
        throw new RangeError(`activation: expected linear or relu where a gradient is taken, got ${activation}`);
      }
      const dz = activation === 'relu' ? fusedOr(tf, RELU_GRAD, { dy, x: y }, {}, () => tf.mul(dy, tf.step(y))) : dy;
      const rows = Array.from({ length: dz.rank - 1 }, (_, axis) => axis);
      return { ...rules(dz, first, second, attrs), bias: () => tf.sum(dz, rows) };
    },
  };
}

function run(tf: Tf, name: string, inputs: Record<string, Tensor>, attrs: NamedAttrMap): Tensor {
  return tf.engine().runKernel(name, inputs, attrs) as Tensor;
}
