/**
 * The directory of a simulation: new, to be gone on with, or complete. `simulation.json` keeps what was asked for, which the
 * run itself does not say (clients, drop-outs, the back end ...), so that the same command, or `--resume`, does the same.
 */
import { mkdir, readFile, rm, rmdir, stat } from 'node:fs/promises';
import { resolve as absolute, join } from 'node:path';
import { isWorkloadPath } from '../client/workloads/index.js';
import { JOURNAL_FILE } from '../server/run/run-journal.js';
import { writeFileDurably } from '../shared/disk/files.js';
import { lockDirectory } from '../shared/disk/lock.js';
import { corrupt, FlError, invalidArgument } from '../shared/errors.js';
import type { Report } from '../shared/run/report.js';
import type { Config } from '../shared/run/settings.js';
import { type RunSpec, storedSpec } from '../shared/run/spec.js';
import { canonicalJson } from '../shared/signing/canonical-json.js';
import { sha256Hex } from '../shared/signing/identity.js';
import { checkConfig } from './config/resolve.js';

/** In a run directory. */
export const SIMULATION_FILE = 'simulation.json';

/** What a simulation was asked for; paths are absolute. */
interface Kept {
  readonly config: Config;
  /** SHA-256 of the canonical specification. */
  readonly specSha256: string;
  readonly backend: string;
}

/** A directory that this process holds. */
export interface Place {
  /** The back end that the simulation was begun with; undefined: it begins now. */
  readonly backend: string | undefined;
  /** The report of a simulation that has nothing left to do. */
  readonly done: Report | undefined;
  /**
   * Before the run begins or goes on: durable when it resolves.
   * @throws FlError failed-precondition: the same settings give another run now
   */
  keep(spec: RunSpec, backend: string): Promise<void>;
  /** Gives the directory back; one in which no run has begun is left as it was found. */
  release(): Promise<void>;
}

/** What the simulation in `directory` was asked for. @throws FlError invalid-argument: there is none · corrupt */
export async function settingsIn(directory: string): Promise<Config> {
  const kept = await readKept(directory);
  if (kept !== undefined) return { ...kept.config, out: directory };
  throw invalidArgument('--resume', `a directory with ${SIMULATION_FILE}, of starling simulate`, directory);
}

/** @throws FlError invalid-argument: another simulation is there · already-exists: another process holds it, or another run */
export async function openPlace(directory: string, config: Config): Promise<Place> {
  const wasThere = await isThere(directory);
  await mkdir(directory, { recursive: true });
  const unlock = lockDirectory(directory);
  const isBegun = () => isThere(join(directory, JOURNAL_FILE));
  let kept: Kept | undefined;
  async function release(): Promise<void> {
    if (kept === undefined && !(await isBegun())) await rm(join(directory, SIMULATION_FILE), { force: true });
    unlock();
    if (!wasThere) await rmdir(directory).catch(() => undefined); // what is in it stays
  }
  try {
    kept = await readKept(directory);
    if (kept !== undefined) checkSame(kept.config, config, directory);
    else if (await isBegun()) {
      const next = `choose another directory; it has no ${SIMULATION_FILE}`;
      throw new FlError('already-exists', `${directory} holds a run already, which cannot go on here; next: ${next}`);
    }
    const done = await doneIn(directory, config);
    return {
      backend: kept?.backend,
      done,
      release,
      keep: (spec, backend) => keep(directory, { kept, config, spec, backend }),
    };
  } catch (error) {
    await release();
    throw error;
  }
}

async function keep(
  directory: string,
  about: { kept: Kept | undefined; config: Config; spec: RunSpec; backend: string },
): Promise<void> {
  const { kept, config, spec, backend } = about;
  const specSha256 = sha256Hex(canonicalJson(storedSpec(spec)));
  if (kept === undefined) {
    const text = `${JSON.stringify({ config: asKept(config), specSha256, backend }, null, 2)}\n`;
    return writeFileDurably(join(directory, SIMULATION_FILE), Buffer.from(text));
  }
  if (kept.specSha256 === specSha256) return;
  const why = 'the workload, or this version of Starling, makes another specification of the same settings now';
  throw new FlError('failed-precondition', `${directory} cannot go on: ${why}; next: start anew in another directory`);
}

/** Where a run is kept and how many threads train changes nothing of it. */
function asKept({ out: _, workers: __, ...config }: Config): Config {
  const path = (value: unknown) => (typeof value === 'string' ? absolute(value) : value);
  const paths = ['initial-model', 'initial-model-names', 'evaluate-on'] as const;
  const entries = paths.flatMap((key) => (config[key] === undefined ? [] : [[key, path(config[key])] as const]));
  const workload = isWorkloadPath(config.workload) ? absolute(config.workload) : config.workload;
  return { ...config, ...Object.fromEntries(entries), workload };
}

function checkSame(kept: Config, given: Config, directory: string): void {
  const [before, now] = [kept, asKept(given)].map((config) => config as Readonly<Record<string, unknown>>);
  const text = (value: unknown) => (value === undefined ? 'none' : canonicalJson(value));
  for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
    if (text(before[key]) === text(now[key])) continue;
    const found = `${directory} holds another simulation: ${key}: expected ${text(before[key])}, got ${text(now[key])}`;
    throw new FlError('invalid-argument', `${found}; next: --resume ${directory}, or another directory`);
  }
}

/** A run that was stopped, or whose baselines were, has something left to do. */
async function doneIn(directory: string, { baselines }: Config): Promise<Report | undefined> {
  const text = await readFile(join(directory, 'report.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const report = JSON.parse(text) as Report;
  if (report.status === 'stopped' || report.status === 'running') return undefined;
  const lacksRows = baselines !== 'none' && report.status === 'completed' && Object.keys(report.baselines).length === 0;
  return lacksRows ? undefined : report;
}

async function readKept(directory: string): Promise<Kept | undefined> {
  const path = join(directory, SIMULATION_FILE);
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const { config, specSha256, backend } = JSON.parse(text) as Kept;
    return { config: checkConfig(config, path), specSha256, backend };
  } catch (cause) {
    throw corrupt(path, 'the settings of a simulation', FlError.from(cause).message);
  }
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
