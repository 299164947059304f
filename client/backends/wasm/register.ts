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
import { depthwiseKernels } from './kernels/depthwise.js';
import { elementwiseKernels } from './kernels/elementwise.js';
import { gatherKernels } from './kernels/gather.js';
import { matmulKernels } from './kernels/matmul.js';
import { poolKernels } from './kernels/pool.js';
import { reduceKernels } from './kernels/reduce.js';
import { shapeKernels } from './kernels/shape.js';

type Tf = typeof import('@tensorflow/tfjs-core');

const OURS: KernelTable = {
  ...matmulKernels,
  ...convKernels,
  ...depthwiseKernels,
  ...poolKernels,
  ...gatherKernels,
  ...reduceKernels,
  ...elementwiseKernels,
  ...shapeKernels,
};

/** Neither here nor in the package, and rare: computed by the plain JavaScript back end. */
const ON_CPU = ['Einsum', 'RaggedGather', 'RaggedRange', 'RaggedTensorToTensor', 'StaticRegexReplace', 'Draw'];
/** The package cannot store complex numbers. */
const COMPLEX = ['Complex', 'ComplexAbs', 'Real', 'Imag', 'FFT', 'IFFT'];

/** What the package registered under the names that ours replace, kept from the first registration. */
const stockKernels = new Map<string, KernelFunc>();
const prepared = new WeakSet<BackendWasm>();

/** Registers everything for an initialised back end; does nothing if that was done before. */
export function registerWasmKernels(tf: Tf, backend: BackendWasm): void {
  if (prepared.has(backend)) return;
  prepared.add(backend);
  const heap = new Heap(backend);
  const onCpu: Kernel = (context, inputs, attrs) => context.onCpu(inputs, attrs);
  const unsupported: Kernel = () => {
    throw new FlError(
      'failed-precondition',
      'complex numbers: expected back end cpu, got wasm, which cannot store them',
    );
  };
  const all: KernelTable = {
    ...OURS,
    ...Object.fromEntries(ON_CPU.map((name) => [name, onCpu])),
    ...Object.fromEntries(COMPLEX.map((name) => [name, unsupported])),
  };
  for (const [name, kernel] of Object.entries(all)) {
    const registered = tf.getKernel(name, 'wasm');
    if (registered) tf.unregisterKernel(name, 'wasm');
    if (registered && !stockKernels.has(name)) stockKernels.set(name, registered.kernelFunc);
    const context = contextOf(tf, backend, heap, name, stockKernels.get(name));
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
