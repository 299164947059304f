/**
 * runs.jsonl of a client: the runs that it has begun to follow, in which month, and which settings decided what trained and
 * what was tested. Only ever added to, one line a run, durable before the first task of the run begins.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { systemFiles } from '../../shared/disk/files.js';
import { openLines } from '../../shared/disk/lines.js';
import { HEX_32_BYTES } from '../../shared/hex.js';
import { hyper } from '../../shared/run/settings.js';
import { checkAgainst, type Infer } from '../../shared/schema.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';

/** In the folder of a client. */
export const BEGUN_RUNS_FILE = 'runs.jsonl';

const begunRun = z.object({
  run: z.string(),
  /** SHA-256 of the canonical JSON of the work: a run that changes it is another run. */
  workSha256: z.string().regex(HEX_32_BYTES),
  /** UTC, as in 2026-11. */
  month: z.string().regex(/^\d{4}-\d{2}$/),
  workload: z.string(),
  /** Of the workload's settings, those that decide which example trains and which is tested. */
  roles: hyper,
  isPrivate: z.boolean(),
});

/** One run that was begun here. */
export interface BegunRun extends Infer<typeof begunRun> {}

/** An open file of them. */
export interface BegunRuns {
  readonly all: readonly BegunRun[];
  /** Durable when it resolves. */
  add(run: BegunRun): Promise<void>;
}

/**
 * Opens the file in `directory`, or begins it.
 * @throws FlError invalid-argument: a line is not what a client writes; resource-exhausted or internal: the disk failed
 */
export async function openBegunRuns(directory: string): Promise<BegunRuns> {
  const path = join(directory, BEGUN_RUNS_FILE);
  const { content, lines } = await openLines(path);
  const all = parse(content, path);
  return {
    all,
    async add(run) {
      await lines.append(Buffer.from(`${canonicalJson(run)}\n`));
      all.push(run);
    },
  };
}

/** What the file in `directory` holds, which may be another process's; without a file nothing. */
export async function readBegunRuns(directory: string): Promise<readonly BegunRun[]> {
  const path = join(directory, BEGUN_RUNS_FILE);
  return parse((await systemFiles.read(path)) ?? new Uint8Array(0), path);
}

/** Whole lines; what a crash cut short at the end is none. */
function parse(content: Uint8Array, path: string): BegunRun[] {
  const lines = new TextDecoder().decode(content).split('\n').slice(0, -1);
  return lines.map((line) => {
    const value: unknown = JSON.parse(line);
    checkAgainst(begunRun, value, path);
    return value;
  });
}
