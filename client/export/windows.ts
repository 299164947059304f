/** Windows that move over images, and the axes of a reduction: what kernels leave to be worked out, as numbers. */
import tf = require('@tensorflow/tfjs-core');

import { type Graph, type GraphNode, type GraphValue, notExportable } from './graph.js';

/** How a window moves over height and width; a list has a number for each, `pads` [before, after] each. */
export interface Moves {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly (readonly [number, number])[];
}

/**
 * Of a window of `size` [height, width] over [batch, height, width, channels]. The padding behind follows from the output's
 * size, for with a number as padding TensorFlow.js counts both sides by the window's height.
 * @throws FlError failed-precondition: images with channels first, or sizes that are rounded up
 */
export function movesOf({ kernel, inputs, output, attrs }: GraphNode, values: Graph['values'], size: number[]): Moves {
  const { pad, dimRoundingMode = 'floor', dataFormat = 'NHWC' } = attrs;
  const isKnown = pad === 'same' || pad === 'valid' || typeof pad === 'number';
  if (!isKnown || dimRoundingMode !== 'floor' || dataFormat !== 'NHWC') {
    throw notExportable(`${kernel} padded 'same', 'valid' or by a number, NHWC`, JSON.stringify(attrs));
  }
  const [strides, dilations] = [pair(attrs.strides ?? 1), pair(attrs.dilations ?? 1)];
  const pads = [0, 1].map((axis) => {
    const [inside, outside] = [inputs.x, output].map((name) => (values.get(name) as GraphValue).shape[axis + 1]);
    const covered = (outside - 1) * strides[axis] + (size[axis] - 1) * dilations[axis] + 1;
    const missing = Math.max(0, covered - inside);
    const before = typeof pad === 'number' ? pad : Math.floor(missing / 2); // of 'same' the odd pixel is behind
    return [before, Math.max(0, covered - inside - before)] as const;
  });
  return { strides, dilations, pads };
}

/** [height, width] of a window, that TensorFlow.js writes as one number if they are equal. */
export function pair(value: unknown): number[] {
  return (Array.isArray(value) ? value : [value, value]) as number[];
}

/** The axes that a reduction goes over, from 0; absent in the kernel: all. */
export function axesOf({ attrs, inputs }: GraphNode, values: Graph['values']): number[] {
  const { shape } = values.get(inputs.x) as GraphValue;
  const given = attrs.reductionIndices ?? attrs.axis ?? shape.map((_, axis) => axis);
  return tf.util.parseAxisParam(given as number[], [...shape]);
}
