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
  const run = runNameOf(directory);
  if (/; next: /.test(message)) return { run, directory, reason: message }; // a repair has said more
  const remedy = `starling run repair ${run}; if that cannot mend it, put the file back from a backup and repair it again`;
  return { run, directory, reason: `${message}; next: ${remedy}, or starling run archive ${run}` };
}

const RUN_NAME = /^[a-z0-9-]{1,63}$/;

/** The name by which a folder is asked for: its own, unless that can be no run's. Two stray folders may have one slug. */
export function runNameOf(directory: string): string {
  const folder = basename(directory);
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
