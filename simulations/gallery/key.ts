/** What a run of the gallery follows from: while it is the same, the run is not made again. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { serialize } from 'node:v8';
import { loadData } from '../../client/training/task.js';
import type { ScaleName, Workload } from '../../client/workload.js';
import { codeSha256 } from '../../client/workloads/code.js';
import { isWorkloadPath } from '../../client/workloads/index.js';

const COMPILED = fileURLToPath(new URL('../../', import.meta.url));
/** Of the compiled tree: what a run is computed by. */
const ROOMS = ['shared', 'server', 'client', 'simulations'];
/** What only makes pages changes no run. */
const PAGES = join('simulations', 'gallery');
const LENGTH = 16;

/** What is asked for. */
export interface Asked {
  /** A built-in name or a file. */
  readonly name: string;
  readonly workload: Workload;
  readonly scale: string;
  readonly seed: number;
  /** The whole command, without where it writes to. */
  readonly args: readonly string[];
}

/** The first 16 hex digits of a hash over code, the data as the scale loads them, and settings. @throws FlError as `load` */
export async function keyOf({ name, workload, scale, seed, args }: Asked): Promise<string> {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([args, process.version]));
  for (const room of ROOMS) await addFolder(hash, join(COMPILED, room));
  if (isWorkloadPath(name)) hash.update(await codeSha256(name));
  const { hyper } = workload.manifest.scales[scale as ScaleName];
  hash.update(serialize(await loadData(workload, { hyper, seed })));
  return hash.digest('hex').slice(0, LENGTH);
}

async function addFolder(hash: ReturnType<typeof createHash>, folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true });
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    const place = relative(COMPILED, path);
    if (entry.isDirectory() && place !== PAGES) await addFolder(hash, path);
    else if (entry.name.endsWith('.js')) hash.update(`${place}\0`).update(await readFile(path));
  }
}
