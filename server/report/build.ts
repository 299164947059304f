/**
 * From what the engine knows to report.json (schema starling.report/1) and the page beside it.
 */
import { access, mkdir, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { FlError, invalidArgument } from '../../shared/errors.js';
import type { BaselineReport, LocalReport, MetricsReport, Report, RoundReport } from '../../shared/run/report.js';
import type { WorkSpec } from '../../shared/run/spec.js';
import type { RoundSummary, RunStatus } from '../../shared/run/summary.js';
import type { Run } from '../run/run.js';
import { type InlineArtefact, MAX_INLINE_BYTES, MAX_INLINE_TOTAL_BYTES } from './artefacts.js';
import type { ReportFacts } from './facts.js';
import { renderReport } from './html.js';
import { lossyOver } from './lossy.js';

/** What the engine knows when a run has ended, or is looked at. */
export interface BuildInput {
  readonly run: string;
  readonly work: Pick<WorkSpec, 'workload' | 'scale' | 'seed'>;
  readonly status: RunStatus;
  readonly reason: string | null;
  readonly backend: string | null;
  readonly rounds: readonly RoundSummary[];
  readonly final: MetricsReport;
  readonly baselines: Report['baselines'];
  /** Paths below artefacts/, with or without that folder's name in front. */
  readonly artefacts: Report['artefacts'];
  readonly secureAggregation?: boolean;
  readonly headline?: Report['headline'];
  readonly modelSha256: string;
  readonly best?: Report['best'];
  readonly privacy: Report['privacy'];
  readonly command?: string;
}

/**
 * The report. Rounds come out in order, a repeated one as its last attempt. Metrics that are not finite numbers (a run
 * that diverged) are left out: JSON has no word for them.
 * @throws FlError invalid-argument: an artefact's path that leaves artefacts/
 */
export function buildReport(input: BuildInput): Report {
  const byRound = new Map(input.rounds.toSorted((a, b) => a.attempt - b.attempt).map((round) => [round.round, round]));
  const rounds = [...byRound.values()].sort((a, b) => a.round - b.round);
  const evaluated = rounds.findLast((round) => round.evaluated !== undefined)?.evaluated;
  const lossy = lossyOver(rounds);
  return {
    schema: 'starling.report/1',
    run: input.run,
    workload: input.work.workload,
    scale: input.work.scale,
    seed: input.work.seed,
    backend: input.backend,
    status: input.status,
    reason: input.reason,
    rounds: rounds.map(roundReport),
    final: finiteReport(input.final),
    baselines: finiteBaselines(input.baselines),
    privacy: input.privacy,
    ...(input.secureAggregation && { secureAggregation: true }),
    ...(input.headline && { headline: input.headline }),
    ...(evaluated && { evaluated }),
    ...(lossy && { lossy }),
    modelSha256: input.modelSha256,
    ...(input.best && { best: input.best }),
    artefacts: input.artefacts.map(({ path, mime, title }) => ({ path: artefactPath(path), mime, title })),
    ...(input.command !== undefined && { command: input.command }),
  };
}

/**
 * Writes report.json and report.html into the run directory, each of them whole or not at all, and holds in the page
 * those artefacts that are there and not too large.
 * @throws FlError invalid-argument: an artefact's path that leaves artefacts/
 */
export async function writeReport(
  dir: string,
  report: Report,
  facts: ReportFacts = {},
): Promise<{ json: string; html: string }> {
  await mkdir(dir, { recursive: true });
  const inline: InlineArtefact[] = [];
  let left = MAX_INLINE_TOTAL_BYTES;
  for (const artefact of report.artefacts) {
    const bytes = await readArtefact(dir, artefactPath(artefact.path), Math.min(left, MAX_INLINE_BYTES));
    if (bytes === null) continue;
    left -= bytes.length;
    inline.push({ ...artefact, bytes });
  }
  const paths = { json: join(dir, 'report.json'), html: join(dir, 'report.html') };
  await writeWhole(paths.json, `${JSON.stringify(report, null, 2)}\n`);
  await writeWhole(paths.html, renderReport(report, inline, facts));
  return paths;
}

/** Whether the report of a run that has ended is in its directory, of this end, with its page, which comes last. */
export async function isReported({ directory, state }: Pick<Run, 'directory' | 'state'>): Promise<boolean> {
  try {
    await access(join(directory, 'report.html'));
    const { status, reason, modelSha256 } = JSON.parse(
      await readFile(join(directory, 'report.json'), 'utf8'),
    ) as Report;
    return status === state.status && (reason ?? '') === state.reason && modelSha256 === state.modelSha256;
  } catch {
    return false; // it is written anew, and that says what is wrong
  }
}

function roundReport(round: RoundSummary): RoundReport {
  const { cohort, survivors, dropped, durationMs, overheadMs, bytesUp, bytesDown, zeroed, zeroedTests } = round;
  const { lossy, resolution, evaluated } = round;
  const metrics = finiteMetrics(round.metrics);
  return {
    round: round.round,
    cohort,
    survivors,
    dropped,
    metrics,
    epsilon: round.epsilon ?? null,
    durationMs,
    overheadMs,
    bytesUp,
    bytesDown,
    ...(zeroed !== undefined && { zeroed }),
    ...(zeroedTests !== undefined && { zeroedTests }),
    ...(lossy && { lossy }),
    ...(resolution && { resolution }),
    ...(evaluated && { evaluated }),
  };
}

function finiteBaselines(baselines: Report['baselines']): Report['baselines'] {
  const { local, centralised, private: hidden, federated, floors, population } = baselines;
  const each = <Part extends BaselineReport>(parts: Readonly<Record<string, Part>>): Readonly<Record<string, Part>> =>
    Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, finiteReport(part)] as const));
  return {
    ...(local && { local: finiteLocal(local) }),
    ...(centralised && { centralised: finiteReport(centralised) }),
    ...(hidden && { private: finiteReport(hidden) }),
    ...(federated && { federated: each(federated) }),
    ...(floors && { floors: each(floors) }),
    ...(population && { population }),
  };
}

function finiteLocal(local: LocalReport): LocalReport {
  const { pooled, best } = local;
  return {
    ...finiteReport(local),
    ...(pooled && { pooled: finiteClients(pooled) }),
    ...(best && { best: { ...best, metrics: finiteMetrics(best.metrics) } }),
  };
}

function finiteReport<Part extends BaselineReport>(part: Part): Part {
  const curve = part.curve?.map(({ round, metrics }) => ({ round, metrics: finiteMetrics(metrics) }));
  return {
    ...part,
    metrics: finiteMetrics(part.metrics),
    perClient: finiteClients(part.perClient),
    ...(curve && { curve }),
  };
}

function finiteClients(perClient: MetricsReport['perClient']): MetricsReport['perClient'] {
  const clients = Object.entries(perClient).map(([client, own]) => [client, finiteMetrics(own)] as const);
  return Object.fromEntries(clients);
}

function finiteMetrics(metrics: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(metrics).filter(([, value]) => Number.isFinite(value)));
}

function artefactPath(path: string): string {
  const full = path.startsWith('artefacts/') ? path : `artefacts/${path}`;
  const steps = full.split('/');
  if (/[\\\0]/.test(full) || steps.some((step) => step === '' || step === '.' || step === '..')) {
    throw invalidArgument('artefact path', 'a path below artefacts/', path);
  }
  return full;
}

/** Null when the file is absent, larger than `mostBytes`, no plain file, or (by a link) outside the run directory. */
async function readArtefact(dir: string, path: string, mostBytes: number): Promise<Uint8Array | null> {
  try {
    const real = await realpath(join(dir, path));
    const inside = relative(await realpath(dir), real);
    if (inside.startsWith(`..${sep}`) || isAbsolute(inside)) return null;
    const info = await stat(real);
    return info.isFile() && info.size <= mostBytes ? await readFile(real) : null;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw FlError.from(thrown);
  }
}

/** A reader sees the old file or the new one, never half of one, whatever is killed when. */
async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = await open(temporary, 'w');
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    const folder = await open(dirname(path), 'r');
    await folder.sync().finally(() => folder.close());
  } catch (thrown) {
    await rm(temporary, { force: true });
    throw FlError.from(thrown);
  }
}
