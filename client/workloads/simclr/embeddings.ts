/** Where images and clients lie in the space that was learned: what the pictures show. */
import tf = require('@tensorflow/tfjs-core');

import { FlError } from '../../../shared/errors.js';
import type { SumMetrics } from '../../../shared/run/metrics.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import type { ImageSet } from '../../data/images.js';
import { uploadTensors } from '../../training/evaluate.js';
import { imageTensor, range } from '../parts/image-tensors.js';
import { featuresOf, PLAIN } from './loss.js';
import { embedded } from './probes.js';

const CHUNK = 200;

/** Embeddings of all images of the set, as seen from the middle of the bank: [count · width]. Leaves no tensor behind. */
export async function embeddings(
  shared: HostTensors,
  bank: ImageSet,
  set: ImageSet,
  width: number,
): Promise<Float32Array> {
  const out = new Float32Array(set.count * width);
  const params = uploadTensors(shared);
  const encode = (from: ImageSet, indices: Int32Array) => featuresOf(params, imageTensor(from, indices, PLAIN));
  const middle = tf.tidy(() => encode(bank, range(0, bank.count)));
  try {
    for (let start = 0; start < set.count; start += CHUNK) {
      const part = tf.tidy(() => {
        const features = encode(set, range(start, Math.min(set.count, start + CHUNK)));
        return embedded(features, { features: middle });
      });
      out.set(await part.data(), start * width);
      part.dispose();
    }
    return out;
  } finally {
    tf.dispose([params, middle]);
  }
}

/** Each client's mean embedding; under secure aggregation nobody knows them, and the map does without. */
export function centresOf(perClient: () => Readonly<Record<string, SumMetrics>>): Record<string, number[]> {
  try {
    const known = Object.entries(perClient()).filter(([, { embedding }]) => embedding?.count > 0);
    return Object.fromEntries(
      known.map(([client, { embedding }]) => [client, embedding.sum.map((sum) => sum / embedding.count)]),
    );
  } catch (thrown) {
    if (FlError.from(thrown).code === 'failed-precondition') return {};
    throw thrown;
  }
}
