/**
 * A run on disk: run.json (for people), journal.log (the truth), ledger.jsonl (for everyone), models/. The same for a simulation and a deployed run.
 */
import { rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { asideOf, putInPlace, removeTemporaries } from '../../shared/disk/aside.js';
import { type Files, systemFiles, writeFileDurably } from '../../shared/disk/files.js';
import { FlError, inFile, invalidArgument } from '../../shared/errors.js';
import type { Rng } from '../../shared/rng.js';
import { checkPrivacySpec } from '../../shared/run/privacy-cost.js';
import { checkSecureSpec } from '../../shared/run/secagg-params.js';
import { checkRunSpec, type RunSpec, specOf, storedSpec } from '../../shared/run/spec.js';
import { slugOf, stampOf } from '../../shared/run-id.js';
import { sha256Of } from '../../shared/tensors/bytes.js';
import { layoutOf, type Params } from '../../shared/tensors/params.js';
import { decode, encode } from '../../shared/tensors/safetensors.js';
import { VERSION } from '../../shared/version.js';
import { openJournal, parseJournal } from '../journal/journal.js';
import { openModels } from '../journal/models.js';
import { checkpointIn, createdIn, type RunRecord } from '../journal/records.js';
import { HISTORY_FOLDER } from '../journal/segments.js';
import { restore } from '../round/restore.js';
import type { RunState } from '../round/state.js';
import { parseStrategy } from '../strategies/index.js';
import { checkAggregator } from '../updates/check-aggregator.js';
import { CommittedRounds } from './committed.js';
import { type History, readHistory } from './history.js';
import { checkLedger, LEDGER_FILE, type Ledger, openLedger } from './ledger.js';
import { keepBest, openModel } from './model.js';
import { modelMetadata } from './model-metadata.js';
import { createNoise, openNoise } from './noise.js';
import { Run, type RunDeps } from './run.js';
import { allRecordsOf, JOURNAL_FILE, openRunJournal, type RunJournal } from './run-journal.js';

/** What a coordinator lends to all its runs. */
export interface SharedDeps
  extends Omit<RunDeps, 'journal' | 'ledger' | 'models' | 'directory' | 'strategy' | 'noise'> {
  /** Central privacy has noise that follows from `identity`: a simulation's. */
  readonly isNoiseSeeded?: boolean;
  /** By which runs are written; default: the real ones. */
  readonly files?: Files;
  /** Beyond how many bytes a journal is compacted; for tests. */
  readonly journalBytes?: number;
}

/** Readable, sortable, unique: workload-20261124-203000-1f2e. */
export function runIdFor(spec: RunSpec, nowMs: number, rng: Rng): string {
  return `${slugOf(spec.work.workload, 30)}-${stampOf(nowMs)}-${rng.u32().toString(16).padStart(8, '0').slice(0, 4)}`;
}

/**
 * Makes a new run durable, whole or not at all: it is built aside, and its last step is a rename.
 * @throws FlError invalid-argument (a spec that cannot work), already-exists, corrupt (the model is not the spec's).
 */
export async function createRun(
  directory: string,
  id: string,
  spec: RunSpec,
  modelFile: Uint8Array,
  deps: SharedDeps,
): Promise<Run> {
  checkRunSpec(spec);
  checkSecureSpec(spec);
  checkAggregator(spec);
  checkPrivacySpec(spec);
  const { params } = decode(modelFile, { expect: layoutOf(spec.work.model) });
  const { initialModel = sha256Of(params) } = spec.work;
  if (initialModel !== sha256Of(params)) throw invalidArgument('initialModel', initialModel, sha256Of(params));
  const { files = systemFiles } = deps;
  if ((await files.read(join(directory, JOURNAL_FILE))) !== undefined) {
    throw new FlError('already-exists', `${directory} holds a run already; resume it or choose another directory`);
  }
  const aside = await asideOf(directory);
  await rm(aside, { recursive: true, force: true }); // of a creation that was killed
  try {
    await build(aside, { id, spec, params }, { ...deps, files });
    await putInPlace(files, aside, directory, JOURNAL_FILE);
  } catch (error) {
    await rm(aside, { recursive: true, force: true }).catch(() => undefined); // the first error is the one to tell
    throw error;
  }
  return openRun(directory, id, deps);
}

async function build(
  directory: string,
  { id, spec, params }: { id: string; spec: RunSpec; params: Params },
  { files, clock, isNoiseSeeded }: SharedDeps & { readonly files: Files },
): Promise<void> {
  await files.makeDirectory(directory);
  const modelSha256 = sha256Of(params);
  const models = await openModels(join(directory, 'models'), { files });
  await models.put(encode(params, modelMetadata(id, spec.work, 0)), modelSha256);
  const machine = { cores: availableParallelism(), platform: `${process.platform} ${process.arch}` };
  const stored = storedSpec(spec);
  const atMs = clock.nowMs();
  const about = { run: id, version: VERSION, node: process.version, machine, createdAtMs: atMs, spec: stored };
  const text = new TextEncoder().encode(`${JSON.stringify(about, null, 2)}\n`);
  await writeFileDurably(join(directory, 'run.json'), text, files);
  if (!isNoiseSeeded) await createNoise(directory, spec.work, files);
  const { journal } = await openJournal(join(directory, JOURNAL_FILE), { files });
  try {
    const created: RunRecord = { kind: 'created', atMs, run: id, spec: stored, modelSha256 };
    await journal.append(created);
  } finally {
    await journal.close();
  }
}

/** What the journal of a run says, without opening the run: nothing is written. */
export async function readRun(
  directory: string,
): Promise<{ spec: RunSpec; createdAtMs: number; state: RunState; history: History }> {
  const records = await journalRecords(directory);
  const [state] = restore(records, 0);
  const { spec, atMs: createdAtMs } = createdIn(records);
  return { spec: specOf(spec), createdAtMs, state, history: await readHistory(directory) };
}

/** What `journal.log` holds: from its checkpoint on, if it has one. @throws FlError not-found, corrupt */
export async function journalRecords(directory: string): Promise<RunRecord[]> {
  const content = await systemFiles.read(join(directory, JOURNAL_FILE));
  if (content !== undefined) return parseJournal(content).records as RunRecord[];
  throw new FlError('not-found', `${JOURNAL_FILE}: expected the journal of a run, got no file`);
}

/**
 * Opens the run `id` that an earlier process left; it goes on where the journal ends.
 * @throws FlError whose message begins with the file that is wrong: corrupt, not-found, failed-precondition · disk faults
 */
export async function openRun(directory: string, id: string, deps: SharedDeps): Promise<Run> {
  if (!(await systemFiles.list(directory)).includes(JOURNAL_FILE)) {
    throw new FlError('not-found', `${JOURNAL_FILE}: expected the journal of a run, there is none`);
  }
  for (const folder of ['', 'strategy', HISTORY_FOLDER]) await removeTemporaries(join(directory, folder));
  const { files, journalBytes, identity } = deps;
  const ledger = await systemFiles.read(join(directory, LEDGER_FILE));
  let misfit: FlError | undefined;
  const checkRun = (records: readonly unknown[]) => {
    const { run } = createdIn(records as RunRecord[]);
    if (run !== id) throw new FlError('corrupt', `expected run ${id}, got ${run}: is this folder a copy?`);
  };
  /** Before a byte is cut off: a last record that is damaged looks torn, but the ledger may know that it was whole. */
  const checkBoth = (records: readonly unknown[]) => {
    checkRun(records);
    try {
      if (ledger !== undefined) checkLedger(ledger, { records: records as RunRecord[], identity });
    } catch (thrown) {
      misfit = FlError.from(thrown);
      throw misfit;
    }
  };
  const open = (check: typeof checkRun) =>
    inFile(JOURNAL_FILE, () => openRunJournal(directory, { files, journalBytes, check }));
  const { records, journal } = await open(checkBoth).catch(async (thrown) => {
    if (misfit === undefined || ledger === undefined) throw thrown;
    // what a checkpoint says of a ledger that was cut is held against all records, which write it again
    checkLedger(ledger, { records: await allRecordsOf(directory), identity });
    return open(checkRun);
  });
  try {
    return await openWith(directory, records, journal, deps);
  } catch (error) {
    await journal.close();
    throw error;
  }
}

async function openWith(
  directory: string,
  records: readonly RunRecord[],
  journal: RunJournal,
  deps: SharedDeps,
): Promise<Run> {
  const { spec: stored, atMs: createdAtMs, modelSha256: firstSha256 } = createdIn(records);
  const [state, effects] = await inFile(JOURNAL_FILE, async () => restore(records, deps.clock.nowMs()));
  const spec = specOf(stored);
  const ledger = await ledgerOf(directory, records, deps);
  const noise = await openNoise(directory, deps.identity, state.status === 'completed');
  const models = await openModels(join(directory, 'models'), { files: deps.files });
  const best = state.judgement?.best?.modelSha256;
  if (best !== undefined && models.has(best)) await keepBest(models, directory, best);
  if (state.status === 'running') await models.setFinal(undefined); // killed before its end was written down
  const strategy = parseStrategy(spec.engine.strategy);
  const layout = layoutOf(spec.work.model);
  const { modelSha256: sha256 } = state;
  const isMoved = sha256 !== firstSha256;
  const model = await openModel(models, { directory, sha256, layout, strategy, isMoved });
  const run = new Run(
    { ...deps, journal, ledger, models, directory, strategy, noise },
    { spec, createdAtMs, state, model, committed: new CommittedRounds(records), pastRounds: roundsOver(records) },
  );
  run.start(effects);
  return run;
}

/** A ledger that is not what a checkpoint says is held against all records, which say where it is wrong or write it again. */
async function ledgerOf(directory: string, records: readonly RunRecord[], deps: SharedDeps): Promise<Ledger> {
  const { identity, files } = deps;
  try {
    return await openLedger(directory, { records, identity, files });
  } catch (thrown) {
    if (checkpointIn(records) === undefined || FlError.from(thrown).code !== 'corrupt') throw thrown;
    return openLedger(directory, { records: await allRecordsOf(directory), identity, files });
  }
}

function roundsOver(records: readonly RunRecord[]): number {
  const last = records.findLast((record) => record.kind === 'round-ended');
  return last?.summary.round ?? checkpointIn(records)?.rounds ?? 0;
}
