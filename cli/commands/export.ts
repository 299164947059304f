/** `starling export RUN_DIR`: a run's model in the format of another program. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { FlError, invalidArgument } from '../../shared/errors.js';
import type { TrainedModel } from '../../simulations/trained-model.js';
import { command, print } from './options.js';

const FORMATS = ['safetensors', 'tfjs', 'onnx'] as const;
const LAYOUTS = ['starling', 'pytorch'] as const;

interface Given {
  readonly format: (typeof FORMATS)[number];
  readonly to: string;
  readonly layout: (typeof LAYOUTS)[number];
  readonly workload?: string;
}

/** Prints what was written. */
export function exportCommand(): Command {
  const example = 'starling export starling-runs/cnn-20261124-203000-4711 --format onnx --to cnn.onnx';
  return command('export', "write a run's model for PyTorch, TensorFlow.js or ONNX", example)
    .argument('RUN_DIR')
    .addOption(new Option('--format <FORMAT>', 'of what is written').choices(FORMATS).makeOptionMandatory())
    .requiredOption('--to <PATH>', 'a file, for tfjs a folder')
    .addOption(
      new Option('--layout <LAYOUT>', "of safetensors: pytorch turns kernels and gives tensors PyTorch's names")
        .choices(LAYOUTS)
        .default('starling'),
    )
    .option('--workload <FILE>', "the run's workload, if it is not built in")
    .action(exportAction);
}

async function exportAction(directory: string, given: Given): Promise<void> {
  const { format, to, layout } = given;
  if (layout !== 'starling' && format !== 'safetensors') {
    throw invalidArgument('layout', `starling with --format ${format}: pytorch is for safetensors`, layout);
  }
  const { openTrainedModel } = await import('../../simulations/trained-model.js');
  const model = await openTrainedModel(directory, given.workload);
  const files = await filesOf(model, given);
  try {
    if (format === 'tfjs') await mkdir(to, { recursive: true });
    for (const [name, bytes] of Object.entries(files)) await writeFile(name === '' ? to : join(to, name), bytes);
  } catch (cause) {
    throw new FlError('invalid-argument', `to: ${(cause as Error).message}`, { cause });
  }
  print(to);
}

/** By name in the folder; '' is the path itself. */
async function filesOf(model: TrainedModel, { format, layout }: Given): Promise<Record<string, Uint8Array>> {
  const { workload, work, tensors, metadata } = model;
  if (format === 'safetensors') {
    const { packTensors } = await import('../../shared/tensors/params.js');
    const { encode } = await import('../../shared/tensors/safetensors.js');
    const { pytorchTensors } = await import('../../client/export/pytorch.js');
    const isTurned = layout === 'pytorch';
    return {
      '': encode(packTensors(isTurned ? pytorchTensors(tensors) : tensors), {
        ...metadata,
        ...(isTurned && { format: 'pt' }),
      }),
    };
  }
  const { predictionOf } = await import('../../client/export/predict.js');
  const { graphOf } = await import('../../client/export/graph.js');
  const { selectBackend } = await import('../../client/backends/index.js');
  const predict = predictionOf(workload);
  await selectBackend('cpu'); // nothing is computed that takes long, and no kernel is fused that others lack
  const graph = graphOf(predict, tensors, work.hyper);
  const inputs = Object.entries(predict.inputs(work.hyper)).map(([name, { about }]) => [name, about]);
  const names = {
    name: workload.manifest.name,
    metadata,
    about: { ...predict.outputs, ...Object.fromEntries(inputs) },
  };
  if (format === 'onnx') return { '': (await import('../../client/export/onnx.js')).onnxModel(graph, names) };
  return (await import('../../client/export/graph-model.js')).graphModelFiles(graph, names);
}
