/** The first numbers of a linear layer as PyTorch draws them, for models that are set beside PyTorch's. */
import type { Rng } from '../../../shared/rng.js';
import type { HostTensors } from '../../../shared/tensors/params.js';

/** `weights` [inputs, 1] and `bias` [1], uniform between ±1/√inputs (torch.nn.Linear, `reset_parameters`). */
export function linearUnit(rng: Rng, inputs: number): HostTensors {
  const bound = 1 / Math.sqrt(inputs);
  const draw = (label: string, count: number) => {
    const own = rng.split(label);
    return Float32Array.from({ length: count }, () => bound * (2 * own.uniform() - 1));
  };
  return {
    weights: { shape: [inputs, 1], data: draw('weights', inputs) },
    bias: { shape: [1], data: draw('bias', 1) },
  };
}
