/**
 * Which finished runs a coordinator keeps whole by itself, and what becomes of the others: they are archived without their
 * bulk (thin.ts). A run that runs, or may go on, is never touched, and of none the ledger, the report or the last model.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../shared/clock.js';
import { FlError } from '../shared/errors.js';
import type { Logger } from './log.js';
import { JOURNAL_FILE } from './run/run-journal.js';
import type { Runs } from './runs.js';
import { isOverForGood } from './thin.js';
import type { Upkeep } from './upkeep.js';

/** A run stays whole while either says so; neither: all do. */
export interface Retention {
  /** The last so many to have ended, from 1. */
  readonly keepRuns?: number;
  /** Those that ended in the last so many days, from 1. */
  readonly keepDays?: number;
}

const DAY_MS = 86_400_000;
/** How often days are looked at; a run that ends is looked at then. */
const LOOK_MS = 3_600_000;

/** The runs that no setting keeps, the oldest first. Pure. */
export function toThin(
  over: readonly { readonly run: string; readonly endedAtMs: number }[],
  { keepRuns, keepDays }: Retention,
  nowMs: number,
): string[] {
  if (keepRuns === undefined && keepDays === undefined) return [];
  const newestFirst = over.toSorted((a, b) => b.endedAtMs - a.endedAtMs || (a.run < b.run ? 1 : -1));
  const isOld = (endedAtMs: number) => keepDays === undefined || endedAtMs <= nowMs - keepDays * DAY_MS;
  const old = newestFirst.filter(({ endedAtMs }, i) => i >= (keepRuns ?? 0) && isOld(endedAtMs));
  return old.map(({ run }) => run).reverse();
}

/** Looks now, when it is told to, and every hour; what cannot be archived stays as it is, and the log says why. */
export function watchRetention(deps: {
  readonly retention: Retention;
  readonly runs: Pick<Runs, 'rows'>;
  readonly upkeep: Pick<Upkeep, 'thin'>;
  readonly clock: Clock;
  readonly log: Logger;
}): { look(): Promise<void>; stop(): Promise<void> } {
  const { retention, runs, upkeep, clock, log } = deps;
  let isStopped = false;
  let stopTimer = () => {};
  let looking = Promise.resolve();

  async function once(): Promise<void> {
    stopTimer();
    const rows = runs.rows().filter(({ status }) => isOverForGood(status));
    const over = await Promise.all(rows.map(endedAt));
    for (const run of toThin(over.flat(), retention, clock.nowMs())) {
      if (isStopped) return;
      try {
        const { directory, freedBytes } = await upkeep.thin(run);
        log.info(
          { run, directory, freedBytes, ...retention },
          'run archived without its journal, by the retention settings',
        );
      } catch (thrown) {
        log.warn({ run, reason: FlError.from(thrown).message }, 'run not archived by the retention settings; it stays');
      }
    }
    if (!isStopped) stopTimer = clock.after(LOOK_MS, () => void look());
  }

  function look(): Promise<void> {
    looking = looking.then(() => (isStopped ? undefined : once()));
    return looking;
  }

  return {
    look,
    async stop() {
      isStopped = true;
      stopTimer();
      await looking;
    },
  };
}

/** Its journal was last written when it ended; of a copy, when it was copied. None: it is being put away. */
async function endedAt({ run, directory }: { readonly run: string; readonly directory: string }) {
  const file = await stat(join(directory, JOURNAL_FILE)).catch(() => undefined);
  return file === undefined ? [] : [{ run, endedAtMs: file.mtimeMs }];
}
