/**
 * Space on the disk that is kept for what is promised already: a round begins only when there is room for it to end, so a
 * disk that fills up pauses the runs, and their journals can still be written and closed.
 */
import { statfs } from 'node:fs/promises';
import type { Clock } from '../shared/clock.js';
import { faultOf } from '../shared/disk/faults.js';
import { FlError } from '../shared/errors.js';
import type { Logger } from './log.js';
import type { Run } from './run/run.js';

/** How much is kept back unless the operator says otherwise. */
export const DISK_RESERVE_BYTES = 64 << 20;
/** How often the disk is looked at: in between even many fast rounds write little of the reserve. */
const SPACE_CHECK_MS = 2_000;
/** The new model, its strategy's two vectors, and one model more that is removed only when the round has ended. */
const MODELS_PER_ROUND = 4;

/** The disk of a data directory. */
export interface Space {
  readonly directory: string;
  readonly reserveBytes: number;
  freeBytes(): Promise<number>;
}

/** As the system tells it of the disk that `directory` is on, without what it keeps for its superuser. */
export function spaceOf(directory: string, reserveBytes: number): Space {
  return {
    directory,
    reserveBytes,
    async freeBytes() {
      const { bavail, bsize } = await statfs(directory);
      return bavail * bsize;
    },
  };
}

/** Why no round should begin whose model takes `modelBytes` on the disk; '' when there is room. Pure. */
export function shortage(
  { directory, reserveBytes }: Pick<Space, 'directory' | 'reserveBytes'>,
  { freeBytes, modelBytes }: { readonly freeBytes: number; readonly modelBytes: number },
): string {
  const neededBytes = reserveBytes + MODELS_PER_ROUND * modelBytes;
  if (freeBytes >= neededBytes) return '';
  const [needed, free] = [Math.ceil(neededBytes / 2 ** 20), Math.floor(freeBytes / 2 ** 20)];
  return `disk of ${directory}: expected ${needed} MiB free for a round and the reserve, got ${free} MiB; next: free space, then it goes on by itself`;
}

/** For a run that is to begin. @throws FlError resource-exhausted: there is no room for a round of it */
export async function checkRoom(space: Space | undefined, modelBytes: number): Promise<void> {
  const why = space && shortage(space, { freeBytes: await space.freeBytes(), modelBytes });
  if (why) throw new FlError('resource-exhausted', `run not started: ${why.replace(/, then it .*/, '')}`);
}

/** Pauses runs whose next round has no room, and lets them go on: now, and again and again until it is stopped. */
export async function watchSpace(deps: {
  readonly space: Space;
  readonly clock: Clock;
  readonly log: Logger;
  readonly runs: { atWork(): Iterable<Run> };
  fatal(error: FlError): void;
}): Promise<() => void> {
  const { space, clock, log, runs, fatal } = deps;
  let stopTimer = () => {};
  let isStopped = false;
  async function look(): Promise<void> {
    const freeBytes = await space.freeBytes();
    for (const run of runs.atWork()) {
      const reason = shortage(space, { freeBytes, modelBytes: run.model.file.length });
      const isPaused = run.state.paused !== undefined;
      if (run.state.status !== 'running' || isPaused === (reason !== '')) continue;
      if (isPaused) log.info({ run: run.id }, 'there is space again: the run goes on');
      else log.warn({ run: run.id, reason }, 'the run is paused');
      run.post({ kind: 'pause', reason });
    }
    if (!isStopped) stopTimer = clock.after(SPACE_CHECK_MS, again);
  }
  const again = () => void look().catch((thrown) => fatal(faultOf(`disk of ${space.directory}`, thrown)));
  await look();
  return () => {
    isStopped = true;
    stopTimer();
  };
}
