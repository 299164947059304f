/**
 * The spaces of a trained model over whole sets, on the host: the prototypes that a client sends, and what pictures show.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Hyper } from '../../../shared/run/spec.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import type { PairData } from '../../data/pairs.js';
import { uploadTensors } from '../../training/evaluate.js';
import type { Shard, Split } from '../../workload.js';
import { batchOf, presenceIn } from './batch.js';
import { answer, DIGITS, encode, MODALITIES, type Modality } from './model.js';

const CHUNK = 200;
const NOBODY: Shard = { train: new Int32Array(0), test: new Int32Array(0), index: 0, count: 1 };

/** Mean shared vector of each digit over these training examples, all of which have `m`; count 0: there are none. */
export async function prototypesOf(
  shared: HostTensors,
  m: Modality,
  { data, indices, hyper }: { data: PairData; indices: Int32Array; hyper: Hyper },
): Promise<{ readonly means: readonly Float32Array[]; readonly counts: readonly number[] }> {
  const counts = new Array<number>(DIGITS).fill(0);
  const width = shared[`prototypes/${m}-0`].shape[0];
  const sums = counts.map(() => new Float64Array(width));
  const [s] = await overChunks(indices, (chunk) => {
    const batch = batchOf(data, chunk, { hyper, split: 'train', shard: NOBODY });
    return [encode(uploadTensors(shared), batch)[m]!.s];
  });
  for (const [row, i] of indices.entries()) {
    const digit = data.train.labels[i];
    counts[digit]++;
    for (let k = 0; k < width; k++) sums[digit][k] += s[row * width + k];
  }
  return { means: sums.map((sum, digit) => Float32Array.from(sum, (x) => x / Math.max(1, counts[digit]))), counts };
}

/** The test set as the model sees it; vectors [count, width]. */
export interface EncodedTest {
  readonly width: number;
  readonly shared: Readonly<Record<Modality, Float32Array>>;
  readonly private: Readonly<Record<Modality, Float32Array>>;
  /** The answer to each example, from the modalities that its client has. */
  readonly said: Float32Array;
}

/** Where the model puts the test examples, and what it says of them. Leaves no tensor behind. */
export async function encodeTest(shared: HostTensors, data: PairData, hyper: Hyper): Promise<EncodedTest> {
  const indices = Int32Array.from({ length: data.test.count }, (_, i) => i);
  const split: Split = 'test';
  const [imageS, audioS, imageP, audioP, said] = await overChunks(indices, (chunk) => {
    const params = uploadTensors(shared);
    const batch = batchOf(data, chunk, { hyper, split, shard: NOBODY });
    const encodings = encode(params, batch);
    const answers = tf.cast(tf.argMax(answer(params, encodings, presenceIn(batch)), 1), 'float32');
    const of = (space: 's' | 'p') => MODALITIES.map((m) => encodings[m]![space]);
    return [...of('s'), ...of('p'), answers];
  });
  const width = shared['prototypes/image-0'].shape[0];
  return { width, shared: { image: imageS, audio: audioS }, private: { image: imageP, audio: audioP }, said };
}

/** The results of all chunks, each joined to one array; leaves no tensor behind. */
async function overChunks(
  indices: Int32Array,
  compute: (chunk: Int32Array) => readonly tf.Tensor[],
): Promise<Float32Array[]> {
  const parts: Float32Array[][] = [];
  for (let start = 0; start < indices.length; start += CHUNK) {
    const tensors = tf.tidy(() => [...compute(indices.subarray(start, start + CHUNK))]);
    for (const [k, tensor] of tensors.entries()) {
      parts[k] ??= [];
      parts[k].push(await tensor.data<'float32'>());
    }
    tf.dispose(tensors);
  }
  return parts.map((chunks) => Float32Array.from(chunks.flatMap((chunk) => [...chunk])));
}
