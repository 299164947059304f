/**
 * A pool of worker threads that compute the tasks of many clients: each thread starts once with one back end and keeps its
 * data. A task's result depends on the task alone, so it is the same with any number of threads.
 *
 * The model of a round lies in shared memory once, however many threads and clients read it; results are handed over
 * without a copy.
 */
import { invalidArgument } from '../../shared/errors.js';
import { WorkerPool } from '../../shared/workers/pool.js';
import { type BackendName, checkBackend } from '../backends/index.js';
import type { CountTask, ExampleCounts, ResultOf, Task, TaskOptions, TaskRunner } from './task.js';
import type { Job, Steps, TaskEnd, TrainerSetup } from './worker.js';

const MAX_WORKERS = 256;
/** Models that are kept in shared memory: the current one, and the one before it for stragglers. */
const MODELS_KEPT = 2;

/** What a trainer pool is made of; absent `backend`: the best that is installed, `dataDir`: this site's own place. */
export interface PoolOptions extends Partial<TrainerSetup> {
  /** Threads, 1 to 256. */
  readonly workers: number;
}

/** Computes tasks on threads of its own. */
export interface TrainerPool extends Required<TaskRunner> {
  readonly backend: { readonly name: string; readonly why: string };
  /** Rejects what is queued or running with FlError aborted, and resolves when all threads have ended. */
  close(): Promise<void>;
}

/** Resolves when every thread is ready. @throws FlError whatever kept a thread from starting */
export async function createTrainerPool({ workers, workloadModules = {}, ...rest }: PoolOptions): Promise<TrainerPool> {
  if (!Number.isInteger(workers) || workers < 1 || workers > MAX_WORKERS) {
    throw invalidArgument('workers', `an integer from 1 to ${MAX_WORKERS}`, workers);
  }
  if (rest.backend !== undefined) await checkBackend(rest.backend as BackendName); // before a thread is started
  const setup: TrainerSetup = { ...rest, workloadModules };
  const pool = new WorkerPool<Job, TaskEnd, Steps, TrainerPool['backend']>({
    file: new URL('./worker.js', import.meta.url),
    threads: workers,
    workerData: setup,
    names: { pool: 'the trainer pool', thread: 'a training thread' },
  });
  const share = modelSharer();

  async function run<T extends Task>(task: T, { signal, onProgress }: TaskOptions = {}): Promise<ResultOf<T>> {
    const onNews = ({ stepsDone, stepsTotal }: Steps): void => onProgress?.(stepsDone, stepsTotal);
    const { result, untold } = await pool.run({ ...task, model: share(task) }, { signal, onNews });
    if (untold !== undefined) onNews(untold);
    return result as ResultOf<T>;
  }

  async function count({ work, slice, site }: CountTask): Promise<ExampleCounts> {
    const { result } = await pool.run({ kind: 'count', work, slice, site }, {});
    return result as ExampleCounts;
  }

  try {
    const [backend] = await pool.start();
    return { backend, run, count, close: () => pool.close() };
  } catch (thrown) {
    await pool.close();
    throw thrown;
  }
}

/** Puts models into shared memory; one that was seen before, by its hash, is not copied again. */
function modelSharer(): (task: Task) => Float32Array {
  const models = new Map<string, Float32Array>();
  return ({ model, modelSha256 }) => {
    if (model.buffer instanceof SharedArrayBuffer) return model;
    const known = modelSha256 === undefined ? undefined : models.get(modelSha256);
    if (known !== undefined) return known;
    const shared = new Float32Array(new SharedArrayBuffer(model.byteLength));
    shared.set(model);
    if (modelSha256 !== undefined) {
      models.set(modelSha256, shared);
      for (const oldest of models.keys()) if (models.size > MODELS_KEPT) models.delete(oldest);
    }
    return shared;
  };
}
