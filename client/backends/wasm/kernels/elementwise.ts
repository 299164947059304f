/** Element-wise kernels: transcendental functions that the stock back end computes one by one, and fused gradients. */
import { ADD_SCALED, GELU, GELU_GRAD, RELU_GRAD, SIGMOID_GRAD, TANH_GRAD } from '../../kernel-names.js';
import type { Kernel, KernelTable } from '../kernel.js';
import { product } from '../kernel.js';
import type { maps } from '../kernels-src/map.js';

/** A map over the named inputs; other data types than float32 go to the kernel that was there before. */
function map(
  name: keyof typeof maps,
  inputNames: readonly string[],
  constants: (attrs: object) => readonly number[] = () => [],
): Kernel {
  return (context, inputs, attrs) => {
    const sources = inputNames.map((key) => inputs[key]);
    if (sources.some(({ dtype }) => dtype !== 'float32')) return context.stock(inputs, attrs);
    const { heap } = context;
    const out = heap.output(sources[0].shape);
    const addresses = [...sources, out].map((tensor) => heap.address(tensor));
    heap.run[name](...addresses, product(out.shape), ...constants(attrs));
    return out;
  };
}

const clip = map('clip', ['x'], (attrs) => {
  const { clipValueMin, clipValueMax } = attrs as { clipValueMin: number; clipValueMax: number };
  return [clipValueMin, clipValueMax];
});

/** float32 tensors of equal shape in, one of that shape out. */
export const elementwiseKernels: KernelTable = {
  Exp: map('exp', ['x']),
  Log: map('log', ['x']),
  Tanh: map('tanh', ['x']),
  Sigmoid: map('sigmoid', ['x']),
  Softplus: map('softplus', ['x']),
  ClipByValue: clip,
  [RELU_GRAD]: map('reluGradient', ['dy', 'x']),
  [TANH_GRAD]: map('tanhGradient', ['dy', 'y']),
  [SIGMOID_GRAD]: map('sigmoidGradient', ['dy', 'y']),
  [GELU]: map('gelu', ['x']),
  [GELU_GRAD]: map('geluGradient', ['dy', 'x']),
  [ADD_SCALED]: map('addScaled', ['a', 'b'], (attrs) => [(attrs as { scale: number }).scale]),
};
