/** What a model says of examples: its forward pass, a hundred at a time, as numbers. */
import tf = require('@tensorflow/tfjs-core');

import { FlError, invalidArgument } from '../../shared/errors.js';
import type { Hyper } from '../../shared/run/spec.js';
import type { HostTensors } from '../../shared/tensors/params.js';
import { uploadTensors } from '../training/evaluate.js';
import type { Site } from '../training/task.js';
import type { Prediction, TensorMap, Workload } from '../workload.js';
import { type InputRows, widthOf } from './inputs.js';

const BATCH_SIZE = 100;

/** Outputs of some examples by name; `shape` is one example's, `values` has an example after the other. */
export interface Predicted {
  /** The number of the first of them, from 0. */
  readonly first: number;
  readonly count: number;
  readonly outputs: Readonly<Record<string, { readonly shape: readonly number[]; readonly values: ArrayLike<number> }>>;
}

/** Where inputs come from: how many examples there are, and the inputs of some of them, for the caller's tidy. */
export interface InputSource {
  readonly count: number;
  inputs(from: number, to: number): TensorMap;
}

/** The workload's way to predict. @throws FlError failed-precondition: it brings none */
export function predictionOf(workload: Workload): Prediction {
  if (workload.predict !== undefined) return workload.predict;
  const { name } = workload.manifest;
  const next =
    'next: add predict: { inputs, outputs, forward } to it (docs/workloads.md), or export --format safetensors';
  throw new FlError('failed-precondition', `workload ${name}: expected one that brings predict, got none; ${next}`);
}

/** The test examples of a site's data. */
export function inputsOfSite({ workload, data, shard }: Site, hyper: Hyper): InputSource {
  const predict = predictionOf(workload);
  const all = shard('iid', undefined);
  const names = Object.keys(predict.inputs(hyper));
  const batchOf = predict.batch ?? workload.batch;
  return {
    count: all.test.length,
    inputs(from, to) {
      const batch = batchOf(data, all.test.slice(from, to), { hyper, shard: all, split: 'test' });
      const missing = names.find((name) => batch[name] === undefined);
      if (missing === undefined) return Object.fromEntries(names.map((name) => [name, batch[name]]));
      const expected = `a tensor ${missing}, which predict.inputs names`;
      throw invalidArgument(predict.batch ? 'predict.batch' : 'batch', expected, Object.keys(batch).join(', '));
    },
  };
}

/** The examples of a file. */
export function inputsOfRows({ count, values }: InputRows, predict: Prediction, hyper: Hyper): InputSource {
  const specs = Object.entries(predict.inputs(hyper));
  return {
    count,
    inputs: (from, to) =>
      Object.fromEntries(
        specs.map(([name, spec]) => {
          const rows = values[name].subarray(from * widthOf(spec), to * widthOf(spec));
          return [name, tf.tensor(rows, [to - from, ...spec.shape], spec.dtype ?? 'float32')];
        }),
      ),
  };
}

/** In the order of the source. Leaves no tensor behind. */
export async function* predicted(
  predict: Prediction,
  shared: HostTensors,
  source: InputSource,
  hyper: Hyper,
): AsyncGenerator<Predicted> {
  const params = uploadTensors(shared);
  try {
    for (let first = 0; first < source.count; first += BATCH_SIZE) {
      const to = Math.min(source.count, first + BATCH_SIZE);
      const made = tf.tidy(() => ({ ...predict.forward(params, source.inputs(first, to), hyper) }));
      const outputs: Record<string, Predicted['outputs'][string]> = {};
      for (const [name, tensor] of Object.entries(made)) {
        if (tensor.shape[0] !== to - first) {
          throw invalidArgument(
            `predict.forward: ${name}`,
            `[${to - first}, ...], a row an example`,
            `[${tensor.shape}]`,
          );
        }
        outputs[name] = { shape: tensor.shape.slice(1), values: await tensor.data() };
      }
      tf.dispose(made);
      yield { first, count: to - first, outputs };
    }
  } finally {
    tf.dispose(params);
  }
}
