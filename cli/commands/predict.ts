/** `starling predict RUN_DIR`: what a run's model says of examples, as CSV. */
import { createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import type { Predicted } from '../../client/export/predict.js';
import { FlError } from '../../shared/errors.js';
import { asWrongUse, command } from './options.js';

interface Given {
  readonly data?: string;
  readonly out?: string;
  readonly workload?: string;
}

/** Prints a row for each example, or writes them to `--out`. */
export function predictCommand(): Command {
  const example = 'starling predict starling-runs/cnn-20261124-203000-4711 --out predictions.csv';
  return command('predict', "what a run's model says of examples, as CSV", example)
    .argument('RUN_DIR')
    .option(
      '--data <PATH>',
      'a folder of data sets, whose test examples are meant, or a .csv or .safetensors file of inputs (default: where this machine has the data set)',
    )
    .option('--out <FILE>', 'CSV (default: standard output)')
    .option('--workload <FILE>', "the run's workload, if it is not built in")
    .action(predictAction);
}

async function predictAction(directory: string, given: Given): Promise<void> {
  const { openTrainedModel } = await import('../../simulations/trained-model.js');
  const { inputsOfRows, inputsOfSite, predicted, predictionOf } = await import('../../client/export/predict.js');
  const { readInputs } = await import('../../client/export/inputs.js');
  const { openSite } = await import('../../client/training/task.js');
  const { selectBackend } = await import('../../client/backends/index.js');
  const { work, workload, tensors } = await openTrainedModel(directory, given.workload);
  const predict = predictionOf(workload);
  const { hyper } = work;
  const isFile = given.data !== undefined && !(await stat(given.data).catch(() => undefined))?.isDirectory();
  const source = isFile
    ? inputsOfRows(await readInputs(given.data as string, predict.inputs(hyper)), predict, hyper)
    : inputsOfSite(await openSite(workload, work, given.data).catch(asWrongUse), hyper);
  await selectBackend();
  const rows = Readable.from(csvOf(predicted(predict, tensors, source, hyper)));
  const { out } = given;
  await pipeline(rows, out === undefined ? process.stdout : createWriteStream(out), { end: out !== undefined }).catch(
    (cause: NodeJS.ErrnoException) => {
      if (out === undefined && cause.code === 'EPIPE') return; // `| head`: a reader that has seen enough
      if (out === undefined || cause.syscall === undefined) throw cause;
      throw new FlError('invalid-argument', `out: ${cause.message}`, { cause });
    },
  );
}

/** A line of names, then one for each example: its number, then every number of every output. */
async function* csvOf(parts: AsyncIterable<Predicted>): AsyncGenerator<string> {
  for await (const { first, count, outputs } of parts) {
    const entries = Object.entries(outputs).map(([name, output]) => ({
      name,
      ...output,
      names: namesOf(name, output.shape),
    }));
    if (first === 0) yield `${['example', ...entries.flatMap(({ names }) => names)].map(quoted).join(',')}\n`;
    for (let row = 0; row < count; row++) {
      const numbers = entries.flatMap(({ values, names }) =>
        Array.from(names, (_, i) => values[row * names.length + i]),
      );
      yield `${[first + row, ...numbers].join(',')}\n`;
    }
  }
}

/** `probabilities[3]`, `depth[0 7 0]`: where a number is in the output. */
function namesOf(name: string, shape: readonly number[]): string[] {
  const places = shape.reduce<number[][]>(
    (all, size) => all.flatMap((place) => Array.from({ length: size }, (_, i) => [...place, i])),
    [[]],
  );
  return places.map((place) => (place.length === 0 ? name : `${name}[${place.join(' ')}]`));
}

function quoted(name: string): string {
  return /[",\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;
}
