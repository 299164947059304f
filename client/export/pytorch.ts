/**
 * A model's tensors as PyTorch has them: Linear as [out, in], Conv2d as [out, in, height, width], and names that
 * `load_state_dict` knows if the modules are called like our layers.
 */
import type { HostTensors } from '../../shared/tensors/params.js';
import { permute } from '../../shared/tensors/start-model.js';

/** By rank, our axes in PyTorch's order. */
const KERNEL_AXES: Readonly<Record<number, readonly number[]>> = { 2: [1, 0], 4: [3, 2, 0, 1] };
/** The last word of a name, here and there. */
const WORDS: Readonly<Record<string, string>> = { kernel: 'weight', table: 'weight', gain: 'weight', shift: 'bias' };

/** A tensor called `layer/kernel` is turned; all are renamed, `layer/kernel` to `layer.weight`. Copies. */
export function pytorchTensors(tensors: HostTensors): HostTensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { shape, data }]) => {
      const words = name.split('/');
      const last = words[words.length - 1];
      const renamed = [...words.slice(0, -1), WORDS[last] ?? last].join('.');
      const axes = last === 'kernel' ? KERNEL_AXES[shape.length] : undefined;
      if (axes === undefined) return [renamed, { shape, data: data.slice() }];
      const turned = new Float32Array(data.length);
      permute(data, shape, axes, turned);
      return [renamed, { shape: axes.map((axis) => shape[axis]), data: turned }];
    }),
  );
}
