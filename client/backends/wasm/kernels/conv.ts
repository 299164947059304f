/**
 * Two-dimensional convolution and its gradients, images as [batch, height, width, channels], filters as [height, width,
 * in, out]: products over windows that are read where they lie (windows.ts, phases.ts). Dilated windows and other data
 * formats go to the kernels that TensorFlow.js brings.
 */
import type { NamedAttrMap, TensorInfo } from '@tensorflow/tfjs-core';
import { EXAMPLE_FILTER_GRADIENTS } from '../../kernel-names.js';
import type { Heap } from '../heap.js';
import { type Context, type Kernel, type KernelTable, product } from '../kernel.js';
import { type Epilogue, linearTable, planRows, planTransposed } from '../matmul.js';
import { plainRight } from '../panels.js';
import { convolutionInputGradient } from '../phases.js';
import { type ConvInfo, windowsOf } from '../windows.js';
import { addBias, applyActivation, boundsOf } from './activation.js';

const conv2d: Kernel = (context, inputs, attrs) => {
  const info = convInfo(context, inputs.x.shape, inputs.filter.shape, attrs);
  return info ? convolve(context.heap, inputs.x, inputs.filter, info, {}) : context.stock(inputs, attrs);
};

const fusedConv2d: Kernel = (context, inputs, attrs) => {
  const { x, filter, bias } = inputs;
  const info = convInfo(context, x.shape, filter.shape, attrs);
  if (!info) return context.stock(inputs, attrs);
  if (bias && product(bias.shape) !== info.outChannels) {
    const linear = convolve(context.heap, x, filter, info, {});
    return applyActivation(context, addBias(context, linear, bias), inputs, attrs);
  }
  const bounds = boundsOf((attrs as { activation: string }).activation);
  const out = convolve(context.heap, x, filter, info, { bias: bias && context.heap.address(bias), ...bounds });
  return bounds ? out : applyActivation(context, out, inputs, attrs);
};

const filterGradient: Kernel = (context, inputs, attrs) => {
  const { heap } = context;
  const { filterShape } = attrs as { filterShape: number[] };
  const info = convInfo(context, inputs.x.shape, filterShape, attrs);
  if (!info) return context.onCpu(inputs, attrs);
  const out = heap.output(filterShape);
  const { base, rows, terms } = windowsOf(heap, heap.address(inputs.x), info);
  const multiply = planTransposed(heap, rows, terms, plainRight(heap, info.outChannels));
  multiply(base, heap.address(inputs.dy), heap.address(out));
  return out;
};

/** The filter's gradient of each example by itself: the same product, over one image at a time. */
const exampleFilterGradients: Kernel = (context, inputs, attrs) => {
  const { heap } = context;
  const { x, dy } = inputs;
  const { filterShape } = attrs as { filterShape: number[] };
  const info = convInfo(context, x.shape, filterShape, attrs);
  const out = heap.output([x.shape[0], ...filterShape]);
  if (!info) {
    heap.floats(heap.address(out), product(out.shape)).fill(0); // no pixel to sum over: nothing else is asked for here
    return out;
  }
  const { base, imageBytes, rows, terms } = windowsOf(heap, heap.address(x), info);
  const windows = { table: rows.table, count: info.outHeight * info.outWidth }; // of the first image
  const multiply = planTransposed(heap, windows, terms, plainRight(heap, info.outChannels));
  const [dyBytes, outBytes] = [4 * windows.count * info.outChannels, 4 * product(filterShape)];
  const [from, to] = [heap.address(dy), heap.address(out)];
  for (let i = 0; i < info.batchSize; i++) multiply(base + i * imageBytes, from + i * dyBytes, to + i * outBytes);
  return out;
};

const inputGradient: Kernel = (context, inputs, attrs) => {
  const { heap } = context;
  const { inputShape } = attrs as { inputShape: number[] };
  const info = convInfo(context, inputShape, inputs.filter.shape, attrs);
  if (!info) return context.onCpu(inputs, attrs);
  const out = heap.output(inputShape);
  const [dy, filter, dx] = [inputs.dy, inputs.filter, out].map((tensor) => heap.address(tensor));
  convolutionInputGradient(heap, info, { dy, filter, dx });
  return out;
};

/** Convolution, its gradients, and the filter's gradient of each example: [batch, ...filterShape]. */
export const convKernels: KernelTable = {
  Conv2D: conv2d,
  FusedConv2D: fusedConv2d,
  Conv2DBackpropFilter: filterGradient,
  Conv2DBackpropInput: inputGradient,
  [EXAMPLE_FILTER_GRADIENTS]: exampleFilterGradients,
};

/** The geometry; undefined for what is not ours. */
function convInfo(
  { tf }: Context,
  inShape: number[],
  filterShape: number[],
  attrs: NamedAttrMap,
): ConvInfo | undefined {
  const { strides, pad, dimRoundingMode, ...rest } = attrs as unknown as ConvAttributes;
  const { dilations = [1, 1], dataFormat = 'NHWC' } = rest;
  if (dataFormat !== 'NHWC') return undefined;
  type Shape4 = [number, number, number, number];
  const { computeConv2DInfo } = tf.backend_util;
  const info = computeConv2DInfo(inShape as Shape4, filterShape as Shape4, strides, dilations, pad, dimRoundingMode);
  const isPlain = info.dilationHeight === 1 && info.dilationWidth === 1;
  return isPlain && product(inShape) * product(filterShape) * product(info.outShape) > 0 ? info : undefined;
}

interface ConvAttributes {
  readonly strides: [number, number];
  readonly pad: 'valid' | 'same' | number;
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil';
  readonly dilations?: [number, number];
  readonly dataFormat?: string;
}

function convolve(heap: Heap, x: TensorInfo, filter: TensorInfo, info: ConvInfo, epilogue: Epilogue): TensorInfo {
  const out = heap.output(info.outShape);
  const { base, rows, terms } = windowsOf(heap, heap.address(x), info);
  const target = { table: linearTable(heap, rows.count, 4 * info.outChannels), ...epilogue };
  const multiply = planRows(heap, rows, terms, plainRight(heap, info.outChannels), target);
  multiply(base, heap.address(filter), heap.address(out));
  return out;
}
