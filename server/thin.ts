/**
 * A run that is over for good, without its bulk: what it came to stays (run.json, the ledger, the report, the last model and
 * the best one, artefacts), what it took goes (the journal and its history, earlier models, what the strategy remembers). Its
 * row is in `kept.json`, since the journal no longer tells it.
 *
 * Only what is listed here is removed, and only after all that stays was found whole; `kept.json` is durable before the
 * first file goes, so that a thinning that was killed is gone on with from wherever it was.
 */
import { rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { entriesOf, removeTemporaries } from '../shared/disk/aside.js';
import { type Files, systemFiles, writeFileDurably } from '../shared/disk/files.js';
import { corrupt, FlError, inFile } from '../shared/errors.js';
import { HEX_32_BYTES } from '../shared/hex.js';
import { RUN_STATUSES } from '../shared/run/summary.js';
import type { RunInfo } from '../shared/service.js';
import type { Identity } from '../shared/signing/identity.js';
import { sha256Of } from '../shared/tensors/bytes.js';
import { decode } from '../shared/tensors/safetensors.js';
import { FINAL_MODEL_FILE } from './journal/models.js';
import { HISTORY_FOLDER } from './journal/segments.js';
import { isReported, writeReport } from './report/build.js';
import { settingsOf } from './report/facts.js';
import { reportOf } from './report/run-report.js';
import { journalRecords, readRun } from './run/directory.js';
import { FINISHED_FILE } from './run/finished.js';
import { checkLedger, LEDGER_FILE } from './run/ledger.js';
import { BEST_MODEL } from './run/model.js';
import { JOURNAL_FILE } from './run/run-journal.js';

/** In the directory of a run that was thinned. */
export const KEPT_FILE = 'kept.json';

const keptSchema = z.object({
  version: z.literal(1),
  run: z.string(),
  workload: z.string(),
  status: z.enum(RUN_STATUSES),
  reason: z.string(),
  round: z.int(),
  rounds: z.int(),
  createdAtMs: z.number(),
  modelSha256: z.string().regex(HEX_32_BYTES),
  thinnedAtMs: z.number(),
});
type Kept = z.infer<typeof keptSchema>;

/**
 * That nothing is lost but the bulk: the run is over for good, its report is there (or is written now), its ledger is that of
 * the journal to its end, its last model is what its name says. As a start does, by hashes; signatures are for `starling verify`.
 * @throws FlError failed-precondition: it may go on; corrupt, not-found: the file that is wrong
 */
export async function checkThinnable(directory: string, identity: Identity): Promise<void> {
  const { spec, state, history } = await readRun(directory);
  const { run, status, modelSha256 } = state;
  if (!isOverForGood(status)) throw new FlError('failed-precondition', `run ${run} is ${status}, and may go on`);
  await inFile(`run ${run}`, async () => {
    const ledger = await systemFiles.read(join(directory, LEDGER_FILE));
    const records = await journalRecords(directory);
    const end = checkLedger(ledger ?? new Uint8Array(0), { records, identity });
    if (end?.modelSha256 !== modelSha256)
      throw corrupt(LEDGER_FILE, `model ${modelSha256} in its last line`, 'another');
    for (const name of [`${modelSha256}.safetensors`, FINAL_MODEL_FILE]) await checkModel(directory, name, modelSha256);
  });
  if (await isReported({ directory, state })) return;
  const facts = { plannedRounds: spec.work.rounds, settings: settingsOf(spec) };
  await writeReport(directory, reportOf({ spec, state, history }), facts);
}

async function checkModel(directory: string, name: string, sha256: string): Promise<void> {
  await inFile(`models/${name}`, async () => {
    const file = await systemFiles.read(join(directory, 'models', name));
    if (file === undefined) throw new FlError('not-found', 'expected the last model, got no file');
    const got = sha256Of(decode(file).params);
    if (got !== sha256) throw corrupt('parameters', `SHA-256 ${sha256}`, got);
  });
}

/** A run that was stopped or has failed may be resumed. */
export function isOverForGood(status: string): boolean {
  return status === 'completed' || status === 'budget-exhausted';
}

/** Removes the bulk, in whatever state a kill has left it; how many bytes that freed. The caller has checked it. */
export async function thin(
  directory: string,
  { nowMs, files = systemFiles }: { readonly nowMs: number; readonly files?: Files },
): Promise<number> {
  await removeTemporaries(directory);
  const { modelSha256 } = (await readKept(directory)) ?? (await writeKept(directory, { nowMs, files }));
  let freedBytes = 0;
  const remove = async (path: string) => {
    const content = await systemFiles.read(path);
    if (content === undefined) return;
    freedBytes += content.length;
    await files.remove(path);
  };
  const models = join(directory, 'models');
  const stay = new Set([`${modelSha256}.safetensors`, FINAL_MODEL_FILE, BEST_MODEL.slice('models/'.length)]);
  for (const { name } of await entriesOf(models)) if (!stay.has(name)) await remove(join(models, name));
  for (const folder of [HISTORY_FOLDER, 'strategy'].map((name) => join(directory, name))) {
    for (const { name } of await entriesOf(folder)) await remove(join(folder, name));
    await rmdir(folder).catch(() => undefined); // it is not there
  }
  for (const name of [FINISHED_FILE, JOURNAL_FILE]) await remove(join(directory, name));
  await files.syncDirectory(directory);
  return freedBytes;
}

async function writeKept(directory: string, { nowMs, files }: { nowMs: number; files: Files }): Promise<Kept> {
  const { spec, createdAtMs, state } = await readRun(directory);
  const { run, status, reason, round, modelSha256 } = state;
  const { workload, rounds } = spec.work;
  const row = { run, workload, status, reason, round, rounds, createdAtMs, modelSha256, thinnedAtMs: nowMs };
  const kept: Kept = { version: 1, ...row };
  await writeFileDurably(join(directory, KEPT_FILE), Buffer.from(`${JSON.stringify(kept, null, 2)}\n`), files);
  return kept;
}

async function readKept(directory: string): Promise<Kept | undefined> {
  const text = await systemFiles.read(join(directory, KEPT_FILE));
  if (text === undefined) return undefined;
  try {
    return keptSchema.parse(JSON.parse(Buffer.from(text).toString()));
  } catch (cause) {
    const expected = 'the row of a run that was archived without its journal';
    throw new FlError('corrupt', `${KEPT_FILE}: expected ${expected}, got other bytes`, { cause });
  }
}

/** The row of a run that was thinned; undefined: it was not. @throws FlError corrupt */
export async function infoOfThinned(directory: string): Promise<RunInfo | undefined> {
  const kept = await readKept(directory);
  if (kept === undefined) return undefined;
  const { run, workload, status, round, rounds, createdAtMs, thinnedAtMs } = kept;
  const day = new Date(thinnedAtMs).toISOString().slice(0, 10);
  const reason = [kept.reason, `journal removed on ${day}; kept: report, ledger, final model`]
    .filter(Boolean)
    .join('; ');
  return { run, workload, status, reason, round, rounds, createdAtMs, directory, activity: '' };
}
