/**
 * What the page of a workload is made from, and no more: a few figures of each run, small enough to be kept in the
 * repository beside the page. From the report of a run and its run.json.
 */
import type { Manifest } from '../../client/workload.js';
import { largestCohort, total } from '../../server/report/facts.js';
import { findMetric, metricNames, metricValue } from '../../server/report/metrics.js';
import { comparisonRows, failuresBeside } from '../../server/report/rows.js';
import { FlError } from '../../shared/errors.js';
import type { BaselineReport, Population, Report, RowName, Tuned } from '../../shared/run/report.js';
import type { RunSpec } from '../../shared/run/spec.js';

/** Values by the name of the metric. */
export type Figures = Readonly<Record<string, number>>;

/** One model of the comparison: the figures that a page shows. */
export interface RowResult {
  readonly name: RowName;
  readonly label: string;
  /** On the test data of all clients. */
  readonly pooled: Figures;
  /** On each client's own, the mean over clients. */
  readonly own: Figures;
  /** Each client's on its own, of metrics that a claim is made for each client of. */
  readonly each?: Readonly<Record<string, Figures>>;
  readonly privacy?: NonNullable<Report['privacy']>;
  /** Of a row whose ε is too large: clients that would be enough, with the same noise; absent: no number would. */
  readonly enoughClients?: number;
  /** What kind of floor it is; absent: none. */
  readonly floor?: string;
  /** What it was judged on. */
  readonly population?: Population;
  /** How a reference row came by its setting. */
  readonly tuned?: Tuned;
  /** Rounds of one training, and what was done in each. */
  readonly work?: BaselineReport['work'];
}

/** One run. */
export interface SeedResult {
  readonly seed: number;
  /** Without where it was written to. */
  readonly command: string;
  readonly backend: string;
  readonly starling: string;
  readonly node: string;
  readonly cores: number;
  readonly platform: string;
  /** Day, UTC. */
  readonly date: string;
  readonly clients: number;
  readonly cohort: number;
  readonly rounds: number;
  readonly durationMs: number;
  /** Of the federated model. */
  readonly modelSha256?: string;
  /** Of all clients in one round, on average. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly secureAggregation: boolean;
  readonly rows: readonly RowResult[];
  /** Trainings that came to nothing, and why. */
  readonly failures: Readonly<Record<string, string>>;
}

/** A picture that lies beside the page. */
export interface Picture {
  /** File name beside results.json. */
  readonly file: string;
  readonly title: string;
}

/** What results.json holds. */
export interface Results {
  /** 1: of before floors were required, and without what rows have since then. */
  readonly schema: 'starling.gallery/1' | 'starling.gallery/2';
  readonly workload: string;
  readonly scale: string;
  readonly training: RunSpec['work']['training'];
  readonly partition: string;
  readonly strategy: string;
  readonly seeds: readonly SeedResult[];
  /** Of the first seed. */
  readonly pictures: readonly Picture[];
  readonly texts: readonly { readonly title: string; readonly text: string }[];
}

/** Whether the results were kept before floors were asked for: their page says so, and shows no claim. */
export function isOld({ schema }: Results): boolean {
  return schema === 'starling.gallery/1';
}

/** What run.json says. */
export interface RunFacts {
  readonly version: string;
  readonly node: string;
  readonly machine?: { readonly cores: number; readonly platform: string };
  readonly createdAtMs: number;
  readonly spec: RunSpec;
}

/** What of a manifest decides which figures are kept. */
type Kept = Partial<Pick<Manifest, 'bars' | 'ownMetric' | 'headline'>>;

/** One run, read from its directory. */
export interface RunFiles {
  readonly report: Report;
  readonly facts: RunFacts;
  /** Of rows with privacy: clients that would be enough for a small ε. */
  readonly enough?: Readonly<Partial<Record<RowName, number>>>;
}

/** @throws FlError failed-precondition: the run did not end well, or has no baselines */
function seedResult({ report, facts, enough = {} }: RunFiles, kept: Kept): SeedResult {
  const { local, centralised } = report.baselines;
  if (report.status !== 'completed' && report.status !== 'budget-exhausted') {
    throw new FlError('failed-precondition', `run ${report.run}: expected a completed one, got ${report.status}`);
  }
  if (local === undefined || centralised === undefined) {
    throw new FlError('failed-precondition', `run ${report.run} has no baselines: it needs --baselines all`);
  }
  const perRound = (bytes: number) => Math.round(bytes / Math.max(1, report.rounds.length));
  return {
    seed: report.seed,
    command: withoutPlaces(report.command ?? ''),
    backend: report.backend ?? 'not told',
    starling: facts.version,
    node: facts.node,
    cores: facts.machine?.cores ?? 0,
    platform: facts.machine?.platform ?? 'not told',
    date: new Date(facts.createdAtMs).toISOString().slice(0, 10),
    clients: local.clients ?? Object.keys(local.perClient).length,
    cohort: largestCohort(report),
    rounds: report.rounds.length,
    modelSha256: report.modelSha256,
    durationMs: total(report, ({ durationMs }) => durationMs),
    bytesUp: perRound(total(report, ({ bytesUp }) => bytesUp)),
    bytesDown: perRound(total(report, ({ bytesDown }) => bytesDown)),
    secureAggregation: report.secureAggregation === true,
    rows: rowsOf(report, kept, enough),
    failures: failuresBeside(report),
  };
}

function rowsOf(
  report: Report,
  { bars = [], ownMetric, headline }: Kept,
  enough: NonNullable<RunFiles['enough']>,
): RowResult[] {
  const names = metricNames(report).filter((name) => !name.startsWith('train.'));
  const judgedOwn = findMetric(ownMetric ?? headline?.metric ?? '', (name) => names.includes(name));
  const claimedOfEach = [
    ...bars.filter(({ on }) => on === 'each').flatMap(({ metric, againstMetric }) => [metric, againstMetric]),
    judgedOwn,
  ];
  return comparisonRows(report).map(({ name, label, pooled, own, perClient, privacy }) => {
    const each = Object.entries(perClient).map(([client, figures]) => {
      return [client, pick(claimedOfEach, (metric) => metricValue(figures, metric))] as const;
    });
    const { floor, population, tuned, work } = aboutRow(report, name);
    return {
      name,
      label,
      pooled: pick(names, pooled),
      own: pick(names, own),
      ...(each.length > 0 && { each: Object.fromEntries(each) }),
      ...(privacy && { privacy }),
      ...(enough[name] !== undefined && { enoughClients: enough[name] }),
      ...(floor !== undefined && { floor }),
      ...(population && { population }),
      ...(tuned && { tuned }),
      ...(work && { work }),
    };
  });
}

/** What a report says of a row beside its figures. */
function aboutRow({ baselines }: Report, name: RowName): Pick<RowResult, 'floor' | 'population' | 'tuned' | 'work'> {
  const { local, centralised, private: hidden, federated = {}, floors = {}, population } = baselines;
  const [kind, ...rest] = name.split('/');
  const inner = rest.join('/');
  if (kind === 'floor') return { floor: floors[inner].kind, population };
  if (kind === 'local' || kind === 'local-best') return { population, tuned: local?.tuned, work: local?.work };
  if (kind === 'centralised') return { population, tuned: centralised?.tuned, work: centralised?.work };
  if (name === 'federated') return { population };
  const again = name === 'private' ? hidden : federated[inner];
  return { population: again?.population ?? population, work: again?.work };
}

/** Those of the metrics that have a value. */
function pick(names: readonly (string | undefined)[], of: (metric: string) => number | null): Figures {
  const entries = names.flatMap((name) => {
    const value = name === undefined ? null : of(name);
    return value === null ? [] : [[name, value]];
  });
  return Object.fromEntries(entries);
}

/** Where a run was written to is no part of how to do it again. */
function withoutPlaces(command: string): string {
  return command.replace(/ --(out|json)[= ]\S+/g, '');
}

/**
 * The runs of one workload together, in the order of their seeds.
 * @throws FlError invalid-argument: runs of different configurations, or one seed twice
 */
export function resultsOf(
  runs: readonly RunFiles[],
  { pictures, texts, ...kept }: Pick<Results, 'pictures' | 'texts'> & Kept,
): Results {
  const sorted = runs.toSorted((a, b) => a.report.seed - b.report.seed);
  const about = sorted.map(({ report, facts: { spec } }) => ({
    schema: 'starling.gallery/2' as const,
    workload: report.workload,
    scale: report.scale,
    training: spec.work.training,
    partition: spec.work.partition,
    strategy: spec.engine.strategy,
  }));
  for (const [i, one] of about.entries()) {
    const [a, b] = [JSON.stringify(about[0]), JSON.stringify(one)];
    if (a !== b) throw new FlError('invalid-argument', `runs: expected one configuration, got ${a} and ${b}`);
    const { seed } = sorted[i].report;
    if (i > 0 && seed === sorted[i - 1].report.seed) throw new FlError('invalid-argument', `runs: seed ${seed} twice`);
  }
  return { ...about[0], seeds: sorted.map((run) => seedResult(run, kept)), pictures, texts };
}
