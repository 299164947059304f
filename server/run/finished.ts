/**
 * Completed runs, as a coordinator keeps them: a row of `starling run list`, and what else is asked of them is read
 * from the disk. `finished.json` holds the row with size and time of the files that it was made from. While these are as
 * they were, a start reads nothing else of the run; otherwise the run is opened and judged anew, and so it is without it.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { systemFiles, writeFileDurably } from '../../shared/disk/files.js';
import { HEX_32_BYTES } from '../../shared/hex.js';
import type { Receipt, UpdateHeader } from '../../shared/run/plan.js';
import { RUN_STATUSES } from '../../shared/run/summary.js';
import type { PendingUpdate, RunInfo, UploadReply } from '../../shared/service.js';
import { dropReceipt } from '../round/fate.js';
import { readPast } from './committed.js';
import { LEDGER_FILE } from './ledger.js';
import { NOISE_FILE } from './noise.js';
import { JOURNAL_FILE } from './run-journal.js';

/** In a run's directory. */
export const FINISHED_FILE = 'finished.json';

const finishedSchema = z.object({
  version: z.literal(1),
  run: z.string(),
  workload: z.string(),
  status: z.enum(RUN_STATUSES),
  reason: z.string(),
  round: z.int(),
  rounds: z.int(),
  createdAtMs: z.number(),
  modelSha256: z.string().regex(HEX_32_BYTES),
  /** By name: size in bytes and time of the last change in nanoseconds, as in "1024 1764563000123456789". */
  files: z.record(z.string(), z.string()),
});

/** Of a run that has ended, is closed, and whose files were whole. Durable when it resolves. */
export async function writeFinished(info: RunInfo, modelSha256: string): Promise<void> {
  const { run, workload, status, reason, round, rounds, createdAtMs, directory } = info;
  const files = await stampsOf(directory, modelSha256);
  const about = { run, workload, status, reason, round, rounds, createdAtMs, modelSha256, files };
  const text = `${JSON.stringify({ version: 1, ...about }, null, 2)}\n`;
  await writeFileDurably(join(directory, FINISHED_FILE), Buffer.from(text));
}

/** The row of a run that has ended, if `finished.json` is there, whole, and tells of the files that are there now. */
export async function readFinished(directory: string, id: string): Promise<RunInfo | undefined> {
  const text = await systemFiles.read(join(directory, FINISHED_FILE)).catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const { version: _, modelSha256, files, ...row } = finishedSchema.parse(JSON.parse(Buffer.from(text).toString()));
    const now = await stampsOf(directory, modelSha256);
    const isSame = Object.entries(now).every(([name, stamp]) => files[name] === stamp);
    if ((await systemFiles.read(join(directory, NOISE_FILE))) !== undefined) return undefined; // to be erased
    return isSame && row.run === id && row.status === 'completed'
      ? { ...row, directory, activity: 'ended' }
      : undefined;
  } catch {
    return undefined; // opening the run will say what is wrong, if anything is
  }
}

async function stampsOf(directory: string, modelSha256: string): Promise<Record<string, string>> {
  const names = [JOURNAL_FILE, LEDGER_FILE, `models/${modelSha256}.safetensors`];
  const stamps = names.map(async (name) => {
    const { size, mtimeNs } = await stat(join(directory, name), { bigint: true });
    return [name, `${size} ${mtimeNs}`] as const;
  });
  return Object.fromEntries(await Promise.all(stamps));
}

/** What the updates of a run are told that has ended: what became of them, and none is taken. */
export function lateUpdates({ run, directory }: RunInfo, send: (receipt: Receipt) => void) {
  async function lastWord(client: string, { round, attempt, sha256 }: Omit<PendingUpdate, 'run'>): Promise<Receipt> {
    const id = { client, round, attempt, updateSha256: sha256 };
    const receipt = (await readPast(directory, round)).receiptFor(run, id) ?? dropReceipt(run, id, 'round-aborted');
    send(receipt);
    return receipt;
  }

  async function answer(client: string, header: UpdateHeader): Promise<UploadReply> {
    const { outcome } = await lastWord(client, header);
    if (outcome === 'committed') return { outcome: 'accepted', detail: '' };
    return { outcome: 'rejected', detail: 'stale: the run has ended' };
  }

  return {
    traffic: { up: 0 },
    updates: { answerHeader: answer, offer: answer },
    /** A client came back with updates that it keeps: tells it of each that it may forget it. */
    async answerPending(client: string, pending: readonly PendingUpdate[]): Promise<void> {
      for (const update of pending) await lastWord(client, update);
    },
  };
}
