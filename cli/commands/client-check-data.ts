/**
 * `starling client check-data DIR --workload W`: what a lab's data are and what of them would leave, before it joins. It
 * asks no coordinator, trains nothing and keeps nothing; what it prints stays at the site.
 */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import type { SplitSummaries, SplitSummary } from '../../client/data/inspect.js';
import type { Reading } from '../../client/data/readings.js';
import type { Workload } from '../../client/workload.js';
import { FlError } from '../../shared/errors.js';
import type { RunSpec } from '../../shared/run/spec.js';
import { asWrongUse, columns, command, keyValue, print, printJson } from './options.js';

interface Given {
  readonly workload: string;
  readonly scale?: string;
  readonly hyper?: Record<string, number | string | boolean>;
  readonly json?: boolean;
}

/** Exit code 2 says that the data, or what was asked for, are not as the workload expects them. */
export function checkDataCommand(): Command {
  const example = 'starling client check-data ./our-data --workload ./my-workload.ts';
  return command('check-data', "load this site's data, and show what is in them and what would be sent", example)
    .argument('DIR', "this site's data, as `client run --data` takes them")
    .requiredOption('--workload <NAME>', 'a built-in workload or a file whose default export is one')
    .option('--scale <NAME>', 'whose settings to load the data with: smoke, demo or full (default: demo)')
    .addOption(new Option('--hyper <KEY=VALUE>', "one of the workload's own settings; repeatable").argParser(keyValue))
    .option('--json', 'print JSON')
    .action(checkDataAction);
}

async function checkDataAction(folder: string, given: Given): Promise<void> {
  const { loadWorkload } = await import('../../client/workloads/index.js');
  const { checkConfig, resolve } = await import('../../simulations/config/resolve.js');
  const { workload: name, scale, hyper } = given;
  await checkFolder(folder);
  const workload = await loadWorkload(name).catch(asWrongUse);
  const config = checkConfig({ workload: name, ...(scale && { scale }), ...(hyper && { hyper }) }, 'options');
  const { spec } = inWords(() => resolve(config, workload), `${name}: expected a workload that makes its first model`);
  const { result, readings } = await inspect(workload, spec, folder);
  const { splits, figures } = result;
  const sent = sentOf(workload, spec, figures);
  const own = await isOwn(workload, spec, splits.train, readings);
  if (given.json) return printJson({ workload: workload.manifest.name, own, files: readings, ...splits, sent });
  for (const line of linesOf({ splits, readings, sent, own, folder })) print(line);
}

/** What an author's code throws is no fault of the program. */
function inWords<T>(make: () => T, expected: string): T {
  try {
    return make();
  } catch (thrown) {
    if (thrown instanceof FlError) throw thrown;
    const { message } = FlError.from(thrown);
    throw new FlError('invalid-argument', `${expected}, got an error: ${message}`, { cause: thrown });
  }
}

async function checkFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch((cause: NodeJS.ErrnoException) => cause.code);
  if (typeof found === 'object' && found.isDirectory()) return;
  const got = typeof found === 'object' ? 'a file' : found;
  throw new FlError('invalid-argument', `DIR: ${folder}: expected the folder of this site's data, got ${got}`);
}

type Splits = SplitSummaries;

interface Inspected {
  readonly splits: Splits;
  readonly figures: Sent['metrics'];
}

/** Whatever the workload throws over these data is about these data. */
async function inspect(workload: Workload, { work }: RunSpec, folder: string) {
  const { selectBackend } = await import('../../client/backends/index.js');
  const { figuresOf, inspectData } = await import('../../client/data/inspect.js');
  const { withReadings } = await import('../../client/data/readings.js');
  const { loadData } = await import('../../client/training/task.js');
  await selectBackend('cpu'); // equal values everywhere, at once
  return withReadings(async (): Promise<Inspected> => {
    try {
      const data = await loadData(workload, work, folder);
      const splits = await inspectData(workload, data, work.hyper);
      return { splits, figures: await figuresOf(workload, data, work) };
    } catch (thrown) {
      const { message } = FlError.from(thrown);
      const isTold = /: expected .+, got /s.test(message);
      const what = isTold ? message : `expected data that ${workload.manifest.name} can load, got an error: ${message}`;
      throw new FlError('invalid-argument', message.startsWith(folder) && isTold ? what : `${folder}: ${what}`, {
        cause: thrown,
      });
    }
  });
}

/** Whether the examples are the folder's: a workload that brings its own gives as many from a folder that is empty. */
async function isOwn(workload: Workload, { work }: RunSpec, train: SplitSummary, readings: readonly Reading[]) {
  if (readings.length > 0) return true;
  const { loadData } = await import('../../client/training/task.js');
  const empty = await mkdtemp(join(tmpdir(), 'starling-empty-'));
  try {
    const data = await loadData(workload, work, empty);
    return workload.examples(data, work.hyper).train.count !== train.count;
  } catch {
    return true; // without the folder there is nothing
  } finally {
    await rm(empty, { recursive: true });
  }
}

interface Sent {
  readonly channels: readonly { channel: string; tensor: string; shape: readonly number[] }[];
  readonly updateBytes: number;
  /** Of test examples: figures with the lengths of their vectors of sums. */
  readonly metrics: readonly { readonly name: string; readonly size: number }[];
  /** Whether the workload says beforehand how large they can be, without which there is no secure aggregation of it. */
  readonly maskable: boolean;
}

function sentOf({ manifest }: Workload, { work }: RunSpec, metrics: Sent['metrics']): Sent {
  const channels = work.phases.flatMap((phase) =>
    phase.channels.flatMap(({ name, tensors }) =>
      tensors.map(({ name: tensor, shape }) => ({ channel: name, tensor, shape })),
    ),
  );
  const elements = channels.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return { channels, updateBytes: 4 * elements, metrics, maskable: manifest.maskedMetrics !== undefined };
}

interface Shown {
  readonly splits: Splits;
  readonly readings: readonly Reading[];
  readonly sent: Sent;
  readonly own: boolean;
  readonly folder: string;
}

function linesOf({ splits, readings, sent, own, folder }: Shown): string[] {
  const files = readings.flatMap(({ path, count, columns: found, classes }) => [
    `${path}: ${count} ${classes === undefined ? 'rows' : 'images'}`,
    ...(classes === undefined ? [] : [`  classes  ${countsLine(classes)}`]),
    ...(found === undefined ? [] : columns([['  COLUMN', 'MISSING', 'HOLDS'], ...found.map(columnRow)])),
  ]);
  const parts = (['train', 'validation', 'test'] as const).flatMap((split) => {
    const summary = splits[split];
    if (summary === undefined) return [];
    const { count, classes, groups, ranges } = summary;
    return [
      `${split}: ${count} examples`,
      ...(classes === undefined ? [] : [`  by class  ${countsLine(classes)}`]),
      ...(groups === undefined ? [] : [`  by group  ${countsLine(groups)}`]),
      ...ranges.map(({ tensor, shape, min, max, mean }) => {
        return `  ${tensor} [${shape.join(', ')}]: ${short(min)} to ${short(max)}, mean ${short(mean)}`;
      }),
    ];
  });
  return [
    ...files,
    ...parts,
    ...(splits.test.count === 0 ? ['no test examples: this site would train and evaluate nothing'] : []),
    ...(own ? [] : [`not from ${folder}: the workload gives as many examples from an empty folder`]),
    'what would be sent each round, masked under secure aggregation:',
    ...sent.channels.map(({ channel, tensor, shape }) => `  ${channel}  ${tensor} [${shape.join(', ')}]`),
    `  ${sent.updateBytes} bytes of 32-bit numbers, the number of examples, the training loss`,
    `  test figures as sums: ${sent.metrics.map(({ name, size }) => `${name} [${size}]`).join(', ')}`,
    ...(sent.maskable ? [] : ['without maskedMetrics: this workload cannot be run with secure aggregation']),
    'nothing has been sent',
  ];
}

function columnRow({ column, missing, min, max, categories }: NonNullable<Reading['columns']>[number]): string[] {
  const holds = categories === undefined ? '' : countsLine(categories);
  return [
    `  ${column}`,
    String(missing),
    min === undefined || max === undefined ? holds || 'text' : `${short(min)} to ${short(max)}`,
  ];
}

const MOST_SHOWN = 20;

function countsLine(counts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counts);
  const shown = entries.slice(0, MOST_SHOWN).map(([name, count]) => `${name}: ${count}`);
  return [...shown, ...(entries.length > MOST_SHOWN ? [`and ${entries.length - MOST_SHOWN} more`] : [])].join(', ');
}

function short(value: number): string {
  return String(Number(value.toPrecision(6)));
}
