/** A thread of a toy pool: what it is asked to do is what it does. */
import { threadId, workerData } from 'node:worker_threads';
import { FlError } from '../../../shared/errors.js';
import { serveTasks } from '../../../shared/workers/serve.js';

export type ToyTask =
  | { readonly do: 'echo'; readonly bytes: Uint8Array }
  | { readonly do: 'wait' | 'die' | 'die later' | 'throw' };

/** Counts the threads that were started, in shared memory, and says from which on they fail. */
export interface ToySetup {
  readonly started: Int32Array;
  readonly failFrom: number;
}

const { started, failFrom } = workerData as ToySetup;

await serveTasks<ToyTask, { thread: number; bytes?: Uint8Array }, string, number>({
  async start() {
    if (Atomics.add(started, 0, 1) >= failFrom) throw new FlError('failed-precondition', 'no more threads today');
    return threadId;
  },
  async run(task, { signal, tell }) {
    if (task.do === 'die') process.exit(7);
    if (task.do === 'throw') throw new FlError('not-found', 'no such thing');
    if (task.do === 'die later') {
      setImmediate(() => process.exit(7));
      return { result: { thread: threadId } };
    }
    tell('working');
    if (task.do === 'echo') return { result: { thread: threadId, bytes: task.bytes } };
    await new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(new FlError('aborted', 'given up')));
    });
    return { result: { thread: threadId } };
  },
});
