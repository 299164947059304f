/**
 * The page of one workload, from its manifest and its results and nothing else: equal input gives equal text, so a test
 * can tell a page that somebody has changed by hand.
 */
import type { Manifest, Published } from '../../client/workload.js';
import { capital, formatBytes, formatDuration, formatNumber, NONE, plural } from '../../server/report/format.js';
import { formatMetric, isFraction, readable } from '../../server/report/metrics.js';
import { slugOf } from '../../shared/run-id.js';
import { bareLabel, checkBars, type ReadableComparison, readComparison } from './bars.js';
import { bySeed, headlineIn, meanOf, metricIn } from './compare.js';
import { losers, references } from './details.js';
import { meanInterval } from './interval.js';
import { fenced, table, text } from './markdown.js';
import { tooFewClients } from './private-rows.js';
import { isOld, type Results, type RowResult, type SeedResult } from './results.js';
import { populationOfRow } from './rules.js';

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
    ...(isOld(results) ? [BEFORE] : []),
    `${setting(results)}\n`,
    '## Results',
    headlineTable(manifest, results, headline),
    ...losers(manifest, results),
    ...privacy(manifest, results),
    ...references(results),
    ...published(manifest, results),
    ...claims(manifest, results),
    ...pictures(results),
    ...otherFigures(manifest, results, headline),
    '## Cost',
    cost(results),
    '## Do it again',
    again(results),
  ];
  return `${parts.map((part) => part.trimEnd()).join('\n\n')}\n`;
}

const BEFORE =
  '> **Made before floors were required.** Nothing here stands beside what needs no training, the reference rows were not ' +
  'tuned, and of no row it is known which test examples it was judged on. No claim is shown by such a page.';

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

/** Row by row: the mean over seeds with its interval, and behind it each seed's value; a table for each population. */
function headlineTable(manifest: Manifest, results: Results, metric: string): string {
  const { better } = manifest.headline;
  const ownMetric = metricIn(manifest.ownMetric ?? metric, results);
  const seeds = results.seeds.map(({ seed }) => seed).join(', ');
  const several = results.seeds.length > 1;
  const how = several ? ' ± half of its 95 % interval (Student’s t), in brackets each of them' : '';
  const own = ownMetric === metric ? '' : ` (${readable(ownMetric)})`;
  const head = ['trained by', 'on the test data of all clients', `on its own test data${own}, mean over clients`];
  const tables = [...byPopulation(results)].map(([population, rows], i) => {
    const lines = rows.map((row) => line(row, manifest, results, { metric, ownMetric }));
    const title =
      i === 0 ? [] : [`On other test examples, ${population}, and not to be compared with those above:`, ''];
    return [...title, table(head, lines, [1, 2])].join('\n');
  });
  return [
    `${capital(readable(metric))}, ${better} is better: the mean over ${several ? 'seeds' : 'seed'} ${seeds}${how}.`,
    '',
    tables.join('\n\n'),
    ...failures(results),
  ].join('\n');
}

function line(
  row: RowResult,
  manifest: Manifest,
  results: Results,
  { metric, ownMetric }: { readonly metric: string; readonly ownMetric: string },
): string[] {
  const { name, label } = row;
  const few = tooFewClients(row, manifest, results);
  if (few !== undefined) return [`${text(bareLabel(label))}: ${text(few)}`, NONE, NONE];
  // a metric of examples that all have in common is nobody's own
  const isOwn = manifest.populations?.[ownMetric.replace(/^test\./, '')] === undefined;
  return [
    name === 'federated' ? `**${label}**` : text(label),
    spread(metric, bySeed(results, { row: name, metric, on: 'pooled' })),
    isOwn ? spread(ownMetric, bySeed(results, { row: name, metric: ownMetric, on: 'own' })) : NONE,
  ];
}

/** Those of the run first. */
function byPopulation({ seeds }: Results): Map<string, RowResult[]> {
  const [{ rows }] = seeds;
  const run = rows.filter(({ name }) => name === 'federated').map((row) => [populationOfRow(row), []] as const);
  const groups = new Map<string, RowResult[]>(run.map(([population]) => [population, []]));
  for (const row of rows) groups.set(populationOfRow(row), [...(groups.get(populationOfRow(row)) ?? []), row]);
  return groups;
}

function failures({ seeds }: Results): string[] {
  return seeds.flatMap(({ seed, failures: found }) =>
    Object.entries(found).map(([who, why]) => `\nSeed ${seed}: ${text(who)} failed (${text(why)}).`),
  );
}

function spread(metric: string, values: readonly (number | null)[]): string {
  const mean = meanOf(values);
  if (mean === null || values.length === 1) return formatMetric(metric, mean);
  const interval = meanInterval(values as number[]);
  const half = interval === undefined ? '' : ` ± ${halfOf(metric, (interval.high - interval.low) / 2)}`;
  return `**${formatMetric(metric, mean)}**${half} (${values.map((value) => formatMetric(metric, value)).join(', ')})`;
}

/** A share may be off by more than 1. */
function halfOf(metric: string, half: number): string {
  return isFraction(metric) ? `${(100 * half).toFixed(1)} %` : formatNumber(half);
}

function privacy(manifest: Manifest, results: Results): string[] {
  const [{ secureAggregation, rows }] = results.seeds;
  const lines = rows.flatMap((row) => {
    const { name, label, privacy: spent } = row;
    if (spent === undefined || tooFewClients(row, manifest, results) !== undefined) return [];
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

function claims(manifest: Manifest, results: Results): string[] {
  if ((manifest.bars ?? []).length === 0) return [];
  const rows = checkBars(manifest, results).map((checked) => [
    text(checked.claim),
    checked.required,
    found(checked),
    checked.verdict === 'met' ? 'met' : `**${checked.verdict}**`,
  ]);
  const elsewhere = results.scale === 'demo' ? [] : ['They are made for scale `demo`.'];
  return ['## Claims', ...elsewhere, table(['claim', 'required', 'found', ''], rows, [1, 2]), HOW];
}

const HOW =
  'Met: the whole 95 % interval of the paired difference over seeds (Student’s t) keeps what is required. Not met: none of ' +
  'it does. Not shown: the seeds do not tell, or there are too few clients for what is compared to mean anything.';

function found({ found: mean, bySeed: each, interval, format }: ReadableComparison): string {
  const figure = (value: number | null) => (value === null ? NONE : format(value));
  const between = interval === undefined ? '' : `, ${format(interval.low)} to ${format(interval.high)}`;
  return each.length === 1 ? figure(mean) : `**${figure(mean)}**${between} (${each.map(figure).join(', ')})`;
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

function otherFigures(manifest: Manifest, results: Results, headline: string): string[] {
  const names = new Set(results.seeds.flatMap(({ rows }) => rows.flatMap(({ pooled }) => Object.keys(pooled))));
  names.delete(headline);
  if (names.size === 0) return [];
  const [[, ofTheRun] = ['', []]] = byPopulation(results);
  const columns = ofTheRun.filter((row) => tooFewClients(row, manifest, results) === undefined);
  const rows = [...names]
    .sort()
    .map((metric) => [
      `\`${metric}\`${onWhat(manifest, metric)}`,
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

/** " (on images that are common to all)" where it is not the test examples of whoever is judged. */
function onWhat({ populations = {} }: Manifest, metric: string): string {
  const on = populations[metric.replace(/^test\./, '')];
  return on === undefined ? '' : ` (on ${text(on)})`;
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
  const models = seeds.flatMap(({ seed, modelSha256 }) =>
    modelSha256 === undefined ? [] : [`- seed ${seed}: \`${modelSha256}\``],
  );
  const hashes = models.length === 0 ? '' : `\n\nSHA-256 of the federated model:\n\n${models.join('\n')}`;
  return `${fenced(commands, 'sh')}\n\nRun on ${where}.${hashes}`;
}

function machineOf({ cores, platform, node, backend, starling }: SeedResult): string {
  return `${cores} cores (${text(platform)}), Node ${text(node)}, back end ${text(backend)}, starling ${text(starling)}`;
}
