/** Faults of TensorFlow.js 4.22 that are put right where the kernels are registered. */
import type { KernelBackend, KernelConfig, KernelFunc, TensorInfo } from '@tensorflow/tfjs-core';
import type { Tf } from './gradients/gradient.js';

const repaired = new WeakSet<KernelConfig>();

/** Call after each start of a back end; what is repaired already is left alone. */
export function repairKernels(tf: Tf, backendName: string): void {
  for (const name of ['Cumsum', 'Cumprod']) {
    replace(tf, backendName, name, (stock) => scan(tf, backendName === 'webgpu' ? reversible(tf, stock) : stock));
  }
  if (backendName === 'wasm') replace(tf, backendName, 'OneHot', (stock) => oneHot(tf, stock));
  if (backendName === 'cpu') replace(tf, backendName, 'ResizeBilinearGrad', resizeBilinearGradient);
}

function replace(tf: Tf, backendName: string, kernelName: string, repair: (stock: KernelFunc) => KernelFunc): void {
  const config = tf.getKernel(kernelName, backendName);
  if (!config || repaired.has(config)) return;
  const fixed = { ...config, kernelFunc: repair(config.kernelFunc) };
  repaired.add(fixed);
  tf.unregisterKernel(kernelName, backendName);
  tf.registerKernel(fixed);
}

/**
 * A running sum or product along a negative axis: the operation hands the axis on as it is and the kernels take it for a
 * permutation of more axes than there are, so the result is empty on cpu and memory is overwritten on wasm.
 */
function scan(tf: Tf, stock: KernelFunc): KernelFunc {
  return ({ inputs, backend, attrs = {} }) => {
    const [axis] = tf.util.parseAxisParam(attrs.axis as number, (inputs.x as TensorInfo).shape);
    return stock({ inputs, backend, attrs: { ...attrs, axis } });
  };
}

/** On wasm a result of float32 holds the bits of whole numbers, all of them next to nothing: as whole numbers, then cast. */
function oneHot(tf: Tf, stock: KernelFunc): KernelFunc {
  return ({ inputs, backend, attrs = {} }) => {
    if (attrs.dtype !== 'float32') return stock({ inputs, backend, attrs });
    const x = stock({ inputs, backend, attrs: { ...attrs, dtype: 'int32' } }) as TensorInfo;
    const cast = tf.getKernel('Cast', 'wasm').kernelFunc;
    const out = cast({ inputs: { x }, backend, attrs: { dtype: 'float32' } });
    (backend as KernelBackend).disposeData(x.dataId);
    return out;
  };
}

/** On cpu the result is right but labelled [batch, width, height, channels]. */
function resizeBilinearGradient(stock: KernelFunc): KernelFunc {
  return (call) => ({ ...(stock(call) as TensorInfo), shape: (call.inputs.images as TensorInfo).shape });
}

/** On webgpu a reversed scan is wrong for more than three elements: reverse, scan, reverse back. */
function reversible(tf: Tf, stock: KernelFunc): KernelFunc {
  return (call) => {
    const { axis, reverse } = call.attrs as { axis: number; reverse: boolean };
    if (!reverse) return stock(call);
    const backend = call.backend as KernelBackend;
    const flip = (x: TensorInfo) =>
      tf.getKernel('Reverse', 'webgpu').kernelFunc({ inputs: { x }, backend, attrs: { dims: [axis] } }) as TensorInfo;
    const flipped = flip(call.inputs.x as TensorInfo);
    const scanned = stock({ inputs: { x: flipped }, backend, attrs: { ...call.attrs, reverse: false } }) as TensorInfo;
    const out = flip(scanned);
    for (const { dataId } of [flipped, scanned]) backend.disposeData(dataId);
    return out;
  };
}
