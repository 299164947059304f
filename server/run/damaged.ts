/** A folder below runs/ that cannot be opened: it is named, to everyone who asks, and left as it is; the others go on. */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { FlError } from '../../shared/errors.js';
import { slugOf } from '../../shared/run-id.js';
import type { RunInfo } from '../../shared/service.js';

/** One of them. `reason` says which file, what is wrong with it and what to do. */
export interface DamagedRun {
  readonly run: string;
  readonly directory: string;
  readonly reason: string;
}

/** What `thrown` says of the run in `directory`, whose name is the run's unless it can be none. */
export function damagedRun(directory: string, thrown: unknown): DamagedRun {
  const { message } = FlError.from(thrown);
  const remedy = 'put the file back from a backup, or move the folder out of runs/; then restart the coordinator';
  return { run: nameOf(basename(directory)), directory, reason: `${message}; next: ${remedy}` };
}

const RUN_NAME = /^[a-z0-9-]{1,63}$/;

/** Two stray folders may have one slug. */
function nameOf(folder: string): string {
  if (RUN_NAME.test(folder)) return folder;
  return `${slugOf(folder, 40)}-${createHash('sha256').update(folder).digest('hex').slice(0, 8)}`;
}

/** In a row of `starling run list`. */
export function infoOfDamaged({ run, directory, reason }: DamagedRun): RunInfo {
  return {
    run,
    workload: '',
    status: 'damaged',
    reason,
    round: 0,
    rounds: 0,
    createdAtMs: 0,
    directory,
    activity: '',
  };
}

const OF_MACHINE = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EMFILE', 'ENFILE', 'ENOMEM']);

/** Whether it is no fault of one run: the disk is full or read-only, or descriptors are out. */
export function isOfMachine(thrown: unknown): boolean {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (OF_MACHINE.has((error as NodeJS.ErrnoException).code ?? '')) return true;
  }
  return false;
}
