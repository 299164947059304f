/** `starling evaluate RUN_DIR --data DIR`: a run's model on examples that belong to no lab. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { settingsOf } from '../../server/report/facts.js';
import { BEST_MODEL } from '../../server/run/model.js';
import { corrupt, FlError, invalidArgument } from '../../shared/errors.js';
import type { Report } from '../../shared/run/report.js';
import type { Hyper, RunSpec } from '../../shared/run/spec.js';
import { sha256Of } from '../../shared/tensors/bytes.js';
import { layoutOf } from '../../shared/tensors/params.js';
import { decode } from '../../shared/tensors/safetensors.js';
import { asWrongUse, columns, command, keyValue, print, printJson } from './options.js';
import { settingOption } from './settings.js';

interface Given {
  readonly data: string;
  readonly workload?: string;
  readonly model: string;
  readonly hyper?: Hyper;
  readonly backend?: string;
  readonly json?: boolean;
}

/** Its figures are called central.*, and stand in the report beside the labs' test.*. */
export function evaluateCommand(): Command {
  const example =
    'starling evaluate starling-runs/tabular-20261124-203000-4711 --workload ./tabular.ts --data ./central';
  return command('evaluate', 'judge the model of a run on your own examples, which belong to no lab', example)
    .argument('RUN_DIR')
    .requiredOption('--data <DIR>', 'where they are: the test split of what the workload loads from there')
    .addOption(settingOption('workload', "default: the run's, if it is a built-in one"))
    .option('--model <NAME>', 'last or best', 'last')
    .addOption(
      settingOption('hyper', 'a setting of the workload that is another one here; repeatable').argParser(keyValue),
    )
    .addOption(settingOption('backend'))
    .option('--json', 'for machines')
    .action(evaluateAction);
}

async function evaluateAction(directory: string, given: Given): Promise<void> {
  const { loadWorkload, isWorkloadPath } = await import('../../client/workloads/index.js');
  const { readRun } = await import('../../server/run/directory.js');
  const { checkFolder, openCentral } = await import('../../simulations/central.js');
  const { spec, state } = await readRun(directory).catch((thrown) => {
    throw new FlError('invalid-argument', `${directory} is no run directory: ${FlError.from(thrown).message}`);
  });
  const best = state.judgement?.best;
  if (given.model !== 'last' && given.model !== 'best') throw invalidArgument('--model', 'last or best', given.model);
  if (given.model === 'best' && best === undefined) {
    throw invalidArgument('--model', 'last, for only a run with stop-when keeps its best', 'best');
  }
  const isBest = given.model === 'best' && best !== undefined;
  const sha256 = isBest ? best.modelSha256 : state.modelSha256;
  const file = await readFile(join(directory, isBest ? BEST_MODEL : `models/${sha256}.safetensors`));
  const { params } = decode(file, { expect: layoutOf(spec.work.model) });
  if (sha256Of(params) !== sha256) throw corrupt(directory, `the model ${sha256}`, sha256Of(params));
  const named = given.workload ?? spec.work.workload;
  const workload = await loadWorkload(named).catch(asWrongUse);
  if (workload.manifest.name !== spec.work.workload) {
    throw invalidArgument('--workload', `${spec.work.workload}, which the run has trained`, workload.manifest.name);
  }
  const { data, hyper, backend, json } = given;
  const module = isWorkloadPath(named) ? named : undefined;
  await checkFolder('--data', data).catch(asWrongUse);
  const central = await openCentral({ workload, file: module, directory: data, hyper, backend });
  try {
    const figures = await central.judge(spec, params, state.round);
    if (!isBest) await addToReport(directory, spec, figures.metrics);
    if (json) return printJson({ model: given.model, modelSha256: sha256, ...figures });
    print(`the ${given.model} model, ${sha256}, on ${figures.examples} examples:`);
    for (const line of columns(Object.entries(figures.metrics).map(([name, value]) => [name, String(value)])))
      print(line);
  } finally {
    await central.close();
  }
}

/** Beside what the labs have found; a run without a report has none to add to. */
async function addToReport(directory: string, spec: RunSpec, figures: Readonly<Record<string, number>>): Promise<void> {
  const text = await readFile(join(directory, 'report.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return;
  const { writeReport } = await import('../../server/report/build.js');
  const { final, ...report } = JSON.parse(text) as Report;
  const known = { plannedRounds: spec.work.rounds, settings: settingsOf(spec) };
  await writeReport(directory, { ...report, final: { ...final, metrics: { ...final.metrics, ...figures } } }, known);
}
