/** The thread's side of a pool. */
import { parentPort } from 'node:worker_threads';
import { type FromThread, plainOf, type ToThread } from './messages.js';

/** What a task is told of its caller. */
export interface TaskContext<News> {
  /** Aborted when the caller no longer wants the result. */
  readonly signal: AbortSignal;
  /** Reaches the caller before the result. */
  tell(news: News): void;
}

/** A result, and those of its buffers that are handed over instead of copied. */
export interface Answer<Result> {
  readonly result: Result;
  readonly transfer?: ArrayBuffer[];
}

/** What a thread does. */
export interface ThreadWork<Task, Result, News, About> {
  /** Before the first task; resolves to what the pool is to know of the thread. */
  readonly start?: () => Promise<About>;
  readonly run: (task: Task, context: TaskContext<News>) => Answer<Result> | Promise<Answer<Result>>;
}

/** Makes this thread one of a pool; what `start` and `run` throw is told there. @throws TypeError on the main thread */
export async function serveTasks<Task, Result, News = never, About = void>(
  work: ThreadWork<Task, Result, News, About>,
): Promise<void> {
  if (parentPort === null) throw new TypeError('serveTasks: expected a worker thread, got the main thread');
  const port = parentPort;
  const running = new Map<number, AbortController>();
  const send = (message: FromThread<Result, News, About>, transfer: ArrayBuffer[] = []) =>
    port.postMessage(message, transfer);

  async function run(id: number, task: Task): Promise<void> {
    const controller = new AbortController();
    running.set(id, controller);
    try {
      const tell = (news: News) => send({ kind: 'news', id, news });
      const { result, transfer } = await work.run(task, { signal: controller.signal, tell });
      send({ kind: 'result', id, result }, transfer);
    } catch (thrown) {
      send({ kind: 'error', id, error: plainOf(thrown) });
    } finally {
      running.delete(id);
    }
  }

  port.on('message', (message: ToThread<Task>) => {
    if (message.kind === 'cancel') running.get(message.id)?.abort();
    else void run(message.id, message.task);
  });
  try {
    send({ kind: 'ready', about: (await work.start?.()) as About });
  } catch (thrown) {
    send({ kind: 'failed-to-start', error: plainOf(thrown) });
  }
}
