/** Kernels that move no data: the stock Identity copies, and TensorFlow.js runs it for every tensor saved for a gradient. */
import type { Kernel, KernelTable } from '../kernel.js';

const identity: Kernel = ({ heap }, { x }) => heap.alias(x, x.shape);

export const shapeKernels: KernelTable = { Identity: identity };
