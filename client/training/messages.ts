/** What a pool and its worker threads say to each other. Models travel as views of shared memory. */
import type { FlErrorCode } from '../../shared/errors.js';
import type { EvaluateResult, Task, TrainResult } from './task.js';

/** Given to a worker at its start. */
export interface WorkerSetup {
  readonly backend?: string;
  readonly dataDir?: string;
  /** Workloads that are no built-in ones: name in the plan -> file. */
  readonly workloadModules: Readonly<Record<string, string>>;
}

/** What a pool asks of a worker. */
export type ToWorker =
  | { readonly kind: 'run'; readonly id: number; readonly task: Task }
  | { readonly kind: 'cancel'; readonly id: number };

/** What a worker answers; tasks by the id that they came with. */
export type FromWorker =
  | { readonly kind: 'ready'; readonly name: string; readonly why: string }
  | { readonly kind: 'failed-to-start'; readonly error: PlainError }
  | { readonly kind: 'progress'; readonly id: number; readonly stepsDone: number; readonly stepsTotal: number }
  | {
      readonly kind: 'result';
      readonly id: number;
      readonly result: TrainResult | EvaluateResult;
      /** How far it was, if that has not been told. */
      readonly progress?: { readonly stepsDone: number; readonly stepsTotal: number };
    }
  | { readonly kind: 'error'; readonly id: number; readonly error: PlainError };

/** An FlError in a form that survives the way between threads. */
export interface PlainError {
  readonly code: FlErrorCode;
  readonly message: string;
  readonly stack: string;
}
