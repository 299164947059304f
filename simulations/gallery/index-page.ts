/** The list of all workloads with what they reached, from the same results as their pages. */
import type { Manifest } from '../../client/workload.js';
import { NONE } from '../../server/report/format.js';
import { formatMetric, readable } from '../../server/report/metrics.js';
import type { RowName } from '../../shared/run/report.js';
import { checkBars } from './bars.js';
import { bySeed, meanOf } from './compare.js';
import { table, text } from './markdown.js';
import { headlineIn, pageName } from './page.js';
import type { Results } from './results.js';

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
--baselines all\`). The rows are trained with equal total gradient steps and judged on the same test data:

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

A claim is a comparison that the workload's own file declares; it is checked on the mean over seeds.`;

/** The list of all workloads with their headline figures, in Markdown. */
export function indexOf(entries: readonly IndexEntry[]): string {
  const shown = COLUMNS.filter(([row]) => entries.some(({ results }) => has(results, row)));
  const rows = entries.map((entry) => line(entry, shown));
  const head = ['workload', 'topic', 'test metric', ...shown.map(([, title]) => title), 'claims met'];
  return [
    '<!-- Made by: npm run gallery. Nothing here is written by hand. -->',
    '# Workloads',
    table(
      head,
      rows,
      [...shown.keys()].map((i) => i + 3),
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
    return [
      name,
      text(manifest.topic),
      text(readable(manifest.headline.metric)),
      ...columns.map(() => NONE),
      'not run yet',
    ];
  }
  const metric = headlineIn(manifest, results);
  const cells = columns.map(([row]) => formatMetric(metric, meanOf(bySeed(results, { row, metric, on: 'pooled' }))));
  const checked = checkBars(manifest.bars ?? [], results);
  const met =
    checked.length === 0 ? 'none made' : `${checked.filter(({ isMet }) => isMet).length} of ${checked.length}`;
  return [`[${name}](${pageName(manifest.name)}.md)`, text(manifest.topic), text(readable(metric)), ...cells, met];
}

function has(results: Results | undefined, row: RowName): boolean {
  return results?.seeds.some(({ rows }) => rows.some(({ name }) => name === row)) ?? false;
}
