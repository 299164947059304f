/**
 * Where a client's round begins when it keeps a model of its own: between that one and the global one, nearer to its own
 * the further the two are apart (FedEMA, Zhuang et al. 2022, arXiv:2204.04385, section 4.2).
 *
 *     start = μ · own + (1 − μ) · global,   μ = min(1, scale · |global − own|)
 *
 * with the L2 norm over all tensors together. `scale` is set in a client's second round so that μ is the weight asked for
 * there (the paper's autoscaler), and kept from then on.
 */
import type { HostTensors } from '../../../shared/tensors/params.js';

const PREFIX = 'previous/';
const SCALE = `${PREFIX}scale`;
/** Values of `scale` that are none: a client that has never trained, and one that has trained once. */
const NEVER = 0;
const ONCE = -1;

/** What a client keeps of its model, as private tensors; without a scale, of one that has never trained. */
export function memoryOf(model: HostTensors, scale = NEVER): HostTensors {
  const kept = Object.entries(model).map(([name, tensor]) => [`${PREFIX}${name}`, tensor] as const);
  return { ...Object.fromEntries(kept), [SCALE]: { shape: [1], data: Float32Array.of(scale) } };
}

/**
 * @param own holds the tensors of {@link memoryOf}, among others
 * @param weight μ in the client's second round; 0: always start from the global model
 * @returns what to train from, fresh tensors, and the scale to keep with what comes of it
 */
export function mergedStart(
  global: HostTensors,
  privateTensors: HostTensors,
  weight: number,
): { model: HostTensors; scale: number } {
  const [held] = privateTensors[SCALE].data;
  const share = held === NEVER || weight === 0 ? 0 : undefined;
  let squares = 0;
  for (const [name, { data }] of Object.entries(global)) {
    const previous = privateTensors[`${PREFIX}${name}`].data;
    for (let i = 0; i < data.length; i++) squares += (data[i] - previous[i]) ** 2;
  }
  const divergence = Math.sqrt(squares);
  const scale = share === 0 ? ONCE : held > 0 ? held : weight / Math.max(divergence, 1e-12);
  const mu = share ?? Math.min(1, scale * divergence);
  const model: HostTensors = {};
  for (const [name, { shape, data }] of Object.entries(global)) {
    const previous = privateTensors[`${PREFIX}${name}`].data;
    model[name] = { shape, data: data.map((value, i) => value + mu * (previous[i] - value)) };
  }
  return { model, scale };
}
