/**
 * Registers our kernels over and beside those of tfjs-backend-wasm, which by itself cannot train: it lacks the gradients
 * of convolution and gather, and multiplies transposed matrices an order of magnitude slower than plain ones.
 */
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import type { KernelFunc, NamedAttrMap, NamedTensorInfoMap, TensorInfo } from '@tensorflow/tfjs-core';
import { FlError } from '../../../shared/errors.js';
import { runOnCpu } from './bridge.js';
import { Heap } from './heap.js';
import type { Context, Inputs, Kernel, KernelTable } from './kernel.js';
import { convKernels } from './kernels/conv.js';
import { matmulKernels } from './kernels/matmul.js';
import { segmentKernels } from './kernels/segment.js';
import { shapeKernels } from './kernels/shape.js';

type Tf = typeof import('@tensorflow/tfjs-core');

const OURS: KernelTable = { ...matmulKernels, ...convKernels, ...segmentKernels, ...shapeKernels };

/** Call once, when `backend` is initialised. */
export function registerWasmKernels(tf: Tf, backend: BackendWasm): void {
  const heap = new Heap(backend);
  for (const [name, kernel] of Object.entries(OURS)) {
    const stock = tf.getKernel(name, 'wasm');
    if (stock) tf.unregisterKernel(name, 'wasm');
    const context = contextOf(tf, backend, heap, name, stock?.kernelFunc);
    tf.registerKernel({ kernelName: name, backendName: 'wasm', kernelFunc: asKernelFunc(context, kernel) });
  }
}

function asKernelFunc(context: Context, kernel: Kernel): KernelFunc {
  return ({ inputs, attrs }) => {
    try {
      return kernel(context, inputs as Inputs, attrs ?? {});
    } finally {
      context.heap.freeScratch();
    }
  };
}

function contextOf(tf: Tf, backend: BackendWasm, heap: Heap, name: string, stock: KernelFunc | undefined): Context {
  return {
    tf,
    heap,
    run: (other, inputs, attrs) => {
      const kernel = tf.getKernel(other, 'wasm');
      return kernel.kernelFunc({ inputs, backend, attrs: attrs ?? {} }) as TensorInfo;
    },
    stock: (inputs: NamedTensorInfoMap, attrs: NamedAttrMap) => {
      if (!stock) throw new FlError('internal', `${name}: tfjs-backend-wasm has no such kernel`);
      return stock({ inputs, backend, attrs });
    },
    onCpu: (inputs, attrs) => runOnCpu(tf, backend, name, inputs, attrs),
  };
}
