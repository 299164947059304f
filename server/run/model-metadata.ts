/** What the file of a model says of itself. A model's hash is that of its parameters, so that it does not change with this. */
import type { WorkSpec } from '../../shared/run/spec.js';
import type { Metadata } from '../../shared/tensors/safetensors.js';
import { VERSION } from '../../shared/version.js';

/**
 * Of the model after `round` (0: the first), all of it text as safetensors has it; `hyper` is JSON. Models of two rounds that
 * are equal are one file, which says the earlier round. Nothing in it is secret: every client is told as much.
 */
export function modelMetadata(run: string, work: Pick<WorkSpec, 'workload' | 'hyper'>, round: number): Metadata {
  const hyper = JSON.stringify(work.hyper);
  return { workload: work.workload, hyper, run, round: `${round}`, version: VERSION };
}
