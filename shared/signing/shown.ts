/**
 * What a client can show of how far a run has come: the last task that the coordinator signed for it, and the last ledger
 * head. A coordinator that was restored from a backup learns from it what it has forgotten, and believes nothing but its
 * own signature: a client that lies can show less than it has seen, and never more.
 */
import type { SignedHead } from '../ledger/against.js';
import type { TaskId } from '../run/plan.js';
import { type Identity, signedBytes, verifySignature } from './identity.js';

/** A task with the coordinator's signature (Ed25519, 64 bytes). */
export interface SignedTask {
  readonly task: TaskId;
  readonly signature: Uint8Array;
}

/** Of each run the last of both, at most {@link MAX_SHOWN_RUNS} of each. */
export interface Shown {
  readonly tasks: readonly SignedTask[];
  readonly heads: readonly SignedHead[];
}

/** A client shows those runs that it heard of last. */
export const MAX_SHOWN_RUNS = 32;

/** By the coordinator, once for each plan. */
export function signTask(coordinator: Identity, task: TaskId): Uint8Array {
  return coordinator.sign(taskBytes(task));
}

/** Whether the coordinator of this key (32 bytes) has signed exactly this task. */
export function isTaskSignedBy({ task, signature }: SignedTask, coordinatorKey: Uint8Array): boolean {
  return verifySignature(coordinatorKey, taskBytes(task), signature);
}

function taskBytes({ run, kind, round, attempt }: TaskId): Uint8Array {
  return signedBytes('task', { run, kind, round, attempt });
}
