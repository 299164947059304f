/**
 * After the last round: figures, artefacts, the report. Done where the workload's code is, which the coordinator is not.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadData } from '../client/training/task.js';
import type { Workload } from '../client/workload.js';
import { openModels } from '../server/journal/models.js';
import { writeReport } from '../server/report/build.js';
import { settingsOf } from '../server/report/facts.js';
import { reportOf } from '../server/report/run-report.js';
import { readRun } from '../server/run/directory.js';
import type { History } from '../server/run/history.js';
import type { Run } from '../server/run/run.js';
import { recordsOf } from '../server/run/run-journal.js';
import { FlError } from '../shared/errors.js';
import { rngFromSeed } from '../shared/rng.js';
import type { RunEvent } from '../shared/run/events.js';
import { figuresOfEvaluation } from '../shared/run/figures.js';
import { bySplit, type SumMetrics } from '../shared/run/metrics.js';
import type { CentralFigures, Report } from '../shared/run/report.js';
import type { RunSpec } from '../shared/run/spec.js';
import type { RoundSummary } from '../shared/run/summary.js';
import { type HostTensors, layoutOf, type Params } from '../shared/tensors/params.js';

/** The report, its page as HTML, and the run directory that both were written to. */
export interface SimulationResult {
  readonly report: Report;
  readonly directory: string;
  readonly html: string;
}

/** What the end of a run needs beside the run. */
export interface FinishOptions {
  readonly workload: Workload;
  /** The run directory. */
  readonly directory: string;
  readonly backend?: string;
  readonly baselines?: Report['baselines'];
  /** Clients of the federation, for the page. */
  readonly clients: number;
  readonly command?: string;
  /** Figures of rounds, where more are known than the coordinator had. */
  readonly roundFigures?: ReadonlyMap<number, Readonly<Record<string, number>>>;
  /** What a central test set says of rounds. */
  readonly centralFigures?: ReadonlyMap<number, CentralFigures>;
  /** Of a simulation: its noise came from the system and not from the seed. Absent for deployed runs. */
  readonly secretNoise?: boolean;
  /** While the rows beside the run were made: some are missing. */
  readonly interrupted?: boolean;
}

/** Why a report says `stopped` of a run that has all its rounds. */
export const INTERRUPTED = 'interrupted while the rows beside it were made; the run itself is complete';

/** What is needed of a run that has ended. */
export type EndedRun = Pick<Run, 'spec' | 'state'> & {
  readonly history: History;
  readonly model: { readonly params: Params };
};

/** Writes artefacts/, report.json and report.html into the run directory. */
export async function finishRun(options: FinishOptions, run: EndedRun): Promise<SimulationResult> {
  const { workload, directory, backend, baselines, command, clients, secretNoise } = options;
  const whole = reportOf(run, {
    backend,
    baselines,
    command,
    artefacts: await writeArtefacts(options, run),
    noise: secretNoise === undefined ? undefined : secretNoise ? 'secret' : 'from-seed',
    figures: (sums) => figuresOf(workload, sums, run.spec),
    roundFigures: options.roundFigures,
    centralFigures: options.centralFigures,
  });
  const report: Report = options.interrupted ? { ...whole, status: 'stopped', reason: INTERRUPTED } : whole;
  const { headline } = workload.manifest;
  const facts = { headline, clients, plannedRounds: run.spec.work.rounds, settings: settingsOf(run.spec) };
  const { html } = await writeReport(directory, report, facts);
  return { report, directory, html };
}

/** A run's events with the figures that only the workload's code tells. */
export function withCode(workload: Workload, run: Pick<Run, 'spec' | 'pooled'>): (event: RunEvent) => RunEvent {
  return (event) => {
    if (event.kind !== 'round-ended') return event;
    const metrics = roundFigures(workload, event.summary, { spec: run.spec, pooled: run.pooled });
    return { ...event, summary: { ...event.summary, metrics } };
  };
}

/** The same of all rounds that are over, by round. */
export async function roundFiguresIn(
  directory: string,
  workload: Workload,
  spec: RunSpec,
): Promise<ReadonlyMap<number, Readonly<Record<string, number>>>> {
  const byRound = new Map<number, Readonly<Record<string, number>>>();
  if (workload.finish === undefined) return byRound;
  for await (const records of recordsOf(directory)) {
    for (const record of records) {
      if (record.kind !== 'round-ended') continue;
      const { summary, pooled } = record;
      byRound.set(summary.round, roundFigures(workload, summary, { spec, pooled }));
    }
  }
  return byRound;
}

function roundFigures(
  workload: Workload,
  { resolution = {}, metrics: known, evaluated }: RoundSummary,
  { spec, pooled }: { readonly spec: RunSpec; readonly pooled: SumMetrics },
): Readonly<Record<string, number>> {
  if (workload.finish === undefined || !evaluated?.clients) return known;
  const all = Object.entries(figuresOf(workload, pooled, spec));
  // what the coordinator has left out is below what can be seen
  const seen = all.filter(([name]) => Object.hasOwn(known, name) || !Object.hasOwn(resolution, name));
  return { ...known, ...Object.fromEntries(seen) };
}

/** The same for a run directory that another process has filled. */
export async function finishDirectory(options: FinishOptions): Promise<SimulationResult> {
  const { spec, state, history } = await readRun(options.directory);
  const models = await openModels(join(options.directory, 'models'));
  const { params } = await models.load(state.modelSha256, { expect: layoutOf(spec.work.model) });
  return finishRun(options, { spec, state, history, model: { params } });
}

/** The means of the pooled sums and what specification and workload make of the others, under `test.` and `validation.`. */
export function figuresOf(
  workload: Workload,
  sums: SumMetrics,
  { engine }: Pick<RunSpec, 'engine'>,
): Record<string, number> {
  const named = Object.entries(bySplit(sums)).flatMap(([split, own]) => {
    const finished = Object.keys(own).length === 0 ? {} : (workload.finish?.(own) ?? {});
    return Object.entries(finished).map(([name, value]) => [`${split}.${name}`, value] as const);
  });
  const { metrics } = figuresOfEvaluation(sums, { formulas: engine.figures?.formulas });
  return { ...metrics, ...Object.fromEntries(named) };
}

async function writeArtefacts({ workload, directory }: FinishOptions, run: EndedRun): Promise<Report['artefacts']> {
  const { pooled: sums } = run.history;
  if (workload.artefacts === undefined || Object.keys(sums).length === 0) return [];
  const { hyper, seed } = run.spec.work;
  const { selectBackend } = await import('../client/backends/index.js');
  await selectBackend(); // pictures may need the model
  const data = await loadData(workload, { hyper, seed });
  const shared = tensorsOf(run.model.params);
  const written: Report['artefacts'][number][] = [];
  await mkdir(join(directory, 'artefacts'), { recursive: true });
  const rng = rngFromSeed(seed).split('artefacts');
  const about = { shared, data, hyper, sums, rng };
  for await (const artefact of workload.artefacts(withOwnMetrics(about, run))) {
    const path = `artefacts/${artefact.path}`;
    await writeFile(join(directory, path), artefact.bytes);
    written.push({ path, mime: artefact.mime, title: artefact.title });
  }
  return written;
}

/** Each client's own sums; under secure aggregation asking for them is an error, and not a picture of nobody. */
function withOwnMetrics<About extends object>(about: About, { spec, history }: EndedRun) {
  return {
    ...about,
    get perClient() {
      if (spec.work.secure === undefined) return history.perClient;
      const why = 'secure aggregation shows sums over clients only';
      throw new FlError('failed-precondition', `perClient: there are no metrics of single clients: ${why}`);
    },
  };
}

function tensorsOf({ layout, values }: Params): HostTensors {
  const entries = layout.map(({ name, shape, offset, size }) => {
    return [name, { shape, data: values.subarray(offset, offset + size) }] as const;
  });
  return Object.fromEntries(entries);
}
