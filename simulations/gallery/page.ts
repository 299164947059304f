/**
 * The page of one workload, from its manifest and its results and nothing else: equal input gives equal text, so a test
 * can tell a page that somebody has changed by hand.
 */
import type { Manifest, Published } from '../../client/workload.js';
import { capital, formatBytes, formatDuration, formatNumber, NONE, plural } from '../../server/report/format.js';
import { findMetric, formatMetric, readable } from '../../server/report/metrics.js';
import type { RowName } from '../../shared/run/report.js';
import { slugOf } from '../../shared/run-id.js';
import { bareLabel, checkBars, type ReadableComparison, readComparison } from './bars.js';
import { bySeed, meanOf } from './compare.js';
import { fenced, table, text } from './markdown.js';
import type { Results, SeedResult } from './results.js';

/** The file name of a workload's page, without its ending. */
export function pageName(workload: string): string {
  return slugOf(workload);
}

/** The page of a workload, in Markdown; equal results give equal text. */
export function pageOf(manifest: Manifest, results: Results): string {
  const headline = headlineIn(manifest, results);
  const parts = [
    `<!-- Made by: npm run gallery -- ${results.workload}. Nothing here is written by hand. -->`,
    `# ${text(manifest.name)}: ${text(manifest.topic)}`,
    `Paper: ${text(manifest.paper)}.\n\nData: ${text(manifest.data)}.`,
    `${setting(results)}\n`,
    '## Results',
    headlineTable(manifest, results, headline),
    ...privacy(results),
    ...published(manifest, results),
    ...claims(manifest, results),
    ...pictures(results),
    ...otherFigures(results, headline),
    '## Cost',
    cost(results),
    '## Do it again',
    again(results),
  ];
  return `${parts.map((part) => part.trimEnd()).join('\n\n')}\n`;
}

/** The headline as the results name it: a manifest may leave the split out. */
export function headlineIn({ headline: { metric } }: Manifest, { seeds }: Results): string {
  const known = seeds[0]?.rows.find(({ name }) => name === 'federated')?.pooled ?? {};
  return findMetric(metric, (name) => Object.hasOwn(known, name)) ?? metric;
}

function setting({ scale, training, partition, strategy, seeds }: Results): string {
  const { clients, cohort, rounds } = seeds[0];
  const { localSteps, localEpochs, batchSize, clientLr, momentum } = training;
  const duration =
    localSteps === undefined ? plural(localEpochs ?? 1, 'local epoch') : plural(localSteps, 'local step');
  return [
    `Scale \`${scale}\`: ${plural(clients, 'client')}, ${cohort} in a round, ${plural(rounds, 'round')} of ${duration} with batches of ${batchSize},`,
    `learning rate ${formatNumber(clientLr)}${momentum > 0 ? `, momentum ${formatNumber(momentum)}` : ''};`,
    `partition \`${partition}\`, strategy \`${strategy}\`.`,
  ].join(' ');
}

/** Row by row: the mean over seeds, and behind it each seed's value. */
function headlineTable({ headline: { better } }: Manifest, results: Results, metric: string): string {
  const rows = rowNames(results).map(({ name, label }) => [
    name === 'federated' ? `**${label}**` : label,
    spread(metric, bySeed(results, { row: name, metric, on: 'pooled' })),
    spread(metric, bySeed(results, { row: name, metric, on: 'own' })),
  ]);
  const seeds = results.seeds.map(({ seed }) => seed).join(', ');
  return [
    `${capital(readable(metric))}, ${better} is better: the mean over ${results.seeds.length === 1 ? 'seed' : 'seeds'} ${seeds}${results.seeds.length > 1 ? ', in brackets each of them' : ''}.`,
    '',
    table(['trained by', 'on the test data of all clients', 'on its own test data, mean over clients'], rows, [1, 2]),
    ...failures(results),
  ].join('\n');
}

function failures({ seeds }: Results): string[] {
  return seeds.flatMap(({ seed, failures: found }) =>
    Object.entries(found).map(([who, why]) => `\nSeed ${seed}: ${text(who)} failed (${text(why)}).`),
  );
}

function rowNames({ seeds }: Results): { name: RowName; label: string }[] {
  return seeds[0].rows.map(({ name, label }) => ({ name, label }));
}

function spread(metric: string, values: readonly (number | null)[]): string {
  const mean = meanOf(values);
  if (mean === null || values.length === 1) return formatMetric(metric, mean);
  return `**${formatMetric(metric, mean)}** (${values.map((value) => formatMetric(metric, value)).join(', ')})`;
}

function privacy({ seeds }: Results): string[] {
  const [{ secureAggregation, rows }] = seeds;
  const lines = rows.flatMap(({ name, label, privacy: spent }) => {
    if (spent === undefined) return [];
    const { mode, epsilon, delta } = spent;
    const unit = mode === 'example' ? 'each single example' : 'each client as a whole';
    const masked = name === 'private' || secureAggregation ? ', under secure aggregation' : '';
    return [
      `${bareLabel(label)}: ε = ${formatNumber(epsilon)} at δ = ${formatNumber(delta)} for ${unit} (\`${text(mode)}\`)${masked}.`,
    ];
  });
  if (rows.some(({ name }) => name === 'private') || secureAggregation) {
    lines.push('Under secure aggregation nobody sees the figures of one client.');
  }
  return lines.length === 0 ? [] : [lines.join(' ')];
}

function published({ published: given = [] }: Manifest, results: Results): string[] {
  if (given.length === 0) return [];
  const rows = given.map(({ source, note, ...figure }) => [
    ...besideOurs(figure, results),
    text(source),
    note === undefined ? '' : text(note),
  ]);
  return [
    '## Beside the literature',
    table(['metric', 'published', 'federated here', 'source', 'what differs'], rows, [1, 2]),
  ];
}

/** What it is, the published value, ours. */
function besideOurs({ metric, value, against }: Omit<Published, 'source'>, results: Results): string[] {
  if (against === undefined) {
    const ours = bySeed(results, { row: 'federated', metric, on: 'pooled' });
    return [text(readable(metric)), formatMetric(metric, value), spread(metric, ours)];
  }
  const compared = readComparison({ metric, row: 'federated', against }, results);
  return [text(compared.claim), compared.format(value), found(compared)];
}

function claims({ bars = [] }: Manifest, results: Results): string[] {
  if (bars.length === 0) return [];
  const rows = checkBars(bars, results).map((checked) => [
    text(checked.claim),
    checked.required,
    found(checked),
    checked.isMet ? 'met' : '**not met**',
  ]);
  const elsewhere = results.scale === 'demo' ? [] : ['They are made for scale `demo`.'];
  return ['## Claims', ...elsewhere, table(['claim, on the mean over seeds', 'required', 'found', ''], rows, [1, 2])];
}

function found({ found: mean, bySeed: each, format }: ReadableComparison): string {
  const figure = (value: number | null) => (value === null ? NONE : format(value));
  return each.length === 1 ? figure(mean) : `**${figure(mean)}** (${each.map(figure).join(', ')})`;
}

function pictures({ workload, pictures: shown, texts, seeds }: Results): string[] {
  if (shown.length + texts.length === 0) return [];
  return [
    '## What it made',
    `Of the federated model, seed ${seeds[0].seed}.`,
    ...shown.map(({ file, title }) => `### ${text(title)}\n\n![${text(title)}](${pageName(workload)}/${file})`),
    ...texts.map((one) => `### ${text(one.title)}\n\n${fenced(one.text)}`),
  ];
}

function otherFigures(results: Results, headline: string): string[] {
  const names = new Set(results.seeds.flatMap(({ rows }) => rows.flatMap(({ pooled }) => Object.keys(pooled))));
  names.delete(headline);
  if (names.size === 0) return [];
  const columns = rowNames(results);
  const rows = [...names]
    .sort()
    .map((metric) => [
      `\`${metric}\``,
      ...columns.map(({ name: row }) => formatMetric(metric, meanOf(bySeed(results, { row, metric, on: 'pooled' })))),
    ]);
  const head = ['metric', ...columns.map(({ label }) => label.toLowerCase())];
  const what = 'On the test data of all clients, mean over seeds.';
  return [
    '## Other figures',
    what,
    table(
      head,
      rows,
      [...columns.keys()].map((i) => i + 1),
    ),
  ];
}

function cost({ seeds }: Results): string {
  const mean = (of: (seed: SeedResult) => number) => seeds.reduce((sum, seed) => sum + of(seed), 0) / seeds.length;
  const { cohort, rounds } = seeds[0];
  const up = mean(({ bytesUp }) => bytesUp);
  const down = mean(({ bytesDown }) => bytesDown);
  const time = mean(({ durationMs }) => durationMs);
  return `In a round ${formatBytes(up)} go up and ${formatBytes(down)} down, evaluation included: ${formatBytes(up / cohort)} and ${formatBytes(down / cohort)} for each of ${cohort} clients. The ${rounds} rounds took ${formatDuration(time)}, baselines not counted.`;
}

function again({ seeds }: Results): string {
  const commands = seeds.map(({ command }) => command).join('\n');
  const machines = new Map(seeds.map((one) => [machineOf(one), one.date]));
  const where = [...machines].map(([machine, date]) => `${machine}, ${date}`).join('; ');
  return `${fenced(commands, 'sh')}\n\nRun on ${where}.`;
}

function machineOf({ cores, platform, node, backend, starling }: SeedResult): string {
  return `${cores} cores (${text(platform)}), Node ${text(node)}, back end ${text(backend)}, starling ${text(starling)}`;
}
