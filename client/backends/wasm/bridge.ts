/**
 * Runs a kernel of the plain JavaScript back end on data of another one: correct and slow, for what is rare enough not to
 * deserve a kernel of its own, so that nothing is missing. That back end is loaded on first use.
 */
import { createRequire } from 'node:module';
import type { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu/dist/backend_cpu.js';
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import type { NamedAttrMap, NamedTensorInfoMap, TensorInfo } from '@tensorflow/tfjs-core';

const require = createRequire(import.meta.url);

/**
 * Runs the kernel `name` of the back end cpu on copies of the inputs; the caller owns what it returns, tensors of `backend`.
 * @throws what that kernel throws
 */
export function runOnCpu(
  tf: typeof import('@tensorflow/tfjs-core'),
  backend: BackendWasm,
  name: string,
  inputs: NamedTensorInfoMap,
  attrs: NamedAttrMap,
): TensorInfo | TensorInfo[] {
  require('@tensorflow/tfjs-backend-cpu'); // registers itself with the same tfjs-core
  const cpu = tf.findBackend('cpu') as MathBackendCPU;
  const kernel = tf.getKernel(name, 'cpu');
  const copies: [string, TensorInfo][] = Object.entries(inputs)
    .filter((entry): entry is [string, TensorInfo] => entry[1] != null)
    .map(([key, { dataId, shape, dtype }]) => [key, cpu.makeTensorInfo(shape, dtype, backend.readSync(dataId))]);
  // Einsum and the like hand their inputs over as a list.
  const named = Object.fromEntries(copies);
  const listed = copies.map(([, copy]) => copy) as unknown as NamedTensorInfoMap;
  const result = kernel.kernelFunc({ inputs: Array.isArray(inputs) ? listed : named, backend: cpu, attrs });
  const outputs = (Array.isArray(result) ? result : [result]).map(({ dataId, shape, dtype }) => {
    const moved = backend.makeOutput(shape, dtype, undefined, cpu.readSync(dataId));
    cpu.disposeData(dataId);
    return moved;
  });
  for (const [, copy] of copies) cpu.disposeData(copy.dataId);
  return Array.isArray(result) ? outputs : outputs[0];
}
