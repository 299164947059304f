/**
 * Whether the data are at fault when numbers are not finite, and which example: a cell that is no number is mended at the
 * site, by nobody's learning rate. Which example it is, is told at the site alone, counted from 1 as the rows of a table are.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Hyper } from '../../shared/run/spec.js';
import type { JudgedSplit, Shard, Workload } from '../workload.js';
import { batchOf } from './batch.js';

/** Examples that are looked at together. */
const CHUNK = 200;

interface Examples<Data> {
  readonly workload: Workload<Data>;
  readonly data: Data;
  readonly hyper: Hyper;
  readonly shard: Shard;
}

/** The first example of a split whose input is not finite, in words; undefined: none is. Leaves no tensor behind. */
export async function inputFault<Data>(examples: Examples<Data>, split: JudgedSplit): Promise<string | undefined> {
  const indices = examples.shard[split] ?? new Int32Array(0);
  for (let at = 0; at < indices.length; at += CHUNK) {
    const fault = await faultIn(examples, split, indices.slice(at, at + CHUNK));
    if (fault !== undefined) return fault;
  }
  return undefined;
}

async function faultIn<Data>(
  { workload, data, hyper, shard }: Examples<Data>,
  split: JudgedSplit,
  indices: Int32Array,
): Promise<string | undefined> {
  const batch = tf.tidy(() => batchOf(workload, data, indices, { hyper, shard, split }));
  try {
    for (const [name, tensor] of Object.entries(batch)) {
      if (tensor.dtype !== 'float32' || tensor.shape[0] !== indices.length) continue;
      const values = await tensor.data();
      const at = values.findIndex((value) => !Number.isFinite(value));
      if (at < 0) continue;
      const example = 1 + indices[Math.floor(at / (values.length / indices.length))];
      return `an input of ${split === 'train' ? '' : `${split} `}example ${example} is ${values[at]} (${name})`;
    }
    return undefined;
  } finally {
    tf.dispose(batch);
  }
}

/**
 * Of a batch that has no finite loss: an example that has none by itself, while others have. @param lossOf of one example,
 * by parameters that no local step has moved
 */
export async function lossFault(
  indices: Int32Array,
  lossOf: (one: Int32Array) => Promise<number>,
): Promise<string | undefined> {
  let culprit: number | undefined;
  let others = 0;
  for (let i = 0; i < indices.length; i++) {
    if (Number.isFinite(await lossOf(indices.slice(i, i + 1)))) others++;
    else culprit ??= indices[i];
    if (culprit !== undefined && others > 0) {
      return `the loss of example ${1 + culprit} is not finite before any step, while those of others are: look at its values`;
    }
  }
  return undefined;
}
