/**
 * What a client has released under differential privacy, of each run the last: drawn once, kept before it is said, and sent
 * again when it is asked for again. Noise is never drawn a second time for numbers that may have left, so it need not be
 * drawn from anything that outlives the draw, and a back end whose repeats differ by a bit repeats nothing.
 *
 * A run is followed only forwards: what was released for a round that is behind is gone, and would have to be drawn anew.
 * The values are erased as soon as they can be asked for no more; where the run stood stays for good.
 */
import { mkdir, readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileDurably } from '../../shared/disk/files.js';
import { FlError } from '../../shared/errors.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { bytesOf, sha256Of, valuesOf } from '../../shared/tensors/bytes.js';
import type { Contribution } from '../../shared/tensors/channels.js';

/** Which release of a run: `id` holds all that the numbers depend on but the data and the draw. */
export interface ReleaseName {
  readonly run: string;
  readonly round: number;
  readonly attempt: number;
  readonly id: string;
  /** Whether it is made for one aggregation, of which an attempt may have several until one gets a vector. */
  readonly isByAggregation: boolean;
}

/** Releases by name. */
export interface ReleaseStore {
  /** What was released under this name, which nobody may change; undefined: nothing. @throws FlError corrupt */
  find(name: ReleaseName): Promise<Contribution | undefined>;
  /** Why nothing may be drawn under this name, in words for an operator; undefined: it may. */
  refusalOf(name: ReleaseName): string | undefined;
  /**
   * What is kept under this name, durable when it resolves: `released`, whose values are the store's from now on, unless
   * there was something before. What the run released earlier is gone then.
   * @throws FlError failed-precondition: refused, as {@link refusalOf} says
   */
  keep(name: ReleaseName, released: Contribution): Promise<Contribution>;
  /** Rounds of the run up to this one are over: what was released for them is erased when it resolves. */
  settle(run: string, round: number): Promise<void>;
}

/** Where a run stands, and the release itself until it is settled. */
interface Last {
  readonly round: number;
  readonly attempt: number;
  readonly id: string;
  readonly isSettled: boolean;
  readonly released?: Contribution;
}

/** How a release becomes durable, and how one that another process kept is read. */
interface Disk {
  write(run: string, last: Last): Promise<void>;
  read(run: string): Promise<Contribution | undefined>;
}

/** For clients that end with their process. @param options.withValues false: where a repeat follows from a seed */
export function memoryReleases({ withValues = true } = {}): ReleaseStore {
  const nothing = async () => undefined;
  return storeOf(new Map(), { write: nothing, read: nothing }, withValues);
}

/**
 * A file a run in `directory`, mode 0600: a line that says where it stands, then the values, which are not there any more
 * once they are settled. One write replaces both.
 */
export async function fileReleases(directory: string): Promise<ReleaseStore> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const fileOf = (run: string) => join(directory, `${run}${SUFFIX}`);
  const names = await readdir(directory);
  // what a crash left half written holds values, too
  for (const name of names) if (name.endsWith('.tmp')) await unlink(join(directory, name));
  const runs = names.flatMap((name) => (name.endsWith(SUFFIX) ? name.slice(0, -SUFFIX.length) : []));
  const read = async (run: string) => parse(await readFile(fileOf(run)), fileOf(run));
  const known = await Promise.all(
    runs.map(async (run): Promise<[string, Entry]> => {
      const { released, ...last } = await read(run); // values are read again when they are asked for
      return [run, released === undefined ? last : { ...last, saved: Promise.resolve() }];
    }),
  );
  let writing: Promise<void> = Promise.resolve();
  return storeOf(new Map(known), {
    write(run, last) {
      const written = writing.then(() => writeFileDurably(fileOf(run), render(last)));
      writing = written.catch(() => undefined); // whoever asked for it is told
      return written;
    },
    read: async (run) => (await read(run)).released,
  });
}

const SUFFIX = '.release';

/** Where a run stands, and when that is durable; without `saved` nothing can be found again, and may be drawn again. */
interface Entry extends Last {
  readonly saved?: Promise<void>;
}

function storeOf(entries: Map<string, Entry>, disk: Disk, withValues = true): ReleaseStore {
  const refusalOf = (name: ReleaseName) => refusal(name, entries.get(name.run));

  async function find({ run, id }: ReleaseName): Promise<Contribution | undefined> {
    const entry = entries.get(run);
    if (entry?.id !== id || entry.isSettled || entry.saved === undefined) return undefined;
    await entry.saved.catch(() => undefined); // whoever keeps it is told
    const now = entries.get(run);
    if (now?.id !== id || now.isSettled || now.saved === undefined) return undefined;
    return now.released ?? disk.read(run);
  }

  async function keep(name: ReleaseName, released: Contribution): Promise<Contribution> {
    const reason = refusalOf(name);
    if (reason !== undefined) throw new FlError('failed-precondition', reason);
    const { run, round, attempt, id } = name;
    const before = entries.get(run);
    if (before?.id === id && before.saved !== undefined) return (await find(name)) ?? keep(name, released);
    const last: Last = { round, attempt, id, isSettled: false, ...(withValues && { released }) };
    const saved = disk.write(run, last);
    const entry: Entry = withValues ? { ...last, saved } : last;
    entries.set(run, entry); // before anything is waited for: whoever comes with another draw finds this one
    await saved.catch((error) => {
      if (entries.get(run) === entry) entries.set(run, { round, attempt, id, isSettled: false });
      throw error;
    });
    return released;
  }

  return {
    refusalOf,
    find,
    keep,
    async settle(run, round) {
      const entry = entries.get(run);
      if (entry === undefined || entry.isSettled || entry.round > round) return;
      const { released: _, saved: __, ...rest } = entry;
      const settled = { ...rest, isSettled: true };
      entries.set(run, settled);
      await disk.write(run, settled);
    },
  };
}

function refusal(
  { run, round, attempt, id, isByAggregation }: ReleaseName,
  last: Last | undefined,
): string | undefined {
  if (last === undefined || round > last.round) return undefined;
  const asked = `run ${run}: round ${round} attempt ${attempt} is asked for`;
  const stands = `round ${last.round} attempt ${last.attempt}`;
  if (round < last.round || last.isSettled || (id !== last.id && attempt < last.attempt)) {
    const why = last.isSettled && round === last.round ? 'came into a model' : 'had its release';
    return `${asked} after ${stands} ${why}: noise is drawn once, and a client follows a run only forwards; ${REMEDY}`;
  }
  if (id === last.id || attempt > last.attempt || isByAggregation) return undefined;
  return `${asked} a second time with another model, work or clipping bound: noise is drawn once; ${REMEDY}`;
}

const REMEDY = "if the coordinator's data were restored from a backup, stop this run there and start a new one";

/** One line of JSON, then the values. */
function render({ released, ...last }: Last): Uint8Array {
  if (released === undefined) return Buffer.from(`${canonicalJson(last)}\n`);
  const { values, weights, metrics } = released;
  const header = { ...last, weights, metrics, sha256: sha256Of({ values }) };
  return Buffer.concat([Buffer.from(`${canonicalJson(header)}\n`), bytesOf(values)]);
}

function parse(file: Buffer, path: string): Last {
  try {
    const end = file.indexOf(0x0a);
    const { weights, metrics, sha256, ...last } = JSON.parse(file.subarray(0, end).toString());
    if (typeof last.id !== 'string' || typeof last.isSettled !== 'boolean') throw new TypeError('no release');
    if (weights === undefined) return last;
    const values = valuesOf(file.subarray(end + 1));
    if (sha256Of({ values }) !== sha256) throw new TypeError('other values');
    return { ...last, released: { values, weights, metrics } };
  } catch (cause) {
    throw new FlError('corrupt', `${path}: damaged; delete it, and this client is left out of that round`, { cause });
  }
}
