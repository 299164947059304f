/** What a simulation that nobody disturbs makes of a run: round by round, from the model that the run had before it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTrainerPool } from '../../client/training/pool.js';
import type { Task, TaskOptions, TaskRunner } from '../../client/training/task.js';
import { loadWorkload } from '../../client/workloads/index.js';
import type { Params } from '../../shared/tensors/params.js';
import { decode } from '../../shared/tensors/safetensors.js';
import { checkConfig, resolve } from '../../simulations/config/resolve.js';
import { simulate } from '../../simulations/simulate.js';
import { quantizationStep } from '../support/quantization.js';

/** One round of a run. */
export interface UndisturbedRound {
  /** Of the run, as its file says; it is secure. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly clients: number;
  readonly round: number;
  /** What the round began with; absent: the workload's own first model. */
  readonly before?: Params;
  /** Clients that are not in this round: as one that was revoked. */
  readonly without: readonly string[];
}

/**
 * The model that the round must end in, and how far each value of a real one may be from it: each of two secure sums is
 * within a step of the plain mean, and both are added to the first model, in floats below 4.
 */
export async function undisturbed({ config, clients, round, before, without }: UndisturbedRound) {
  const all = { clients, cohort: clients, 'min-clients': clients };
  const given = checkConfig({ ...config, ...all, rounds: 1, 'secure-aggregation': true }, 'run.yaml');
  const workload = await loadWorkload(given.workload);
  const resolved = resolve(given, workload);
  const pool = await createTrainerPool({ workers: 1 });
  const directory = await mkdtemp(join(tmpdir(), 'starling-undisturbed-'));
  /** What a client draws follows from the number of the round. */
  const run = (task: Task, options?: TaskOptions) => {
    if (task.kind === 'train' && without.includes(task.client)) throw new Error(`${task.client} is not in this round`);
    return pool.run({ ...task, round }, options);
  };
  try {
    const { report } = await simulate({
      ...resolved,
      model: before ?? resolved.model,
      workload,
      trainer: { run: run as TaskRunner['run'] },
      ...{ backend: pool.backend.name, workers: 1, transport: 'memory', dropout: 0, baselines: 'none' },
      directory,
    });
    const file = await readFile(join(directory, 'models', `${report.modelSha256}.safetensors`));
    const step = quantizationStep(resolved.spec.work.secure!, resolved.spec.engine.cohort);
    return { report, values: decode(file).params.values, bound: 2 * step + 2 ** -21 };
  } finally {
    await pool.close();
    await rm(directory, { recursive: true, force: true });
  }
}
