/**
 * One thread of a trainer pool: it selects its back end once, keeps workloads and data, and computes one task at a time.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { FlError } from '../../shared/errors.js';
import { type BackendName, selectBackend } from '../backends/index.js';
import { loadPlannedWorkload } from '../workloads/planned.js';
import type { FromWorker, PlainError, ToWorker, WorkerSetup } from './messages.js';
import { createTaskRunner, type EvaluateResult, type Task, type TrainResult } from './task.js';

/** A model that takes 0.1 ms per step must not drown the pool in messages: each costs up to half a millisecond. */
const PROGRESS_INTERVAL_MS = 50;

const { backend, dataDir, workloadModules } = workerData as WorkerSetup;
const runner = createTaskRunner({
  loadWorkload: (name) => loadPlannedWorkload(name, workloadModules),
  dataDir,
});
const running = new Map<number, AbortController>();

parentPort?.on('message', (message: ToWorker) => {
  if (message.kind === 'cancel') running.get(message.id)?.abort();
  else void run(message.id, message.task);
});

try {
  const { name, why } = await selectBackend(backend as BackendName | undefined);
  send({ kind: 'ready', name, why });
} catch (thrown) {
  send({ kind: 'failed-to-start', error: plain(thrown) });
}

async function run(id: number, task: Task): Promise<void> {
  const controller = new AbortController();
  running.set(id, controller);
  let reportedMs = performance.now();
  let untold: { stepsDone: number; stepsTotal: number } | undefined; // goes with the result
  const onProgress = (stepsDone: number, stepsTotal: number): void => {
    const nowMs = performance.now();
    untold = { stepsDone, stepsTotal };
    if (nowMs - reportedMs < PROGRESS_INTERVAL_MS) return;
    reportedMs = nowMs;
    send({ kind: 'progress', id, ...untold });
    untold = undefined;
  };
  try {
    const result = await runner.run(task, { signal: controller.signal, onProgress });
    send({ kind: 'result', id, result, progress: untold }, buffersOf(result));
  } catch (thrown) {
    send({ kind: 'error', id, error: plain(thrown) });
  } finally {
    running.delete(id);
  }
}

/** What can be handed over instead of copied: each buffer once, and none that is shared. */
function buffersOf(result: TrainResult | EvaluateResult): ArrayBuffer[] {
  if (result.kind === 'evaluate') return [];
  const arrays = [result.contribution.values, ...Object.values(result.privateTensors ?? {}).map(({ data }) => data)];
  return [...new Set(arrays.map(({ buffer }) => buffer))].filter((buffer) => buffer instanceof ArrayBuffer);
}

function send(message: FromWorker, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer);
}

function plain(thrown: unknown): PlainError {
  const { code, message, stack = '' } = FlError.from(thrown);
  return { code, message, stack };
}
