/** The list of all workloads with what they reached, from the same results as their pages. */
import type { Manifest } from '../../client/workload.js';
import { formatNumber, NONE } from '../../server/report/format.js';
import { formatMetric, readable } from '../../server/report/metrics.js';
import type { RowName } from '../../shared/run/report.js';
import { checkBars } from './bars.js';
import { bySeed, headlineIn, meanOf } from './compare.js';
import { table, text } from './markdown.js';
import { pageName } from './page.js';
import { tooFewClients } from './private-rows.js';
import { isOld, type Results } from './results.js';

/** A workload and, where there are any, its results. */
export interface IndexEntry {
  readonly manifest: Manifest;
  /** Absent: it has not been run for the gallery. */
  readonly results?: Results;
}

const COLUMNS: readonly (readonly [RowName, string])[] = [
  ['local', 'alone'],
  ['local-best', 'best alone'],
  ['federated', 'federated'],
  ['private', 'private'],
  ['centralised', 'in one place'],
];

const RULES = `Each page is made by \`npm run gallery -- NAME\` from runs with different seeds (\`starling simulate --workload NAME
--baselines tuned\`). The rows are trained with equal total gradient steps and judged on the same test data:

- **Floor**: what needs no training, or no network; the list shows the best of them. A model that is not above it has learned
  nothing worth a federation. Every page has a trivial one, raw features with the same read-out, the untrained network and a
  classical method, or says why not.
- **Each client alone**: as many rounds and local steps as the run has, on its own data, by the run's own strategy; at most
  ten clients, from the one with the most examples to those with few. Judged on the test data of all clients and on its own; the figure is the mean over clients.
  Where a round takes only some of the clients, this is more than a client does in the run.
- **Best client alone**: the one of them whose model is best on the test data of all clients.
- **Federated**: the run.
- **Federated, private**: the run with differential privacy and secure aggregation.
- **Federated, ...**: what else the workload's own file compares itself with: the run again with the settings that its page
  tells.
- **All data in one place**: one client with all data; in each round as many steps as a whole cohort makes together, by the
  same strategy.

Alone and in one place have a learning rate of their own, chosen with a seed that reports nothing, and the round that is best on
validation examples. A row with privacy is shown as one at ε of at most 10 and above every floor; else there are too few
clients. A claim is a comparison that the workload's own file declares: met where the whole 95 % interval of the paired
difference over seeds clears the bar, not met where none of it does, else not shown.`;

/** The list of all workloads with their headline figures, in Markdown. */
export function indexOf(entries: readonly IndexEntry[]): string {
  const shown = COLUMNS.filter(([row]) => entries.some(({ results }) => has(results, row)));
  const rows = entries.map((entry) => line(entry, shown));
  const head = ['workload', 'topic', 'test metric', 'best floor', ...shown.map(([, title]) => title), 'ε', 'claims'];
  return [
    '<!-- Made by: npm run gallery. Nothing here is written by hand. -->',
    '# Workloads',
    table(
      head,
      rows,
      [...Array(shown.length + 1).keys()].map((i) => i + 3),
    ),
    '## How to read the pages',
    RULES,
    'To write one of your own, see [Your own workload](../workloads.md).',
    '',
  ].join('\n\n');
}

function line({ manifest, results }: IndexEntry, columns: typeof COLUMNS): string[] {
  const name = text(manifest.name);
  if (results === undefined) {
    const nothing = [NONE, ...columns.map(() => NONE), NONE];
    return [name, text(manifest.topic), text(readable(manifest.headline.metric)), ...nothing, 'not run yet'];
  }
  const metric = headlineIn(manifest, results);
  const mean = (row: RowName) => meanOf(bySeed(results, { row, metric, on: 'pooled' }));
  const few = (row: RowName) => {
    const found = results.seeds[0].rows.find((one) => one.name === row);
    return found !== undefined && tooFewClients(found, manifest, results) !== undefined;
  };
  const cells = columns.map(([row]) => (few(row) ? 'too few clients' : formatMetric(metric, mean(row))));
  return [
    `[${name}](${pageName(manifest.name)}.md)`,
    text(manifest.topic),
    text(readable(metric)),
    bestFloor(manifest, results, mean),
    ...cells,
    spent(results),
    claims(manifest, results),
  ];
}

function bestFloor({ headline }: Manifest, results: Results, mean: (row: RowName) => number | null): string {
  if (isOld(results)) return 'made before';
  const floors = results.seeds[0].rows.flatMap(({ name, floor }) => (floor === undefined ? [] : (mean(name) ?? [])));
  if (floors.length === 0) return NONE;
  const best = headline.better === 'higher' ? Math.max(...floors) : Math.min(...floors);
  return formatMetric(headlineIn({ headline }, results), best);
}

/** Of the private row: "6.13, each example". */
function spent({ seeds }: Results): string {
  const found = seeds[0].rows.find(({ name }) => name === 'private')?.privacy;
  if (found === undefined) return NONE;
  return `${formatNumber(found.epsilon)} at δ ${formatNumber(found.delta)}, each ${found.mode === 'example' ? 'example' : 'client'}`;
}

function claims(manifest: Manifest, results: Results): string {
  const checked = checkBars(manifest, results);
  if (checked.length === 0) return 'none made';
  const counts = (['met', 'not met', 'not shown'] as const).flatMap((verdict) => {
    const count = checked.filter((one) => one.verdict === verdict).length;
    return count === 0 ? [] : [`${count} ${verdict}`];
  });
  return `${counts.join(', ')}${isOld(results) ? ' (made before floors were required)' : ''}`;
}

function has(results: Results | undefined, row: RowName): boolean {
  return results?.seeds.some(({ rows }) => rows.some(({ name }) => name === row)) ?? false;
}
