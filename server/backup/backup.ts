/**
 * A copy of a coordinator's data directory, made while the coordinator works: what is in the copy fits together as if the
 * disk had stood still for a moment. Nobody is asked to wait, since every file is added to, replaced whole, or never changed:
 *
 * - Of a run, what follows from the journal comes before it (the ledger has no line that the journal lacks; noise.key is
 *   there if the journal says that it is needed), and what it counts in history/ and the model that it names after it. If that one has been
 *   dropped meanwhile, the run has gone on, and is copied again.
 * - The archive comes after the runs: one that is archived meanwhile is in it.
 * - clients.log comes last: whoever is in a run has enrolled before.
 */
import { rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { entriesOf } from '../../shared/disk/aside.js';
import { type Files, systemFiles } from '../../shared/disk/files.js';
import { FlError } from '../../shared/errors.js';
import { parseJournal } from '../journal/journal.js';
import { HISTORY_FOLDER } from '../journal/segments.js';
import { damagedRun, isOfMachine } from '../run/damaged.js';
import { readRun } from '../run/directory.js';
import { LEDGER_FILE } from '../run/ledger.js';
import { NOISE_FILE } from '../run/noise.js';
import { JOURNAL_FILE } from '../run/run-journal.js';
import { ARCHIVE_FOLDER } from '../upkeep.js';
import { copyFile, type FileEntry, newFolder } from './copy.js';

/** In a backup: what is in it. It comes last. */
export const BACKUP_FILE = 'backup.json';
const CLIENTS_FILE = 'clients.log';
/** A run that is faster than its own copy so many times has rounds of milliseconds. */
const MAX_TRIES = 20;

/** A run in a backup; the figures are absent where it is damaged, and copied as it is. */
export interface BackedUpRun {
  readonly run: string;
  readonly status: string;
  readonly round?: number;
  readonly modelSha256?: string;
  readonly reason?: string;
}

/** What `backup.json` says. */
export interface Backup {
  readonly version: 1;
  readonly takenAtMs: number;
  readonly runs: readonly BackedUpRun[];
  readonly files: readonly FileEntry[];
}

/** What a copy is made with, and into. */
interface Copying {
  readonly files: Files;
  readonly to: string;
  readonly entries: Map<string, FileEntry>;
}

/**
 * Copies `dataDir` into the new folder `to`, whole or not at all; durable when it resolves.
 * @throws FlError not-found: no coordinator's data; already-exists: `to` holds something · disk faults
 */
export async function backUp(
  dataDir: string,
  to: string,
  { nowMs, files = systemFiles }: { readonly nowMs: number; readonly files?: Files },
): Promise<Backup> {
  if ((await files.read(join(dataDir, 'identity.key'))) === undefined) {
    throw new FlError('not-found', `${dataDir}: expected a coordinator's data directory, it has no identity.key`);
  }
  return newFolder(files, { directory: to, last: BACKUP_FILE }, async (aside) => {
    const copying: Copying = { files, to: aside, entries: new Map() };
    for (const { name } of await entriesOf(dataDir)) {
      if (!['runs', ARCHIVE_FOLDER, CLIENTS_FILE].includes(name)) await copyAny(copying, dataDir, name);
    }
    const runs: BackedUpRun[] = [];
    const folders = (await entriesOf(join(dataDir, 'runs'))).filter((entry) => entry.isDirectory());
    for (const name of folders.map((entry) => entry.name).sort()) {
      if (isPassing(name)) continue;
      const run = await copyRun(copying, dataDir, join('runs', name));
      if (run !== undefined) runs.push(run);
    }
    await copyArchive(copying, dataDir);
    await copyJournal(copying, dataDir, CLIENTS_FILE);
    const list = [...copying.entries.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
    const backup: Backup = { version: 1, takenAtMs: nowMs, runs, files: list };
    const text = Buffer.from(`${JSON.stringify(backup, null, 2)}\n`);
    await copyFile(files, { bytes: text, to: join(aside, BACKUP_FILE), path: BACKUP_FILE });
    return backup;
  });
}

/** What belongs to a process, or is half written. */
function isPassing(name: string): boolean {
  return /^(lock(\..*)?|health\..*|\.(new|gone)-.*|.*\.tmp)$/.test(name);
}

/** A file as it stands, or all of a folder; one that is gone meanwhile is no part of the copy. */
async function copyAny(copying: Copying, from: string, path: string): Promise<void> {
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (isPassing(name)) return;
  const source = join(from, path);
  const inside = await entriesOf(source).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (inside !== undefined) {
    for (const entry of inside) await copyAny(copying, from, join(path, entry.name));
    return;
  }
  const bytes = await copying.files.read(source);
  if (bytes !== undefined) await put(copying, path, bytes);
}

async function put({ files, to, entries }: Copying, path: string, bytes: Uint8Array): Promise<void> {
  entries.set(path, await copyFile(files, { bytes, to: join(to, path), path }));
}

/** Its whole records: what is being written at this moment was promised to nobody. */
async function copyJournal(copying: Copying, from: string, path: string): Promise<void> {
  const content = await copying.files.read(join(from, path));
  if (content === undefined) return;
  let { length } = content;
  try {
    length = parseJournal(content).endBytes;
  } catch {
    // damaged, and copied as it is: whoever opens it says what is wrong
  }
  await put(copying, path, content.subarray(0, length));
}

const FIRST = [LEDGER_FILE, NOISE_FILE];
const LAST = [HISTORY_FOLDER, 'models', 'strategy'];

/** What gets its name there meanwhile (server/upkeep.ts thins under another one) is copied under that. */
async function copyArchive(copying: Copying, from: string): Promise<void> {
  const copied = new Set<string>();
  for (;;) {
    const names = (await entriesOf(join(from, ARCHIVE_FOLDER))).map(({ name }) => name);
    const next = names.find((name) => !copied.has(name));
    if (next === undefined) return;
    copied.add(next);
    await copyAny(copying, from, join(ARCHIVE_FOLDER, next));
  }
}

/** Undefined: it was archived or deleted meanwhile, and nothing of it is copied. */
async function copyRun(copying: Copying, from: string, path: string): Promise<BackedUpRun | undefined> {
  const directory = join(from, path);
  for (let tries = 1; ; tries++) {
    for (const name of FIRST) await copyAny(copying, from, join(path, name)); // before what they follow from
    const others = (await entriesOf(directory)).map(({ name }) => name);
    for (const name of others) {
      if (![...FIRST, ...LAST, JOURNAL_FILE].includes(name)) await copyAny(copying, from, join(path, name));
    }
    await copyJournal(copying, from, join(path, JOURNAL_FILE));
    for (const name of LAST) await copyAny(copying, from, join(path, name));
    try {
      const { state } = await readRun(join(copying.to, path));
      const { run, status, round, modelSha256 } = state;
      const model = join(path, 'models', `${modelSha256}.safetensors`);
      if (copying.entries.has(model)) return { run, status, round, modelSha256 };
      throw new FlError('not-found', `${relative(path, model)}: expected the model of the journal, got no file`);
    } catch (thrown) {
      if (isOfMachine(thrown)) throw thrown;
      if ((await entriesOf(directory)).length === 0) return takeBack(copying, path);
      const { run, reason } = damagedRun(directory, thrown);
      if (tries >= MAX_TRIES) return { run, status: 'damaged', reason };
    }
  }
}

async function takeBack({ to, entries }: Copying, path: string): Promise<undefined> {
  for (const name of [...entries.keys()]) if (name.startsWith(`${path}/`)) entries.delete(name);
  await rm(join(to, path), { recursive: true, force: true });
}
