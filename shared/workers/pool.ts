/**
 * A pool of worker threads: each takes one task at a time, in the order in which they came, and is kept. A thread that dies
 * takes only its task with it, and the next task gets a new one. Threads start when there is work for them, or all at
 * once with `start`; an idle one holds no process alive.
 *
 * Why not a library: docs/decisions/0037-one-thread-pool.md.
 */
import { Worker } from 'node:worker_threads';
import { FlError } from '../errors.js';
import { type FromThread, revive, type ToThread } from './messages.js';

/** What a pool is made of. */
export interface WorkerPoolOptions {
  /** The file of a thread, which calls `serveTasks`. */
  readonly file: URL;
  /** Most threads. */
  readonly threads: number;
  /** Each thread's `workerData`. */
  readonly workerData?: unknown;
  /** For error messages: "the trainer pool", "a training thread". */
  readonly names: { readonly pool: string; readonly thread: string };
}

/** How one task is run. */
export interface RunOptions<News> {
  /** Aborted: a task that waits is dropped; one that runs is told, and its thread is kept. */
  readonly signal?: AbortSignal;
  readonly onNews?: (news: News) => void;
  /** Buffers of the task that are handed over instead of copied. */
  readonly transfer?: ArrayBuffer[];
}

interface Job<Task, Result, News> extends RunOptions<News> {
  readonly id: number;
  readonly task: Task;
  readonly settle: (outcome: { readonly result: Result } | { readonly error: FlError }) => void;
}

interface Thread<Task, Result, News> {
  readonly worker: Worker;
  isReady: boolean;
  job: Job<Task, Result, News> | undefined;
}

/** Holds threads: close it. */
export class WorkerPool<Task, Result, News = never, About = void> {
  readonly #options: WorkerPoolOptions;
  readonly #threads = new Set<Thread<Task, Result, News>>();
  readonly #idle: Thread<Task, Result, News>[] = [];
  readonly #queue: Job<Task, Result, News>[] = [];
  #lastId = 0;
  #closed: FlError | undefined;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
  }

  /** Starts every thread; resolves to what each says of itself. @throws FlError whatever kept one from starting */
  start(): Promise<About[]> {
    return Promise.all(Array.from({ length: this.#options.threads }, () => this.#startThread()));
  }

  /** @throws FlError what the task threw; aborted: by its signal, or the pool was closed; internal: its thread ended */
  run(task: Task, options: RunOptions<News> = {}): Promise<Result> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) return reject(this.#closed);
      if (signal?.aborted) return reject(cancelled(signal));
      const onAbort = (): void => this.#cancel(job, cancelled(signal));
      const job: Job<Task, Result, News> = {
        ...options,
        id: ++this.#lastId,
        task,
        settle: (outcome) => {
          signal?.removeEventListener('abort', onAbort);
          if ('error' in outcome) reject(outcome.error);
          else resolve(outcome.result);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#queue.push(job);
      this.#dispatch();
    });
  }

  /** Rejects what waits or runs with FlError aborted, and resolves when every thread has ended. */
  async close(): Promise<void> {
    this.#closed ??= new FlError('aborted', `${this.#options.names.pool} was closed`);
    const error = this.#closed;
    for (const { job } of this.#threads) job?.settle({ error });
    this.#failQueue(error);
    await Promise.all([...this.#threads].map(({ worker }) => worker.terminate()));
  }

  #dispatch(): void {
    while (this.#queue.length > 0 && this.#idle.length > 0) {
      const job = this.#queue.shift()!;
      const thread = this.#idle.pop()!;
      thread.job = job;
      thread.worker.ref();
      post(thread, { kind: 'run', id: job.id, task: job.task }, job.transfer);
    }
    const starting = [...this.#threads].filter(({ isReady }) => !isReady).length;
    const missing = Math.min(this.#queue.length - starting, this.#options.threads - this.#threads.size);
    for (let i = 0; i < missing; i++) this.#startThread().catch(() => undefined); // the tasks that wait are told
  }

  /** Resolves when the thread is ready to what it says of itself. */
  #startThread(): Promise<About> {
    const { file, workerData, names } = this.#options;
    const worker = new Worker(file, { workerData });
    const thread: Thread<Task, Result, News> = { worker, isReady: false, job: undefined };
    this.#threads.add(thread);
    let cause: unknown;
    worker.on('error', (error) => {
      cause = error;
    });
    return new Promise((resolve, reject) => {
      worker.on('message', (message: FromThread<Result, News, About>) => {
        if (message.kind === 'ready') {
          thread.isReady = true;
          resolve(message.about);
          this.#release(thread);
        } else if (message.kind === 'failed-to-start') {
          cause = revive(message.error);
          void worker.terminate();
        } else this.#onMessage(thread, message);
      });
      worker.once('exit', (code) => {
        const ended = new FlError('internal', `${names.thread} ended (exit code ${code})`, { cause });
        const error = cause instanceof FlError && !thread.isReady ? cause : ended;
        reject(error); // does nothing if it had started
        this.#onExit(thread, error);
      });
    });
  }

  #onMessage(
    thread: Thread<Task, Result, News>,
    message: Exclude<FromThread<Result, News, About>, { kind: 'ready' | 'failed-to-start' }>,
  ): void {
    const { job } = thread;
    if (job === undefined || job.id !== message.id) return;
    if (message.kind === 'news') {
      job.onNews?.(message.news);
      return;
    }
    thread.job = undefined;
    this.#release(thread);
    job.settle(message.kind === 'result' ? { result: message.result } : { error: revive(message.error) });
  }

  #onExit(thread: Thread<Task, Result, News>, error: FlError): void {
    this.#threads.delete(thread);
    const position = this.#idle.indexOf(thread);
    if (position >= 0) this.#idle.splice(position, 1);
    thread.job?.settle({ error });
    if (thread.isReady) this.#dispatch();
    else if (this.#threads.size === 0) this.#failQueue(error); // no thread can be had; with others, the queue is theirs
  }

  #release(thread: Thread<Task, Result, News>): void {
    thread.worker.unref();
    this.#idle.push(thread);
    this.#dispatch();
  }

  #cancel(job: Job<Task, Result, News>, error: FlError): void {
    const position = this.#queue.indexOf(job);
    if (position >= 0) this.#queue.splice(position, 1)[0].settle({ error });
    for (const thread of this.#threads) if (thread.job === job) post(thread, { kind: 'cancel', id: job.id });
  }

  #failQueue(error: FlError): void {
    for (const job of this.#queue.splice(0)) job.settle({ error });
  }
}

function post<Task>(thread: { readonly worker: Worker }, message: ToThread<Task>, transfer?: ArrayBuffer[]): void {
  thread.worker.postMessage(message, transfer);
}

function cancelled(signal: AbortSignal | undefined): FlError {
  return new FlError('aborted', 'the task was cancelled', { cause: signal?.reason });
}
