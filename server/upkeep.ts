/**
 * Runs that are put aside, deleted or mended while the coordinator goes on with the others. Each is one rename or follows
 * from files that are replaced whole, so a kill in the middle leaves a run where it was or where it is to be.
 */
import { basename, join } from 'node:path';
import type { Clock } from '../shared/clock.js';
import { discard, entriesOf, moveDirectory, removeUnfinished } from '../shared/disk/aside.js';
import { faultOf } from '../shared/disk/faults.js';
import { type Files, systemFiles } from '../shared/disk/files.js';
import { FlError } from '../shared/errors.js';
import type { RunInfo } from '../shared/service.js';
import type { Identity } from '../shared/signing/identity.js';
import type { Logger } from './log.js';
import { damagedRun, infoOfDamaged, isOfMachine, runNameOf } from './run/damaged.js';
import { readRun } from './run/directory.js';
import { repairRun } from './run/repair.js';
import type { Runs } from './runs.js';
import { checkThinnable, infoOfThinned, KEPT_FILE, thin } from './thin.js';

/** Below a data directory: runs that are neither loaded nor replayed. */
export const ARCHIVE_FOLDER = 'archive';
/** In there: a run on its way that is losing its bulk. */
const THINNING_PREFIX = '.thin-';

interface UpkeepDeps {
  readonly dataDir: string;
  readonly identity: Identity;
  readonly clock: Clock;
  readonly log: Logger;
  /** By which runs are moved and thinned; default: the real ones. */
  readonly files?: Files;
  /** The coordinator's own; what is put away is taken out. */
  readonly runs: Runs;
}

/** What is done to runs that do not run. */
export class Upkeep {
  readonly #deps: UpkeepDeps;
  /** Where it lies, by run, and whether its journal is gone. */
  readonly #archived = new Map<string, { readonly directory: string; readonly isThin: boolean }>();
  /** In the middle of a call: neither resumed nor put away twice. */
  readonly #busy = new Set<string>();

  private constructor(deps: UpkeepDeps) {
    this.#deps = deps;
  }

  /** Looks for what is archived, by name only, and brings to its end what a kill left half deleted or half thinned. */
  static async open(deps: UpkeepDeps): Promise<Upkeep> {
    const upkeep = new Upkeep(deps);
    const archive = upkeep.#archive;
    for (const name of await removeUnfinished(archive))
      deps.log.info({ directory: join(archive, name) }, 'removed: half deleted');
    const names = async () => (await entriesOf(archive)).filter((entry) => entry.isDirectory()).map(({ name }) => name);
    for (const name of await names()) if (name.startsWith(THINNING_PREFIX)) await upkeep.#finishThinning(name);
    for (const name of await names()) if (!name.startsWith('.')) await upkeep.#keep(join(archive, name));
    return upkeep;
  }

  get #archive(): string {
    return join(this.#deps.dataDir, ARCHIVE_FOLDER);
  }

  get #files(): Files {
    return this.#deps.files ?? systemFiles;
  }

  async #keep(directory: string): Promise<void> {
    const isThin = (await systemFiles.read(join(directory, KEPT_FILE))) !== undefined;
    this.#archived.set(runNameOf(directory), { directory, isThin });
  }

  /** Why `run` cannot be used, though it is here or was; undefined: nothing is known against it. */
  whyNot(run: string): FlError | undefined {
    if (this.#busy.has(run)) return new FlError('failed-precondition', `run ${run} is being put away or mended`);
    return this.#whyNotAtRest(run);
  }

  #whyNotAtRest(run: string): FlError | undefined {
    const { runs } = this.#deps;
    if (runs.isWhole(run)) return undefined;
    const reason = runs.damageOf(run);
    if (reason !== undefined) return new FlError('failed-precondition', `run ${run} is damaged: ${reason}`);
    const archived = this.#archived.get(run);
    if (archived === undefined) return undefined;
    const { directory, isThin } = archived;
    if (isThin) {
      const why =
        'without its journal, so it cannot come back; its report, ledger and models/final.safetensors are there';
      return new FlError('failed-precondition', `run ${run} is archived in ${directory}, ${why}`);
    }
    const back = `to have it back, move that folder to ${join(this.#deps.dataDir, 'runs')}, then: starling run repair ${run}`;
    return new FlError('failed-precondition', `run ${run} is archived in ${directory}; ${back}`);
  }

  /** Moves a run that has ended, or is damaged, out of the way, in a single rename; where it lies now. */
  archive(run: string): Promise<string> {
    return this.#alone(run, async () => {
      const { directory, target } = await this.#toArchive(run);
      await moveDirectory(this.#files, directory, target);
      await this.#deps.runs.forget(run);
      await this.#keep(target);
      this.#deps.log.info({ run, directory: target }, 'run archived');
      return target;
    });
  }

  /**
   * Archives a run that is over for good without its bulk (thin.ts): it is renamed, thinned, and renamed last to what it is
   * called there. Where it lies, and what that freed.
   * @throws FlError and leaves it as it is when a file of it is not what it should be
   */
  thin(run: string): Promise<{ directory: string; freedBytes: number }> {
    return this.#alone(run, async () => {
      const { directory, target } = await this.#toArchive(run);
      await checkThinnable(directory, this.#deps.identity);
      const name = `${THINNING_PREFIX}${basename(target)}`;
      await moveDirectory(this.#files, directory, join(this.#archive, name));
      await this.#deps.runs.forget(run);
      const freedBytes = await this.#thinAside(name);
      await this.#keep(target);
      return { directory: target, freedBytes };
    });
  }

  /** Of a folder of the archive that is on its way. */
  async #thinAside(name: string): Promise<number> {
    const aside = join(this.#archive, name);
    const freedBytes = await thin(aside, { nowMs: this.#deps.clock.nowMs(), files: this.#files });
    await moveDirectory(this.#files, aside, join(this.#archive, name.slice(THINNING_PREFIX.length)));
    return freedBytes;
  }

  /** What was killed in its middle; a run that cannot be thinned is archived as it is. @throws the disk as a whole */
  async #finishThinning(name: string): Promise<void> {
    const run = name.slice(THINNING_PREFIX.length);
    const target = join(this.#archive, run);
    if ((await entriesOf(this.#archive)).some((entry) => entry.name === run)) {
      const directory = join(this.#archive, name);
      return this.#deps.log.warn(
        { run, directory },
        'passed over: half archived, and the archive has this run already',
      );
    }
    try {
      const freedBytes = await this.#thinAside(name);
      this.#deps.log.info({ run, directory: target, freedBytes }, 'run archived without its journal: gone on with');
    } catch (thrown) {
      if (isOfMachine(thrown)) throw thrown;
      await moveDirectory(this.#files, join(this.#archive, name), target);
      this.#deps.log.warn({ run, directory: target, reason: FlError.from(thrown).message }, 'run archived as it is');
    }
  }

  /** Where a run lies that does not run, and where it goes; nothing is written of it any more. */
  async #toArchive(run: string): Promise<{ directory: string; target: string }> {
    const directory = await this.#deps.runs.restingPlace(run);
    if (directory === undefined) throw this.#whyNotAtRest(run) ?? notKnown(run);
    const target = join(this.#archive, basename(directory));
    if ((await entriesOf(this.#archive)).some(({ name }) => name === basename(target)))
      throw new FlError('already-exists', `run ${run}: ${target} is there already; move that folder away`);
    return { directory, target };
  }

  /** For good: a run that has ended, is damaged, or is archived. */
  delete(run: string): Promise<void> {
    return this.#alone(run, async () => {
      const resting = await this.#deps.runs.restingPlace(run);
      const directory = resting ?? this.#archived.get(run)?.directory;
      if (directory === undefined) throw notKnown(run);
      const remains = await discard(this.#files, directory);
      if (resting !== undefined) await this.#deps.runs.forget(run);
      else this.#archived.delete(run);
      await remains.remove();
      this.#deps.log.info({ run, directory }, 'run deleted');
    });
  }

  /**
   * Mends what can be mended of a run that is damaged, has ended, or was moved back into runs/, and opens it; a sentence for
   * each thing done. @throws FlError naming the run and the file that is beyond repair
   */
  repair(run: string): Promise<string[]> {
    const { runs, identity, log } = this.#deps;
    return this.#alone(run, async () => {
      const directory = (await runs.restingPlace(run)) ?? (await this.#movedBack(run));
      await this.#deps.runs.forget(run);
      try {
        const done = await repairRun(directory, identity);
        await runs.open(directory);
        this.#archived.delete(run); // it was moved back
        log.info({ run, done }, 'run repaired');
        return done;
      } catch (thrown) {
        runs.keepDamaged(directory, thrown);
        throw faultOf(`run ${run}`, thrown);
      }
    });
  }

  /** Archived runs as they are on the disk, the oldest first. */
  async list(): Promise<RunInfo[]> {
    const infos = await Promise.all([...this.#archived.values()].map(({ directory }) => infoOfArchived(directory)));
    return infos.sort((a, b) => a.createdAtMs - b.createdAtMs);
  }

  /** An archived run and the report that was written at its end, if `run` is one. */
  async get(run: string): Promise<{ info: RunInfo; report: string } | undefined> {
    const directory = this.#archived.get(run)?.directory;
    if (directory === undefined || this.#deps.runs.isKnown(run)) return undefined;
    const report = await systemFiles.read(join(directory, 'report.json'));
    return {
      info: await infoOfArchived(directory),
      report: report === undefined ? 'null' : Buffer.from(report).toString(),
    };
  }

  async #alone<Result>(run: string, act: () => Promise<Result>): Promise<Result> {
    if (this.#busy.has(run)) throw this.whyNot(run);
    this.#busy.add(run);
    try {
      return await act();
    } catch (thrown) {
      throw thrown instanceof FlError ? thrown : faultOf(`run ${run}`, thrown);
    } finally {
      this.#busy.delete(run);
    }
  }

  /** A folder of runs/ that was not there when this process started. */
  async #movedBack(run: string): Promise<string> {
    const runs = join(this.#deps.dataDir, 'runs');
    const isThere = (await entriesOf(runs)).some((entry) => entry.isDirectory() && runNameOf(entry.name) === run);
    if (!isThere) throw this.#whyNotAtRest(run) ?? notKnown(run);
    return join(runs, run);
  }
}

function notKnown(run: string): FlError {
  return new FlError('not-found', `run "${run}" is not known here`);
}

async function infoOfArchived(directory: string): Promise<RunInfo> {
  try {
    const thinned = await infoOfThinned(directory);
    if (thinned !== undefined) return thinned;
    const { spec, state, createdAtMs } = await readRun(directory);
    const { run, status, reason, round } = state;
    const { workload, rounds } = spec.work;
    return { run, workload, status, reason, round, rounds, createdAtMs, directory, activity: '' };
  } catch (thrown) {
    return infoOfDamaged(damagedRun(directory, thrown));
  }
}
