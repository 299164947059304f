/**
 * What frames and transfers share: the name of a task, the name of an update.
 */
import type { TaskId, TaskKind } from '../run/plan.js';
import type { PendingUpdate } from '../service.js';
import { checkName, checkSha256, checkUint32, numberOf, present, wordOf } from './checks.js';
import type { PendingUpdate as PendingUpdateMessage, TaskId as TaskIdMessage } from './gen/starling/v1/participant.js';

const TASK_KINDS: Readonly<Record<number, TaskKind>> = { 1: 'train', 2: 'evaluate' };

/** @throws FlError invalid-argument */
export function taskToWire(task: TaskId): TaskIdMessage {
  return {
    run: checkName('task.run', task.run),
    kind: numberOf('task.kind', TASK_KINDS, task.kind),
    round: checkUint32('task.round', task.round),
    attempt: checkUint32('task.attempt', task.attempt),
  };
}

/** @throws FlError invalid-argument: absent, or a field of it */
export function taskFromWire(message: TaskIdMessage | undefined): TaskId {
  const { run, kind, round, attempt } = present('task', message);
  return { run: checkName('task.run', run), kind: wordOf('task.kind', TASK_KINDS, kind), round, attempt };
}

/** Both ways: record and message have the same fields. */
export function checkUpdateName(field: string, update: PendingUpdate | PendingUpdateMessage): PendingUpdateMessage {
  return {
    run: checkName(`${field}.run`, update.run),
    round: checkUint32(`${field}.round`, update.round),
    attempt: checkUint32(`${field}.attempt`, update.attempt),
    sha256: checkSha256(`${field}.sha256`, update.sha256),
  };
}
