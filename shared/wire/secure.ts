/** A frame of secure aggregation inside a control stream, the same both ways. */
import type { TaskId } from '../run/plan.js';
import { checkMaxLength, own } from './checks.js';
import type { Secure } from './gen/starling/v1/participant.js';
import { MAX_SECURE_FRAME_BYTES } from './limits.js';
import { taskFromWire, taskToWire } from './task.js';

/** @throws FlError invalid-argument: the frame is beyond MAX_SECURE_FRAME_BYTES */
export function secureToWire({ task, frame }: { task: TaskId; frame: Uint8Array }): Secure {
  return { task: taskToWire(task), frame: checkMaxLength('secure.frame', frame, MAX_SECURE_FRAME_BYTES) };
}

/** The frame is a copy that the caller owns. @throws FlError invalid-argument */
export function secureFromWire({ task, frame }: Secure): { task: TaskId; frame: Uint8Array } {
  return { task: taskFromWire(task), frame: own(checkMaxLength('secure.frame', frame, MAX_SECURE_FRAME_BYTES)) };
}
