/**
 * What a client keeps of secure aggregation: the state of the current one, and for ever the id of each that it has begun.
 * A coordinator that replays an id, after a crash or a year, is refused: two sums under one id would differ by one client.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileDurably } from '../shared/disk/files.js';
import { FlError } from '../shared/errors.js';

export interface SecureStore {
  /** `state` is there for the aggregation that was kept last; `used` also for all before it. */
  find(aggregationId: string): Promise<{ readonly used: boolean; readonly state?: string }>;
  /** Durable when it resolves; the state of an older aggregation, secrets and all, is gone then. */
  keep(aggregationId: string, state: string): Promise<void>;
}

export function memorySecureStore(): SecureStore {
  const used = new Set<string>();
  let current: { id: string; state: string } | undefined;
  return {
    async find(id) {
      return current?.id === id ? { used: true, state: current.state } : { used: used.has(id) };
    },
    async keep(id, state) {
      used.add(id);
      current = { id, state };
    },
  };
}

/** Two files in `directory`: the current aggregation, and the ids of all. Mode 0600: the state holds keys. */
export async function fileSecureStore(directory: string): Promise<SecureStore> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const usedPath = join(directory, 'used-aggregations');
  const currentPath = join(directory, 'current-aggregation.json');
  const used = new Set((await readIfThere(usedPath))?.split('\n').filter((line) => line !== ''));
  let current = parseCurrent(await readIfThere(currentPath), currentPath);
  return {
    async find(id) {
      return current?.id === id ? { used: true, state: current.state } : { used: used.has(id) };
    },
    async keep(id, state) {
      if (!used.has(id)) {
        used.add(id);
        await writeFileDurably(usedPath, Buffer.from(`${[...used].join('\n')}\n`));
      }
      current = { id, state };
      await writeFileDurably(currentPath, Buffer.from(JSON.stringify(current)));
    },
  };
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function parseCurrent(text: string | undefined, path: string): { id: string; state: string } | undefined {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as { id: string; state: string };
  } catch (cause) {
    throw new FlError('corrupt', `${path}: damaged; delete it, and the round goes on without this client`, { cause });
  }
}
