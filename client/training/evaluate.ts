/**
 * Evaluation of one model on one client's share of a split: the workload's metrics, batch by batch, added up in float64.
 *
 * Only sums and counts come out, so that the metrics of many clients add up to those of their pooled data.
 */
import { setImmediate } from 'node:timers/promises';

import tf = require('@tensorflow/tfjs-core');

import { FlError } from '../../shared/errors.js';
import { addMetrics, type SumMetrics } from '../../shared/run/metrics.js';
import type { Hyper } from '../../shared/run/spec.js';
import { addExample, noTests, type TestNoise } from '../../shared/run/test-noise.js';
import type { HostTensors } from '../../shared/tensors/params.js';
import type { JudgedSplit, Shard, Workload } from '../workload.js';
import { batchOf } from './batch.js';
import { type Progress, throwIfCancelled } from './local-sgd.js';

/** Large enough to keep a matrix product busy, small enough for the activations of any model of the course. */
const BATCH_SIZE = 200;

interface EvaluateInput<Data> {
  readonly workload: Workload<Data>;
  readonly data: Data;
  readonly hyper: Hyper;
  readonly shard: Shard;
  readonly split: JudgedSplit;
  readonly shared: HostTensors;
  readonly privateTensors: HostTensors;
  /** As in training: a sum that is not finite is told after the last batch, and not before. */
  readonly toTheEnd?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: Progress;
}

/**
 * Sums over all examples of the shard in `split`; empty when it has none. Leaves no tensor behind.
 * @throws FlError failed-precondition: a sum is not finite · aborted: the signal fired
 */
export async function evaluate<Data>(input: EvaluateInput<Data>): Promise<SumMetrics> {
  const indices = input.shard[input.split] ?? new Int32Array(0);
  const params = uploadTensors({ ...input.shared, ...input.privateTensors });
  try {
    let total: SumMetrics = {};
    let diverged: string | undefined;
    const steps = Math.ceil(indices.length / BATCH_SIZE);
    for (let step = 0; step < steps; step++) {
      throwIfCancelled(input.signal);
      const batch = indices.slice(step * BATCH_SIZE, (step + 1) * BATCH_SIZE);
      const measured = await metricsOf(input, params, batch);
      diverged ??= notFinite(measured, input.split);
      if (diverged !== undefined && !input.toTheEnd) break;
      total = addMetrics(total, measured);
      input.onProgress?.(step + 1, steps);
      await setImmediate();
    }
    if (diverged !== undefined) throw new FlError('failed-precondition', diverged);
    return total;
  } finally {
    tf.dispose(params);
  }
}

/**
 * The same for figures that are noised: the sums of {@link addExample}, one example at a time, which sees no other of the
 * shard; zeros when there is none. What is not finite counts as 0, and every example is looked at. No progress is told: it
 * would say how many examples there are.
 * @throws FlError aborted: the signal fired
 */
export async function evaluateEach<Data>(input: EvaluateInput<Data>, tests: TestNoise): Promise<number[]> {
  const indices = input.shard[input.split] ?? new Int32Array(0);
  const params = uploadTensors({ ...input.shared, ...input.privateTensors });
  const total = noTests(tests);
  try {
    for (let at = 0; at < indices.length; at++) {
      throwIfCancelled(input.signal);
      const one = indices.slice(at, at + 1);
      const shard = { ...input.shard, train: new Int32Array(0), test: new Int32Array(0), [input.split]: one };
      addExample(total, tests, await metricsOf({ ...input, shard }, params, one));
      if (at % BATCH_SIZE === 0) await setImmediate();
    }
    return total;
  } finally {
    tf.dispose(params);
  }
}

/** Tensors of the current back end; the caller disposes of them. */
export function uploadTensors(tensors: HostTensors): Record<string, tf.Tensor> {
  const out: Record<string, tf.Tensor> = {};
  for (const [name, { shape, data }] of Object.entries(tensors)) out[name] = tf.tensor(data, [...shape]);
  return out;
}

async function metricsOf<Data>(
  { workload, data, hyper, shard, split }: EvaluateInput<Data>,
  params: Record<string, tf.Tensor>,
  indices: Int32Array,
): Promise<SumMetrics> {
  const metrics = tf.tidy(() =>
    Object.entries(workload.metrics(params, batchOf(workload, data, indices, { hyper, shard, split }))).map(
      ([name, { sum, count }]) => ({ name, sum, count }),
    ),
  );
  try {
    const out: Record<string, { sum: number[]; count: number }> = {};
    for (const { name, sum, count } of metrics) {
      out[name] = { sum: Array.from(await sum.data()), count };
    }
    return out;
  } finally {
    tf.dispose(metrics.map(({ sum }) => sum));
  }
}

function notFinite(metrics: SumMetrics, split: JudgedSplit): string | undefined {
  const name = Object.keys(metrics).find((key) => !metrics[key].sum.every(Number.isFinite));
  return name === undefined ? undefined : `metric "${name}" of the ${split} split is not finite`;
}
