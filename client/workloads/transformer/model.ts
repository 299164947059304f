/**
 * A decoder of the transformer (Vaswani et al. 2017, arXiv:1706.03762) as GPT-2 arranges it: normalisation ahead of each
 * part, causal self-attention, a feed-forward network of four times the width with GELU; RMS norm in place of layer norm,
 * no dropout, and the paper's fixed sinusoids for the positions.
 *
 * The shapes in the comments: [batch, time, width], `heads` heads of width / heads each.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Rng } from '../../../shared/rng.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import { gelu, dense as product } from '../../backends/layers.js';
import type { TensorMap } from '../../workload.js';
import { dense, drawnLayer, embedding, rmsNorm } from '../parts/layers.js';

interface TransformerSize {
  readonly vocabulary: number;
  readonly width: number;
  readonly layers: number;
  /** Rank of the low-rank factors beside each kernel of the blocks; 0: none. */
  readonly loraRank: number;
}

/** Of low-rank factors: their product counts this / rank (Hu et al. 2021, arXiv:2106.09685, section 4.1). */
const LORA_ALPHA = 16;
/** Added to the scores of what lies ahead: finite, so that no back end makes NaN of it. */
const MASKED = -1e9;

/** Kernels: normal with stdDev 1 / √fan-in, those that end in the residual stream divided by √(2 · layers), as in GPT-2. */
export function initTransformer(rng: Rng, { vocabulary, width, layers, loraRank }: TransformerSize): HostTensors {
  const intoResidual = 1 / Math.sqrt(2 * layers);
  const tensors: HostTensors = {
    'characters/table': { shape: [vocabulary, width], data: normals(rng.split('characters'), vocabulary * width, 0.5) },
  };
  for (let layer = 1; layer <= layers; layer++) {
    const linear = (name: string, inputs: number, outputs: number, scale = 1) =>
      Object.assign(tensors, linearLayer(rng, `block${layer}/${name}`, { inputs, outputs, scale, loraRank }));
    Object.assign(tensors, ones(`block${layer}/norm1/gain`, width));
    for (const name of ['query', 'key', 'value']) linear(name, width, width);
    linear('out', width, width, intoResidual);
    Object.assign(tensors, ones(`block${layer}/norm2/gain`, width));
    linear('up', width, 4 * width);
    linear('down', 4 * width, width, intoResidual);
  }
  Object.assign(tensors, ones('norm/gain', width));
  // Small, so that the first answer is nearly uniform and the first loss nearly ln(vocabulary).
  return { ...tensors, ...linearLayer(rng, 'logits', { inputs: width, outputs: vocabulary, scale: 0.1, loraRank: 0 }) };
}

/** Which tensors a low-rank run trains: the second factors alone (FFA-LoRA, Sun et al. 2024, arXiv:2403.12313). */
export function isLoraFactor(name: string): boolean {
  return name.endsWith('/lora-b');
}

function linearLayer(
  rng: Rng,
  name: string,
  { inputs, outputs, scale, loraRank }: { inputs: number; outputs: number; scale: number; loraRank: number },
): HostTensors {
  const stdDev = scale / Math.sqrt(inputs);
  const tensors = drawnLayer(rng, name, [inputs, outputs], (normal) => stdDev * normal);
  if (loraRank === 0) return tensors;
  const first = normals(rng.split(`${name}/lora-a`), inputs * loraRank, 1 / Math.sqrt(inputs));
  return {
    ...tensors,
    [`${name}/lora-a`]: { shape: [inputs, loraRank], data: first },
    [`${name}/lora-b`]: { shape: [loraRank, outputs], data: new Float32Array(loraRank * outputs) },
  };
}

function normals(rng: Rng, count: number, stdDev: number): Float32Array {
  return Float32Array.from({ length: count }, () => stdDev * rng.normal());
}

function ones(name: string, size: number): HostTensors {
  return { [name]: { shape: [size], data: new Float32Array(size).fill(1) } };
}

/** What a forward pass needs beside the characters; none of it is trained. */
export interface Constants {
  /** [time, width] */
  readonly positions: tf.Tensor;
  /** [heads, time, time]: 0 where row may look at column, else a large negative number. */
  readonly mask: tf.Tensor;
}

/** sin and cos of position / 10000^(2i / width), the sines first (Vaswani et al. 2017, section 3.5): [time · width]. */
export function sinusoids(time: number, width: number): Float32Array {
  const half = width / 2;
  return Float32Array.from({ length: time * width }, (_, at) => {
    const [position, i] = [Math.floor(at / width), at % width];
    const angle = position / 10_000 ** ((i % half) / half);
    return i < half ? Math.sin(angle) : Math.cos(angle);
  });
}

/** Nobody looks ahead: [heads · time · time], equal for all heads. */
export function causalMask(heads: number, time: number): Float32Array {
  return Float32Array.from({ length: heads * time * time }, (_, at) =>
    at % time > Math.floor(at / time) % time ? MASKED : 0,
  );
}

/**
 * Characters [batch, time] -> logits [batch · time, vocabulary]. `onAttention` sees each layer's weights
 * [batch, heads, time, time], whose rows sum to 1.
 */
export function transformerLogits(
  params: TensorMap,
  characters: tf.Tensor,
  { positions, mask }: Constants,
  onAttention?: (weights: tf.Tensor) => void,
): tf.Tensor2D {
  const [batch, time] = characters.shape;
  const width = positions.shape[1] as number;
  let x = tf.reshape(tf.add(embedding(params, 'characters', characters), positions), [batch * time, width]);
  for (let layer = 1; params[`block${layer}/norm1/gain`] !== undefined; layer++) {
    const name = `block${layer}`;
    const attended = attention(params, name, rmsNorm(params, `${name}/norm1`, x), mask, onAttention);
    x = tf.add(x, linear(params, `${name}/out`, attended));
    const hidden = gelu(tf, linear(params, `${name}/up`, rmsNorm(params, `${name}/norm2`, x)));
    x = tf.add(x, linear(params, `${name}/down`, hidden));
  }
  return linear(params, 'logits', rmsNorm(params, 'norm', x));
}

/** softmax(q kᵀ / √(width / heads) + mask) v, [batch · time, width] -> the same shape. */
function attention(
  params: TensorMap,
  name: string,
  x: tf.Tensor,
  mask: tf.Tensor,
  onAttention: ((weights: tf.Tensor) => void) | undefined,
): tf.Tensor {
  const [heads, time] = mask.shape;
  const [rows, width] = x.shape as [number, number];
  const batch = rows / time;
  const split = (part: string) =>
    tf.transpose(tf.reshape(linear(params, `${name}/${part}`, x), [batch, time, heads, width / heads]), [0, 2, 1, 3]);
  const scores = tf.matMul(split('query'), split('key'), false, true);
  const weights = tf.softmax(tf.add(tf.mul(scores, Math.sqrt(heads / width)), mask));
  onAttention?.(weights);
  return tf.reshape(tf.transpose(tf.matMul(weights, split('value')), [0, 2, 1, 3]), [rows, width]);
}

/** x · kernel + bias, and where there are low-rank factors, + alpha / rank · x · A · B. */
function linear(params: TensorMap, name: string, x: tf.Tensor): tf.Tensor2D {
  const plain = dense(params, name, x as tf.Tensor2D);
  const [first, second] = [params[`${name}/lora-a`], params[`${name}/lora-b`]];
  if (first === undefined || second === undefined) return plain;
  const correction = product(tf, product(tf, x, first), second);
  return tf.add(plain, tf.mul(correction, LORA_ALPHA / second.shape[0]));
}
