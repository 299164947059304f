/** What one of our kernels is: a function of the heap, the inputs and the attributes, registered with TensorFlow.js under a name. */
import type { KernelFunc, NamedAttrMap, NamedTensorInfoMap, TensorInfo } from '@tensorflow/tfjs-core';
import type { Heap } from './heap.js';

/** The surroundings of a kernel call. */
export interface Context {
  readonly heap: Heap;
  /** Runs another kernel of this back end; the caller owns what it returns. */
  run(name: string, inputs: NamedTensorInfoMap, attrs?: NamedAttrMap): TensorInfo;
  /** Runs the kernel that the package itself registered under the name that ours replaces. */
  stock(inputs: NamedTensorInfoMap, attrs: NamedAttrMap): TensorInfo | TensorInfo[];
  /** Runs the kernel in plain JavaScript, on copies: for rare data types. */
  onCpu(inputs: NamedTensorInfoMap, attrs: NamedAttrMap): TensorInfo | TensorInfo[];
  /** TensorFlow.js, for shape arithmetic. */
  readonly tf: typeof import('@tensorflow/tfjs-core');
}

/** Returns tensors that the caller owns; scratch space taken from the heap is freed for it. */
export type Kernel = (context: Context, inputs: Inputs, attrs: NamedAttrMap) => ReturnType<KernelFunc>;

/** Tensors by the names that TensorFlow.js gives a kernel's inputs. */
export type Inputs = Readonly<Record<string, TensorInfo>>;

/** Kernels by the name that TensorFlow.js gives them. */
export type KernelTable = Readonly<Record<string, Kernel>>;

/** Number of elements of a tensor of that shape; 1 for a scalar. */
export function product(shape: readonly number[]): number {
  return shape.reduce((all, size) => all * size, 1);
}
