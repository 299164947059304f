/** The model of a run directory, with the workload that it belongs to: where the use of a model begins. */

import { join } from 'node:path';
import type { Workload } from '../client/workload.js';
import { isWorkloadPath, loadWorkload } from '../client/workloads/index.js';
import { openModels } from '../server/journal/models.js';
import { readRun } from '../server/run/directory.js';
import { modelMetadata } from '../server/run/model-metadata.js';
import { FlError, invalidArgument } from '../shared/errors.js';
import type { WorkSpec } from '../shared/run/spec.js';
import { type HostTensors, layoutOf } from '../shared/tensors/params.js';
import type { Metadata } from '../shared/tensors/safetensors.js';

/** The last model that the run has, ended or not. */
export interface TrainedModel {
  readonly run: string;
  readonly work: WorkSpec;
  readonly workload: Workload;
  readonly tensors: HostTensors;
  readonly modelSha256: string;
  readonly metadata: Metadata;
}

/**
 * @param workload a module, for a run of a workload that is not built in
 * @throws FlError invalid-argument: no run directory, or another workload's; whatever loading the workload throws
 */
export async function openTrainedModel(directory: string, workload?: string): Promise<TrainedModel> {
  const { spec, state, history } = await readRun(directory).catch((thrown) => {
    const { message } = FlError.from(thrown);
    throw new FlError('invalid-argument', `${directory}: expected a run directory, got none: ${message}`);
  });
  const { work } = spec;
  const { modelSha256, run } = state;
  const loaded = await loadWorkload(workload ?? work.workload).catch((thrown) => {
    const { code, message } = FlError.from(thrown);
    if (code !== 'not-found' || workload !== undefined) throw thrown;
    throw new FlError('invalid-argument', `${message}; next: give its module as --workload FILE`);
  });
  const { name } = loaded.manifest;
  if (name !== work.workload || (workload !== undefined && !isWorkloadPath(workload) && workload !== name)) {
    throw invalidArgument('workload', `the one of the run, ${work.workload}`, name);
  }
  const models = await openModels(join(directory, 'models'));
  const { params, metadata } = await models.load(modelSha256, { expect: layoutOf(work.model) });
  const tensors = Object.fromEntries(
    params.layout.map(({ name: key, shape, offset, size }) => [
      key,
      { shape, data: params.values.subarray(offset, offset + size) },
    ]),
  );
  const about = { ...modelMetadata(run, work, history.summaries.length), ...metadata };
  return { run, work, workload: loaded, tensors, modelSha256, metadata: about };
}
