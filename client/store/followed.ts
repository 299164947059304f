/**
 * How far the coordinator has come in each run, by its own signature: what a client shows when it logs in, so that a
 * coordinator that was restored from a backup learns of what it has forgotten. Nothing here is a secret of the site's: it
 * is what the coordinator has said, to whoever it said it.
 *
 * `followed.json` has the last task of each run, `ledger-heads.jsonl` the heads. Losing either costs evidence, no promise.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { linesOf } from '../../shared/chain/chain.js';
import { type Files, systemFiles, writeFileDurably } from '../../shared/disk/files.js';
import { FlError } from '../../shared/errors.js';
import { fromHex, toHex } from '../../shared/hex.js';
import { parseHead, type SignedHead } from '../../shared/ledger/against.js';
import type { TaskId } from '../../shared/run/plan.js';
import { MAX_SHOWN_RUNS, type Shown, type SignedTask } from '../../shared/signing/shown.js';
import { LEDGER_HEADS_FILE } from './ledger-heads.js';

/** In a client's directory. */
export const FOLLOWED_FILE = 'followed.json';

/** What is shown, and how it grows. Older than what is known already changes nothing. */
export interface Followed {
  shown(): Shown;
  /** Durable when it resolves, where there is a disk. */
  task(signed: SignedTask): Promise<void>;
  head(signed: SignedHead): void;
}

/** For clients that end with their process. */
export function memoryFollowed(): Followed {
  return followedOf({ tasks: [], heads: [] }, async () => undefined);
}

/** In `directory`. @throws FlError corrupt naming the file */
export async function fileFollowed(directory: string, files: Files = systemFiles): Promise<Followed> {
  const path = join(directory, FOLLOWED_FILE);
  const tasks = parse(await files.read(path), path);
  const heads = headsIn((await files.read(join(directory, LEDGER_HEADS_FILE))) ?? new Uint8Array(0));
  let writing: Promise<void> = Promise.resolve();
  return followedOf({ tasks, heads }, (latest) => {
    const text = JSON.stringify(latest.map(({ task, signature }) => ({ task, signature: toHex(signature) })));
    const written = writing.then(() => writeFileDurably(path, Buffer.from(text), files));
    writing = written.catch(() => undefined); // whoever asked for it is told
    return written;
  });
}

function followedOf({ tasks, heads }: Shown, save: (tasks: readonly SignedTask[]) => Promise<void>): Followed {
  const lastTasks = new Map(tasks.map((signed) => [signed.task.run, signed]));
  const lastHeads = new Map<string, SignedHead>();
  const head = (signed: SignedHead) => {
    const { run, round } = signed.head;
    if (round > (lastHeads.get(run)?.head.round ?? 0)) putLast(lastHeads, run, signed);
  };
  heads.forEach(head);
  return {
    shown: () => ({ tasks: [...lastTasks.values()], heads: [...lastHeads.values()] }),
    head,
    async task(signed) {
      const { run } = signed.task;
      const last = lastTasks.get(run);
      if (last !== undefined && !isLater(signed.task, last.task)) return;
      putLast(lastTasks, run, signed);
      await save([...lastTasks.values()]);
    },
  };
}

/** A map remembers the order of insertion: the runs heard of last are last, and the first makes room. */
function putLast<T>(map: Map<string, T>, run: string, value: T): void {
  map.delete(run);
  map.set(run, value);
  if (map.size > MAX_SHOWN_RUNS) map.delete(map.keys().next().value!);
}

function isLater(a: TaskId, b: TaskId): boolean {
  if (a.round !== b.round) return a.round > b.round;
  if (a.kind !== b.kind) return a.kind === 'evaluate';
  return a.attempt > b.attempt;
}

/** Of each run the last; what a crash cut short at the end is none. */
function headsIn(content: Uint8Array): SignedHead[] {
  const whole = content.subarray(0, content.lastIndexOf(0x0a) + 1);
  return linesOf(whole).flatMap((line) => {
    try {
      return [parseHead(line)];
    } catch {
      return []; // `starling verify --against` is who says what is wrong with it
    }
  });
}

const stored = z.array(
  z.object({
    task: z.object({ run: z.string(), kind: z.enum(['train', 'evaluate']), round: z.int(), attempt: z.int() }),
    signature: z.string().regex(/^[0-9a-f]{128}$/),
  }),
);

function parse(file: Uint8Array | undefined, path: string): SignedTask[] {
  if (file === undefined) return [];
  try {
    const tasks = stored.parse(JSON.parse(new TextDecoder().decode(file)));
    return tasks.map(({ task, signature }) => ({ task, signature: fromHex(signature) }));
  } catch (cause) {
    const next = 'delete it: a coordinator that was restored from a backup then learns less from this client';
    throw new FlError('corrupt', `${path}: damaged; ${next}`, { cause });
  }
}
