/**
 * One thread of a trainer pool: it selects its back end once, keeps workloads and data, and computes one task at a time.
 */
import { workerData } from 'node:worker_threads';
import { serveTasks } from '../../shared/workers/serve.js';
import { type BackendName, selectBackend } from '../backends/index.js';
import { loadPlannedWorkload } from '../workloads/planned.js';
import {
  type CountTask,
  createTaskRunner,
  type EvaluateResult,
  type ExampleCounts,
  type Task,
  type TrainResult,
} from './task.js';

/** Given to a thread at its start. */
export interface TrainerSetup {
  readonly backend?: string;
  readonly dataDir?: string;
  /** Workloads that are no built-in ones: name in the plan -> file. */
  readonly workloadModules: Readonly<Record<string, string>>;
}

/** How far a task is. */
export interface Steps {
  readonly stepsDone: number;
  readonly stepsTotal: number;
}

/** A task, or the question how many examples there are. */
export type Job = Task | ({ readonly kind: 'count' } & CountTask);

/** How a job ended. */
export interface TaskEnd {
  readonly result: TrainResult | EvaluateResult | ExampleCounts;
  /** How far it was, if that has not been told. */
  readonly untold: Steps | undefined;
}

/** A model that takes 0.1 ms per step must not drown the pool in messages: each costs up to half a millisecond. */
const PROGRESS_INTERVAL_MS = 50;

const { backend, dataDir, workloadModules } = workerData as TrainerSetup;
const runner = createTaskRunner({ loadWorkload: (name) => loadPlannedWorkload(name, workloadModules), dataDir });

await serveTasks<Job, TaskEnd, Steps, { name: string; why: string }>({
  async start() {
    const { name, why } = await selectBackend(backend as BackendName | undefined);
    return { name, why };
  },
  async run(task, { signal, tell }) {
    if (task.kind === 'count') return { result: { result: await runner.count(task), untold: undefined }, transfer: [] };
    let toldMs = performance.now();
    let untold: Steps | undefined; // goes with the result
    const onProgress = (stepsDone: number, stepsTotal: number): void => {
      const nowMs = performance.now();
      untold = { stepsDone, stepsTotal };
      if (nowMs - toldMs < PROGRESS_INTERVAL_MS) return;
      toldMs = nowMs;
      tell(untold);
      untold = undefined;
    };
    const result = await runner.run(task, { signal, onProgress });
    return { result: { result, untold }, transfer: buffersOf(result) };
  },
});

/** What can be handed over instead of copied: each buffer once, and none that is shared. */
function buffersOf(result: TrainResult | EvaluateResult): ArrayBuffer[] {
  if (result.kind === 'evaluate') return [];
  const arrays = [result.contribution.values, ...Object.values(result.privateTensors ?? {}).map(({ data }) => data)];
  return [...new Set(arrays.map(({ buffer }) => buffer))].filter((buffer) => buffer instanceof ArrayBuffer);
}
