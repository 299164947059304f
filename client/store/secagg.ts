/**
 * What a client keeps of secure aggregation: the state of the current one, for ever the id of each that it has begun, and
 * of each run where its last masked vector went.
 *
 * A coordinator that replays an id, after a crash or a year, is refused: two sums under one id would differ by one client.
 * So is one that asks for a task's vector again under another id, for the difference of those two sums is the same.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemFiles, writeFileDurably } from '../../shared/disk/files.js';
import { openLines } from '../../shared/disk/lines.js';
import { readSecret, writeSecret } from '../../shared/disk/secrets.js';
import { FlError } from '../../shared/errors.js';
import type { TaskId } from '../../shared/run/plan.js';

/** What must outlive a crash for secure aggregation to stay secure. */
export interface SecaggStore {
  /** `state` is there for the aggregation that was kept last; `used` also for all before it. */
  find(aggregationId: string): Promise<{ readonly used: boolean; readonly state?: string }>;
  /**
   * Durable when it resolves; the state of an older aggregation, secrets and all, is gone then. What an aggregation has to
   * say after a newer one was kept is not.
   */
  keep(aggregationId: string, state: string): Promise<void>;
  /** Whether this aggregation may have the task's masked vector: none went elsewhere, for it or for a later task. */
  mayMask(aggregationId: string, task: TaskId): boolean;
  /** The vector goes to this aggregation and no other. Durable when it resolves with true; false: it may not. */
  bind(aggregationId: string, task: TaskId): Promise<boolean>;
}

interface Kept {
  readonly used: Set<string>;
  current: { readonly id: string; readonly state: string } | undefined;
  /** By run and kind. */
  readonly masked: Map<string, { readonly round: number; readonly attempt: number; readonly id: string }>;
}

/** How the parts of {@link Kept} become durable; each resolves when it is. */
interface Saving {
  /** One more id. */
  used(id: string): Promise<void>;
  current(): Promise<void>;
  masked(): Promise<void>;
}

/** For clients that end with their process. */
export function memorySecaggStore(): SecaggStore {
  const nothing = async () => undefined;
  return storeOf(
    { used: new Set(), current: undefined, masked: new Map() },
    { used: nothing, current: nothing, masked: nothing },
  );
}

/** In the folder of a {@link fileSecaggStore}: what the current aggregation goes on by, keys among it. */
export const STATE_FILE = 'current-aggregation.json';

/** Three files in `directory`, one for each part of what is kept. The current state holds keys: it is sealed as those are. */
export async function fileSecaggStore(directory: string): Promise<SecaggStore> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const usedPath = join(directory, 'used-aggregations');
  const currentPath = join(directory, STATE_FILE);
  const maskedPath = join(directory, 'masked-vectors.json');
  const { content, lines: used } = await openLines(usedPath); // one more line each time: it holds all that ever were
  const addUsed = (id: string) => used.append(Buffer.from(`${id}\n`));
  const kept: Kept = {
    used: new Set(Buffer.from(content).toString('utf8').split('\n').slice(0, -1)),
    current: parseIfThere(await readSecret(currentPath), currentPath),
    masked: new Map(parseIfThere<[]>(await systemFiles.read(maskedPath), maskedPath)),
  };
  const { current } = kept;
  if (current !== undefined && !kept.used.has(current.id)) {
    kept.used.add(current.id); // a crash came between the two files
    await addUsed(current.id);
  }
  let writing: Promise<void> = Promise.resolve();
  /** One after the other, in the order asked for: the file must end as the last call left it. */
  const save = (
    path: string,
    render: () => string,
    write: (path: string, bytes: Uint8Array) => Promise<void> = writeFileDurably,
  ) => {
    const bytes = Buffer.from(render());
    const written = writing.then(() => write(path, bytes));
    writing = written.catch(() => undefined); // whoever asked for it is told
    return written;
  };
  return storeOf(kept, {
    used: addUsed,
    current: () => save(currentPath, () => JSON.stringify(kept.current), writeSecret),
    masked: () => save(maskedPath, () => JSON.stringify([...kept.masked])),
  });
}

function storeOf(kept: Kept, save: Saving): SecaggStore {
  const mayMask = (id: string, { run, kind, round, attempt }: TaskId) => {
    const last = kept.masked.get(`${run}/${kind}`);
    if (last === undefined || last.id === id) return true;
    return round > last.round || (round === last.round && attempt > last.attempt);
  };
  return {
    mayMask,
    async find(id) {
      const { used, current } = kept;
      return current?.id === id ? { used: true, state: current.state } : { used: used.has(id) };
    },
    async keep(id, state) {
      const isNew = !kept.used.has(id);
      if (!isNew && kept.current?.id !== id) return;
      kept.used.add(id);
      kept.current = { id, state };
      // The state first: killed before the second, it goes on; the other way round it would refuse itself as replayed.
      await save.current();
      if (isNew) await save.used(id);
    },
    async bind(id, task) {
      if (!mayMask(id, task)) return false;
      const { run, kind, round, attempt } = task;
      kept.masked.set(`${run}/${kind}`, { round, attempt, id });
      await save.masked();
      return true;
    },
  };
}

function parseIfThere<T>(bytes: Uint8Array | undefined, path: string): T | undefined {
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as T;
  } catch (cause) {
    throw new FlError('corrupt', `${path}: damaged; delete it, and the round goes on without this client`, { cause });
  }
}
