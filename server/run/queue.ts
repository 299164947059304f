/**
 * One thing after another, in the order in which they were put in. A job yields what is to be waited for, if anything:
 * most effects of a round take no time, and a tick for each would be a good part of what it costs.
 */
import { FlError } from '../../shared/errors.js';

/** Work in pieces; what a piece yields is waited for before the next. */
export type Job = () => Iterable<Promise<void> | void>;

/** Jobs of one run; the first that throws is the last, and after {@link JobQueue.close} none is taken. */
export class JobQueue {
  readonly #fatal: (error: FlError) => void;
  #jobs: Job[] = [];
  #running: Promise<void> | undefined;
  #closed = false;
  #failure: FlError | undefined;

  /** `fatal` hears what a job throws; nothing is done after that. */
  constructor(fatal: (error: FlError) => void) {
    this.#fatal = fatal;
  }

  /** Never runs the job at once: whoever puts one in may be in the middle of another. */
  put(job: Job): void {
    if (this.#closed) return;
    this.#jobs.push(job);
    this.#running ??= this.#drain();
  }

  /**
   * What `say` returns, when all that was put in before is done. @throws FlError, saying nothing, once a job has thrown:
   * what it was to make durable may not be
   */
  async inTurn<Said>(say: () => Said): Promise<Said> {
    if (!this.#closed) return new Promise((resolve) => this.put(() => [void resolve((async () => say())())]));
    await this.idle();
    if (this.#failure !== undefined) throw this.#failure;
    return say();
  }

  /** Resolves when nothing is left to do. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Takes nothing more; resolves when what was taken is done. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.idle();
  }

  async #drain(): Promise<void> {
    await undefined; // so that #running is set before anything runs
    try {
      for (let job = this.#jobs.shift(); job !== undefined; job = this.#jobs.shift()) {
        for (const pending of job()) if (pending !== undefined) await pending;
      }
    } catch (error) {
      this.#jobs = [];
      this.#closed = true;
      this.#failure = FlError.from(error);
      this.#fatal(this.#failure);
    }
    this.#running = undefined;
  }
}
