/**
 * The run again with other settings, each by its own coordinator and into a run directory of its own in that of the run:
 * `private/` with differential privacy and secure aggregation, which says what protection costs, and `federated/NAME/` for
 * what the workload compares itself with.
 */
import type { OtherSettings, Workload } from '../../client/workload.js';
import { FlError } from '../../shared/errors.js';
import type { FederationReport } from '../../shared/run/report.js';
import type { Config } from '../../shared/run/settings.js';
import type { StartFile } from '../../shared/tensors/start-model.js';
import { checkConfig, type Resolved, resolve } from '../config/resolve.js';
import type { Baseline, BaselineInput } from './input.js';

/** A tight bound: noise grows with it, and the few clients of a small federation have no crowd that averages noise out. */
const DEFAULT = { privacy: 'distributed', 'clipping-bound': 0.1 } as const;

/** A run that another run is set beside. */
export interface Federation {
  /** What it is called in the report: `private` or a comparison's name. */
  readonly name: string;
  /** How it differs, in words; absent for the private one. */
  readonly label?: string;
  readonly resolved: Resolved;
}

/** One after another: beside the other rows, each is a chain of rounds. */
export const federations: Baseline = async ({ federations: planned, runAgain, onProgress, signal }) => {
  let hidden: FederationReport | undefined;
  const compared: Record<string, FederationReport> = {};
  for (const federation of planned) {
    const { name, label } = federation;
    if (signal?.aborted) break;
    const row = rowOf(name, await runAgain(federation));
    if (signal?.aborted) break; // it was stopped: that is no figure of it
    if (label === undefined) hidden = row;
    else compared[name] = { label, ...row };
    onProgress?.(`federated, ${label ?? name}`);
  }
  return { ...(hidden && { private: hidden }), ...(Object.keys(compared).length > 0 && { federated: compared }) };
};

type Ended = Awaited<ReturnType<BaselineInput['runAgain']>>;

function rowOf(name: string, { status, reason, final, rounds, privacy, population }: Ended): FederationReport {
  const work = { rounds: rounds.length };
  const curve = rounds
    .filter(({ evaluated }) => evaluated !== undefined)
    .map(({ round, metrics }) => ({ round, metrics }));
  if (status === 'completed' || status === 'budget-exhausted') {
    return { ...final, work, privacy, curve, ...(population && { population }) };
  }
  return { metrics: {}, perClient: {}, work, privacy, failures: { [name]: reason ?? status } };
}

/** What a configuration that asks for baselines is run again as, and why a row is left out. */
export function federationsOf(
  config: Config,
  workload: Workload,
  initialModel?: StartFile,
): { readonly federations: readonly Federation[]; readonly missing: readonly string[] } {
  const { scales, comparisons = [] } = workload.manifest;
  const missing: string[] = [];
  const plan = (name: string, settings: OtherSettings, label?: string): Federation[] => {
    const about = label === undefined ? 'private' : `federated, ${label}`;
    try {
      return [{ name, label, resolved: resolveOther(config, settings, { workload, initialModel }) }];
    } catch (thrown) {
      const { code, message } = FlError.from(thrown);
      if (code !== 'invalid-argument') throw thrown;
      missing.push(`no row "${about}": ${message}`);
      return [];
    }
  };
  const how = { ...(scales[config.scale].private ?? DEFAULT), 'secure-aggregation': true, compression: 'none' };
  if (config.privacy !== 'none') missing.push('no row "private": the run itself is');
  return {
    federations: [
      ...(config.privacy === 'none' ? plan('private', how) : []),
      ...comparisons.flatMap(({ name, label, settings }) => plan(name, settings, label)),
    ],
    missing,
  };
}

function resolveOther(
  config: Config,
  { hyper, ...settings }: OtherSettings,
  { workload, initialModel }: { readonly workload: Workload; readonly initialModel: StartFile | undefined },
): Resolved {
  const merged = { ...config, ...settings, hyper: { ...config.hyper, ...hyper }, baselines: 'none' };
  const { clients } = settings; // what depends on their number follows it
  const all = clients !== undefined && { cohort: clients, 'min-clients': clients, 'min-survivors': undefined };
  const other = checkConfig({ ...merged, ...all }, `a row beside ${workload.manifest.name}`);
  return resolve(other, workload, { initialModel });
}
