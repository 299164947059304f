/**
 * Finding, checking and fetching the data sets of the workloads.
 *
 * A set is looked for in the site's own folder (`dataDir`), in STARLING_DATA_DIR, in ~/.cache/starling/data, and then
 * where its package puts it. Nothing is ever fetched unasked: a workload whose data is missing says which command gets it.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { FlError } from '../../shared/errors.js';
import { download, downloadBytes, keep } from './download.js';
import { presentAs } from './present.js';
import { noteDifference } from './readings.js';
import { DATA_SETS, type DataFile, type DataSet } from './registry.js';

export { DATA_SETS, type DataFile, type DataSet } from './registry.js';

interface DataOptions {
  /** The site's own folder; looked at first. */
  readonly dataDir?: string;
  /** Default: this process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Default: {@link DATA_SETS}. */
  readonly sets?: readonly DataSet[];
}

interface DataStatus {
  readonly set: DataSet;
  /** `unchecked`: all files are there with their right sizes; `ok`: their hashes were compared too. */
  readonly state: 'missing' | 'unchecked' | 'ok' | 'corrupt';
  /** Where the files are; absent when missing. */
  readonly folder?: string;
  /** What a person does next, or which file is wrong; empty when all is well. */
  readonly detail: string;
}

/**
 * The folder that holds all files of a set, or of its copy; of a copy, whoever listens is told in what it differs.
 * @throws FlError data-missing, naming the command that gets it · not-found: no set of that name
 */
export function findData(name: string, options: DataOptions = {}): string {
  const set = dataSet(name, options);
  const folder = locate(set, options);
  if (folder === undefined)
    throw new FlError('data-missing', `data set ${name} is not on this machine: ${remedy(set)}`);
  if (set.copy !== undefined && filesIn(set, folder) === set.copy.files) noteDifference(set.copy.differs);
  return folder;
}

/** One entry for each set. `verify` reads every file and compares its hash; otherwise only presence is looked at. */
export async function dataStatus(options: DataOptions & { verify?: boolean } = {}): Promise<DataStatus[]> {
  const out: DataStatus[] = [];
  for (const set of options.sets ?? DATA_SETS) {
    const folder = locate(set, options);
    if (folder === undefined) {
      out.push({ set, state: 'missing', detail: remedy(set) });
      continue;
    }
    if (!options.verify) {
      out.push({ set, state: 'unchecked', folder, detail: '' });
      continue;
    }
    const wrong = await firstWrongFile(set, folder);
    if (wrong === undefined) out.push({ set, state: 'ok', folder, detail: '' });
    else
      out.push({
        set,
        state: 'corrupt',
        folder,
        detail: `${join(folder, wrong.name)} has another SHA-256 than listed`,
      });
  }
  return out;
}

/**
 * Downloads a set from its official source into `dataDir`, STARLING_DATA_DIR or the cache, whichever is first set; each
 * file appears under its name only when its hash is right. Returns the folder. Files that are there already are kept.
 * @throws FlError failed-precondition: the set comes with a package or has to be prepared (says how) · unavailable ·
 *   corrupt: the source served other bytes
 */
export async function getData(
  name: string,
  options: DataOptions & { signal?: AbortSignal; onFile?: (file: DataFile) => void; fetch?: typeof fetch } = {},
): Promise<string> {
  const set = dataSet(name, options);
  const { how } = set;
  if (how.kind !== 'download' && how.kind !== 'archive') {
    throw new FlError('failed-precondition', `data set ${name}: ${remedy(set)}`);
  }
  const folder = searchPath(options)[0];
  await mkdir(folder, { recursive: true });
  const from = { fetch: options.fetch ?? fetch, signal: options.signal };
  let unpacked: ReadonlyMap<string, Uint8Array> | undefined;
  for (const file of set.files) {
    const path = join(folder, file.name);
    if (existsSync(path) && (await isRight(path, file))) continue;
    options.onFile?.(file);
    if (how.kind === 'download') {
      await download({ file, path, ...from });
      continue;
    }
    unpacked ??= how.unpack(await downloadBytes(how.url, { maxBytes: how.maxBytes, ...from }));
    await keep(file, path, unpacked.get(file.name) ?? new Uint8Array(), how.url);
  }
  return folder;
}

/** What a person does to get the set, as one sentence. */
export function remedy(set: DataSet): string {
  const { how } = set;
  switch (how.kind) {
    case 'npm':
      return `run \`${how.install}\``;
    case 'download': {
      const packaged = how.packaged === undefined ? '' : ` or \`${how.packaged.install}\``;
      return `run \`starling data get ${set.name}\`${packaged}`;
    }
    case 'archive':
      return `run \`starling data get ${set.name}\``;
    case 'prepared':
      return `put ${set.files.map(({ name }) => name).join(', ')} into STARLING_DATA_DIR (made from ${set.source})`;
  }
}

/** Hexadecimal, streamed: the file may be larger than memory. */
async function sha256Of(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest('hex');
}

function dataSet(name: string, { sets = DATA_SETS }: DataOptions): DataSet {
  const set = sets.find((candidate) => candidate.name === name);
  if (set === undefined) {
    const known = sets.map((candidate) => candidate.name).join(', ');
    throw new FlError('not-found', `data set: expected one of ${known}, got ${JSON.stringify(name)}`);
  }
  return set;
}

/** Folders that a site may put data into, first one first. */
function searchPath({ dataDir, env = process.env }: DataOptions): string[] {
  const cache = join(env.HOME ?? homedir(), '.cache', 'starling', 'data');
  return [dataDir, env.STARLING_DATA_DIR, cache].filter((folder) => folder !== undefined && folder !== '') as string[];
}

function locate(set: DataSet, options: DataOptions): string | undefined {
  const own = searchPath(options).flatMap((folder) => [folder, join(folder, set.name)]);
  // Of a package whose files are not listed one by one, only its own folder can say that it is there.
  if (set.files.length === 0) return packageFolder(set).find((folder) => existsSync(folder));
  return [...own, ...packageFolder(set)].find((folder) => filesIn(set, folder) !== undefined);
}

/** The set's files where they are all there, else its copy's; undefined: neither. */
function filesIn({ files, copy }: DataSet, folder: string): readonly DataFile[] | undefined {
  return [files, copy?.files].find((form) => form?.every(({ name }) => presentAs(join(folder, name)) !== undefined));
}

function packageFolder({ how }: DataSet): string[] {
  if (how.kind === 'download' && how.packaged !== undefined) return [how.packaged.folder];
  if (how.kind !== 'npm') return [];
  try {
    const manifest = createRequire(import.meta.url).resolve(`${how.package}/package.json`);
    return [join(dirname(manifest), how.folder)];
  } catch {
    return []; // not installed
  }
}

async function firstWrongFile(set: DataSet, folder: string): Promise<DataFile | undefined> {
  for (const file of filesIn(set, folder) ?? set.files) {
    if (!(await isRight(join(folder, file.name), file))) return file;
  }
  return undefined;
}

/** Whether the file, or what is in `path`.gz where only that is there, has the listed content. */
async function isRight(path: string, { sha256, packagedSha256 }: DataFile): Promise<boolean> {
  if (existsSync(path)) return [sha256, packagedSha256].includes(await sha256Of(createReadStream(path)));
  const unpacked = createReadStream(`${path}.gz`).pipe(createGunzip());
  return sha256 === (await sha256Of(unpacked).catch(() => 'no gzip'));
}
