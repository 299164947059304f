/**
 * A pool of worker threads that compute the tasks of many clients: each thread starts once with one back end, takes one
 * task at a time in the order in which they came, and keeps its data. A task's result depends on the task alone, so it
 * is the same with any number of threads.
 *
 * The model of a round lies in shared memory once, however many threads and clients read it; results are handed over
 * without a copy. A thread that dies takes only its task with it and is replaced.
 */
import { Worker } from 'node:worker_threads';
import { FlError, invalidArgument } from '../../shared/errors.js';
import type { FromWorker, PlainError, ToWorker, WorkerSetup } from './messages.js';
import type { EvaluateResult, Task, TaskOptions, TaskRunner, TrainResult } from './task.js';

const MAX_WORKERS = 256;
/** Models that are kept in shared memory: the current one, and the one before it for stragglers. */
const MODELS_KEPT = 2;

export interface PoolOptions {
  readonly workers: number;
  /** Default: the best that is installed. */
  readonly backend?: string;
  /** Where this site keeps its data. */
  readonly dataDir?: string;
  /** Workloads that are no built-in ones: name in the plan -> file. */
  readonly workloadModules?: Readonly<Record<string, string>>;
}

export interface TrainerPool extends TaskRunner {
  readonly backend: { readonly name: string; readonly why: string };
  /** Rejects what is queued or running with FlError aborted, and resolves when all threads have ended. */
  close(): Promise<void>;
}

/** Resolves when every thread is ready. @throws FlError whatever kept a thread from starting */
export async function createTrainerPool({ workers, workloadModules = {}, ...rest }: PoolOptions): Promise<TrainerPool> {
  if (!Number.isInteger(workers) || workers < 1 || workers > MAX_WORKERS) {
    throw invalidArgument('workers', `an integer from 1 to ${MAX_WORKERS}`, workers);
  }
  const pool = new Pool({ ...rest, workloadModules });
  try {
    await pool.start(workers);
  } catch (thrown) {
    await pool.close();
    throw thrown;
  }
  return pool;
}

interface Job {
  readonly id: number;
  readonly task: Task;
  readonly onProgress: TaskOptions['onProgress'];
  readonly settle: (outcome: { result: TrainResult | EvaluateResult } | { error: FlError }) => void;
}

interface Thread {
  readonly worker: Worker;
  job: Job | undefined;
}

class Pool implements TrainerPool {
  backend = { name: '', why: '' };
  readonly #setup: WorkerSetup;
  readonly #threads = new Set<Thread>();
  readonly #idle: Thread[] = [];
  readonly #queue: Job[] = [];
  readonly #models = new Map<string, Float32Array>();
  #lastId = 0;
  /** Why no task can be computed any more. */
  #ended: FlError | undefined;

  constructor(setup: WorkerSetup) {
    this.#setup = setup;
  }

  async start(workers: number): Promise<void> {
    await Promise.all(Array.from({ length: workers }, () => this.#startThread()));
  }

  run: TaskRunner['run'] = (task: Task, { signal, onProgress }: TaskOptions = {}) =>
    new Promise<never>((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      if (signal?.aborted) return reject(cancelled(signal));
      const id = ++this.#lastId;
      const onAbort = (): void => this.#cancel(id, cancelled(signal));
      const job: Job = {
        id,
        task: { ...task, model: this.#share(task) },
        onProgress,
        settle: (outcome) => {
          signal?.removeEventListener('abort', onAbort);
          if ('error' in outcome) reject(outcome.error);
          else resolve(outcome.result as never);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#queue.push(job);
      this.#dispatch();
    });

  async close(): Promise<void> {
    this.#end(new FlError('aborted', 'the trainer pool was closed'));
    await Promise.all([...this.#threads].map(({ worker }) => worker.terminate()));
  }

  #dispatch(): void {
    while (this.#queue.length > 0 && this.#idle.length > 0) {
      const job = this.#queue.shift()!;
      const thread = this.#idle.pop()!;
      thread.job = job;
      post(thread, { kind: 'run', id: job.id, task: job.task });
    }
  }

  /** Resolves when the thread is ready; afterwards, its death is dealt with here. */
  #startThread(): Promise<void> {
    const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: this.#setup });
    const thread: Thread = { worker, job: undefined };
    this.#threads.add(thread);
    let crash: unknown;
    worker.on('error', (error) => {
      crash = error;
    });
    return new Promise((resolve, reject) => {
      worker.on('message', (message: FromWorker) => {
        if (message.kind === 'ready') {
          this.backend = { name: message.name, why: message.why };
          resolve();
          this.#release(thread);
        } else if (message.kind === 'failed-to-start') reject(revive(message.error));
        else this.#onMessage(thread, message);
      });
      worker.once('exit', (code) => {
        const error = new FlError('internal', `a training thread ended (exit code ${code})`, { cause: crash });
        reject(error); // does nothing if it had started
        this.#onExit(thread, error);
      });
    });
  }

  #onMessage(thread: Thread, message: Exclude<FromWorker, { kind: 'ready' | 'failed-to-start' }>): void {
    const { job } = thread;
    if (job === undefined || job.id !== message.id) return;
    if (message.kind === 'progress') {
      job.onProgress?.(message.stepsDone, message.stepsTotal);
      return;
    }
    thread.job = undefined;
    this.#release(thread);
    if (message.kind === 'result' && message.progress !== undefined) {
      job.onProgress?.(message.progress.stepsDone, message.progress.stepsTotal);
    }
    job.settle(message.kind === 'result' ? { result: message.result } : { error: revive(message.error) });
  }

  #onExit(thread: Thread, error: FlError): void {
    const { job } = thread;
    this.#threads.delete(thread);
    const position = this.#idle.indexOf(thread);
    if (position >= 0) this.#idle.splice(position, 1);
    job?.settle({ error });
    if (this.#ended !== undefined || (job === undefined && position < 0)) return; // closed, or it never started
    this.#startThread().catch((cause) => this.#end(FlError.from(cause)));
  }

  #release(thread: Thread): void {
    this.#idle.push(thread);
    this.#dispatch();
  }

  #cancel(id: number, error: FlError): void {
    const position = this.#queue.findIndex((job) => job.id === id);
    if (position >= 0) this.#queue.splice(position, 1)[0].settle({ error });
    for (const thread of this.#threads) if (thread.job?.id === id) post(thread, { kind: 'cancel', id });
  }

  #end(error: FlError): void {
    this.#ended ??= error;
    const running = [...this.#threads].flatMap(({ job }) => job ?? []);
    for (const job of [...running, ...this.#queue.splice(0)]) job.settle({ error });
  }

  /** The model in shared memory; one that was seen before, by its hash, is not copied again. */
  #share({ model, modelSha256 }: Task): Float32Array {
    if (model.buffer instanceof SharedArrayBuffer) return model;
    const known = modelSha256 === undefined ? undefined : this.#models.get(modelSha256);
    if (known !== undefined) return known;
    const shared = new Float32Array(new SharedArrayBuffer(model.byteLength));
    shared.set(model);
    if (modelSha256 !== undefined) {
      this.#models.set(modelSha256, shared);
      for (const oldest of this.#models.keys()) if (this.#models.size > MODELS_KEPT) this.#models.delete(oldest);
    }
    return shared;
  }
}

function post({ worker }: Thread, message: ToWorker): void {
  worker.postMessage(message);
}

function cancelled(signal: AbortSignal | undefined): FlError {
  return new FlError('aborted', 'the task was cancelled', { cause: signal?.reason });
}

function revive({ code, message, stack }: PlainError): FlError {
  const error = new FlError(code, message);
  error.stack = stack;
  return error;
}
