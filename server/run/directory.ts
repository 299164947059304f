/**
 * A run on disk: run.json (for people), journal.log (the truth), ledger.jsonl (for everyone), models/. The same for a simulation and a deployed run.
 */
import { readdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { systemFiles, writeFileDurably } from '../../shared/disk/files.js';
import { FlError } from '../../shared/errors.js';
import type { Rng } from '../../shared/rng.js';
import { checkPrivacySpec } from '../../shared/run/privacy-cost.js';
import { checkSecureSpec } from '../../shared/run/secagg-params.js';
import { checkRunSpec, type RunSpec, specOf, storedSpec } from '../../shared/run/spec.js';
import { spendingOf } from '../../shared/run/spending.js';
import { slugOf, stampOf } from '../../shared/run-id.js';
import { sha256Of } from '../../shared/tensors/bytes.js';
import { layoutOf } from '../../shared/tensors/params.js';
import { decode, encode } from '../../shared/tensors/safetensors.js';
import { VERSION } from '../../shared/version.js';
import { openJournal, parseJournal } from '../journal/journal.js';
import { openModels } from '../journal/models.js';
import { createdIn, type RunRecord } from '../journal/records.js';
import { restore } from '../round/restore.js';
import { initialState, type RunState } from '../round/state.js';
import { parseStrategy } from '../strategies/index.js';
import { checkAggregator } from '../updates/check-aggregator.js';
import { History } from './history.js';
import { openLedger } from './ledger.js';
import { openModel } from './model.js';
import { createNoise, openNoise, seededNoise } from './noise.js';
import { Run, type RunDeps } from './run.js';

/** What a coordinator lends to all its runs. */
interface SharedDeps extends Omit<RunDeps, 'journal' | 'ledger' | 'models' | 'directory' | 'strategy' | 'noise'> {
  /** Central privacy has noise that follows from `identity`: a simulation's. */
  readonly isNoiseSeeded?: boolean;
}

/** Readable, sortable, unique: workload-20261124-203000-1f2e. */
export function runIdFor(spec: RunSpec, nowMs: number, rng: Rng): string {
  return `${slugOf(spec.work.workload, 30)}-${stampOf(nowMs)}-${rng.u32().toString(16).padStart(8, '0').slice(0, 4)}`;
}

/**
 * The run directories below `runs`, sorted; none when there is no such folder. One that {@link createRun} was killed in
 * has no first record: nobody has been told of that run, and it is passed over.
 */
export async function storedRuns(runs: string): Promise<string[]> {
  const entries = await readdir(runs, { withFileTypes: true }).catch(() => []);
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  const made: string[] = [];
  for (const name of names.sort()) {
    const content = await systemFiles.read(join(runs, name, 'journal.log'));
    if (content !== undefined && parseJournal(content).records.length > 0) made.push(join(runs, name));
  }
  return made;
}

/**
 * Makes a new run durable.
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
  const layout = layoutOf(spec.work.model);
  const { params } = decode(modelFile, { expect: layout });
  const modelSha256 = sha256Of(params);
  await systemFiles.makeDirectory(directory);
  if ((await systemFiles.list(directory)).includes('journal.log')) {
    throw new FlError('already-exists', `${directory} holds a run already; resume it or choose another directory`);
  }
  const models = await openModels(join(directory, 'models'));
  await models.put(encode(params), modelSha256);
  const machine = { cores: availableParallelism(), platform: `${process.platform} ${process.arch}` };
  const stored = storedSpec(spec);
  const createdAtMs = deps.clock.nowMs();
  const about = { run: id, version: VERSION, node: process.version, machine, createdAtMs, spec: stored };
  const text = new TextEncoder().encode(`${JSON.stringify(about, null, 2)}\n`);
  await writeFileDurably(join(directory, 'run.json'), text);
  const noise = deps.isNoiseSeeded ? seededNoise(deps.identity) : await createNoise(directory, spec.work);
  const { journal } = await openJournal(join(directory, 'journal.log'));
  const atMs = deps.clock.nowMs();
  const created: RunRecord = { kind: 'created', atMs, run: id, spec: stored, modelSha256 };
  await journal.append(created);
  const ledger = await openLedger(directory, { records: [created], identity: deps.identity });
  const strategy = parseStrategy(spec.engine.strategy);
  const model = await openModel(models, { directory, sha256: modelSha256, layout, strategy });
  const state = initialState(id, stored.engine, modelSha256, spendingOf(spec.work));
  const history = new History([created]);
  return new Run(
    { ...deps, journal, ledger, models, directory, strategy, noise },
    { spec, createdAtMs: atMs, state, history, model },
  );
}

/** What the journal of a run says, without opening the run: nothing is written. */
export async function readRun(directory: string): Promise<{ spec: RunSpec; state: RunState; history: History }> {
  const content = await systemFiles.read(join(directory, 'journal.log'));
  if (content === undefined) throw new FlError('not-found', 'it has no journal.log');
  const records = parseJournal(content).records as RunRecord[];
  const [state] = restore(records, 0);
  return { spec: specOf(createdIn(records).spec), state, history: new History(records) };
}

/** Opens a run that an earlier process left; it goes on where the journal ends. */
export async function openRun(directory: string, deps: SharedDeps): Promise<Run> {
  const { records: raw, journal } = await openJournal(join(directory, 'journal.log'));
  const records = raw as RunRecord[];
  const [state, effects] = restore(records, deps.clock.nowMs());
  const { spec: stored, atMs: createdAtMs } = createdIn(records);
  const spec = specOf(stored);
  const history = new History(records);
  const ledger = await openLedger(directory, { records, identity: deps.identity });
  const noise = await openNoise(directory, deps.identity, state.status === 'completed');
  const models = await openModels(join(directory, 'models'));
  const strategy = parseStrategy(spec.engine.strategy);
  const layout = layoutOf(spec.work.model);
  const model = await openModel(models, { directory, sha256: state.modelSha256, layout, strategy });
  const run = new Run(
    { ...deps, journal, ledger, models, directory, strategy, noise },
    { spec, createdAtMs, state, history, model },
  );
  run.start(effects);
  return run;
}
