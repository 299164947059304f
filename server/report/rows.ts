/**
 * The rows that a run is compared by, in the order in which people read them: floors, training alone, the federation, all
 * data in one place. The page, the terminal and the gallery show the same ones.
 */
import type { FederationReport, MetricsReport, Report, RowName } from '../../shared/run/report.js';
import { ALONE, BEST, CENTRAL, FED, PRIVATE } from './facts.js';
import { formatCount, formatNumber } from './format.js';
import { clientMean, finalValue, metricValue } from './metrics.js';

/** Who trained, and what the model reached. */
export interface ComparisonRow {
  readonly name: RowName;
  readonly label: string;
  readonly tone: 'alone' | 'fed' | 'central';
  /** On the test data of all clients together; for `local`, the mean over the models. */
  pooled(metric: string): number | null;
  /** The mean over clients, each on its own test data. */
  own(metric: string): number | null;
  /** Each client on its own. */
  readonly perClient: MetricsReport['perClient'];
  /** What the row has spent; absent: nothing. */
  readonly privacy?: Report['privacy'];
}

/** Those that the report has; `federated` is always there. */
export function comparisonRows(report: Report): ComparisonRow[] {
  const { local, centralised, private: hidden, federated = {}, floors = {} } = report.baselines;
  const { best } = local ?? {};
  return [
    ...Object.entries(floors).map(([name, part]) => rowOf(`floor/${name}`, `Floor: ${part.label}`, 'alone', part)),
    ...(local ? [rowOf('local', `${ALONE}${picked(report)}`, 'alone', local)] : []),
    ...(local && best
      ? [rowOf('local-best', BEST, 'alone', { metrics: best.metrics, perClient: only(local.perClient, best.client) })]
      : []),
    {
      name: 'federated',
      label: FED,
      tone: 'fed',
      pooled: (metric) => finalValue(report, metric),
      own: (metric) => clientMean(report.final, metric),
      perClient: report.final.perClient,
      privacy: report.privacy,
    },
    ...(hidden ? [rowOf('private', `${PRIVATE}${spent(hidden)}`, 'fed', hidden)] : []),
    ...Object.entries(federated).map(([name, part]) => {
      return rowOf(`federated/${name}`, `${FED}, ${part.label ?? name}${spent(part)}`, 'fed', part);
    }),
    ...(centralised ? [rowOf('centralised', CENTRAL, 'central', centralised)] : []),
  ];
}

/** Trainings beside the run that came to nothing, by client or row, and why. */
export function failuresBeside({ baselines }: Report): Record<string, string> {
  const { local, centralised, private: hidden, federated = {}, floors = {} } = baselines;
  const others = [...Object.values(federated), ...Object.values(floors)].map(({ failures }) => failures);
  return Object.assign({}, local?.failures, centralised?.failures, hidden?.failures, ...others);
}

function rowOf(
  name: RowName,
  label: string,
  tone: ComparisonRow['tone'],
  part: MetricsReport & Pick<ComparisonRow, 'privacy'>,
): ComparisonRow {
  const { perClient, privacy } = part;
  const pooled = (metric: string) => metricValue(part.metrics, metric);
  return { name, label, tone, pooled, own: (metric) => clientMean(part, metric), perClient, privacy };
}

/** " (10 of 100)" where not every client trained alone. */
function picked({ baselines: { local } }: Report): string {
  const trained = Object.keys(local?.perClient ?? {}).length;
  const clients = local?.clients ?? trained;
  return trained === clients ? '' : ` (${formatCount(trained)} of ${formatCount(clients)})`;
}

/** " (ε 4.2)" */
function spent({ privacy }: FederationReport): string {
  return privacy === null ? '' : ` (ε ${formatNumber(privacy.epsilon)})`;
}

function only(perClient: MetricsReport['perClient'], client: string): MetricsReport['perClient'] {
  return Object.hasOwn(perClient, client) ? { [client]: perClient[client] } : {};
}
