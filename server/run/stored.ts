/** Which runs a data directory holds, and what a killed creation left beside them. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { entriesOf, removeUnfinished } from '../../shared/disk/aside.js';
import { systemFiles } from '../../shared/disk/files.js';
import { parseJournal } from '../journal/journal.js';
import type { Logger } from '../log.js';
import { NOISE_FILE } from './noise.js';
import { JOURNAL_FILE } from './run-journal.js';

/**
 * The run directories below `runs`, sorted, damaged ones and stray folders among them; none when there is no such folder.
 * What a creation left that was cut short is removed; version 0.1 left it under the run's own name, and there it stays.
 */
export async function storedRuns(runs: string, log: Logger): Promise<string[]> {
  for (const name of await removeUnfinished(runs))
    log.info({ directory: join(runs, name) }, 'removed: a run half made or half deleted');
  const folders = (await entriesOf(runs)).filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'));
  const stored: string[] = [];
  for (const directory of folders.map(({ name }) => join(runs, name)).sort()) {
    if (await isCutShort(directory)) log.info({ directory }, 'passed over: a run half made, it may be deleted');
    else stored.push(directory);
  }
  return stored;
}

const MADE_FIRST = new Set(['models', 'run.json', NOISE_FILE, JOURNAL_FILE]);

/** A run of version 0.1 without its first record: nobody has been told of it. What began has a ledger. */
async function isCutShort(directory: string): Promise<boolean> {
  const names = await readdir(directory);
  if (!names.every((name) => MADE_FIRST.has(name) || name.endsWith('.tmp'))) return false;
  const journal = await systemFiles.read(join(directory, JOURNAL_FILE)).catch(() => new Uint8Array(0));
  if (journal === undefined) return true;
  try {
    return parseJournal(journal).records.length === 0;
  } catch {
    return false; // opening it will say what is wrong
  }
}
