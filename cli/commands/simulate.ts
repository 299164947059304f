/** `starling simulate CONFIG.yaml` or `starling simulate --workload NAME [options]`: a federation on this machine. */
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { type Command, Option } from 'commander';
import { readYaml } from '../../simulations/config/yaml.js';
import {
  asWrongUse,
  checkEnded,
  command,
  integer,
  keyValue,
  newRunDirectory,
  number,
  onInterrupt,
  print,
} from './options.js';

/** Options that are keys of the configuration file too, and how their text is read. */
const CONFIG_OPTIONS: readonly [flags: string, description: string, read?: (text: string) => unknown][] = [
  ['--workload <NAME>', 'a built-in workload or a file whose default export is one'],
  ['--scale <NAME>', 'smoke, demo or full (default: demo)'],
  ['--clients <N>', 'virtual clients', integer],
  ['--cohort <N>', 'clients per round', integer],
  ['--rounds <N>', 'rounds', integer],
  ['--local-epochs <N>', 'epochs of local training per round', integer],
  ['--local-steps <N>', 'steps of local training per round, instead of epochs', integer],
  ['--batch-size <N>', 'examples per step', integer],
  ['--client-lr <X>', 'learning rate of local SGD', number],
  ['--server-lr <X>', 'learning rate of the strategy', number],
  ['--momentum <X>', 'of local SGD', number],
  ['--weight-decay <X>', 'of local SGD', number],
  ['--gradient-clip-norm <X>', 'largest norm of one local gradient; no privacy mechanism', number],
  ['--lr-schedule <NAME>', 'constant or cosine, over rounds'],
  ['--strategy <SPEC>', 'fedavg, fedprox, fedavgm, fedadam, fedyogi, fedadagrad, as NAME[:key=value,...]'],
  ['--aggregator <NAME>', 'mean, median or trimmed-mean[:fraction]; of updates, or of groups'],
  ['--partition <SPEC>', 'iid, dirichlet:A, shards:K or natural'],
  ['--over-selection <X>', 'extra fraction of the cohort that is invited', number],
  ['--min-clients <N>', 'clients that must be there before a cohort is drawn', integer],
  ['--min-survivors <N>', 'fewest updates that make a round', integer],
  ['--deadline-ms <N>', 'time a round may take', integer],
  ['--max-attempts <N>', 'failed attempts at one round before the run fails', integer],
  ['--evaluate-every <N>', 'evaluate after every n-th round; 0: after the last only', integer],
  ['--evaluate-clients <N>', 'clients that evaluate; 0: all', integer],
  ['--secure-aggregation', 'the coordinator learns sums over the survivors only'],
  ['--secure-groups <G>', 'with it: one sum for each random group of at least G clients', integer],
  ['--value-range <X>', 'with it: elements of an update beyond +-X are clamped', number],
  ['--weight-cap <N>', 'with it: examples of a client beyond N do not count', integer],
  ['--adversary-fraction <P>', 'with it: fraction of a cohort that may collude', number],
  ['--drop-fraction <P>', 'with it: fraction of a cohort that may drop out', number],
  ['--privacy <MODE>', 'none, central, distributed, local (one client) or example (one example)'],
  ['--noise-multiplier <Z>', 'with it: deviation of the noise / clipping bound', number],
  ['--clipping-bound <C>', 'with it: norm of an update, or of the gradient of an example; or adaptive', boundOf],
  ['--delta <D>', 'with it: of (epsilon, delta)', number],
  ['--epsilon-budget <E>', 'with it: the run ends before the round that would cross it', number],
  ['--sampling-rate <Q>', 'with example: chance of an example to be in a step', number],
  ['--noise <NAME>', 'with central: independent in each round, or a tree over all of them (DP-FTRL)'],
  ['--separation <N>', 'with a tree: rounds from one to the next of the same client, at least', integer],
  ['--dropout <P>', 'probability that a client drops out of a round', number],
  ['--seed <N>', 'of everything that is drawn', integer],
  ['--workers <N>', 'threads that train', integer],
  ['--transport <NAME>', 'memory or grpc'],
  ['--backend <NAME>', 'tfjs-node-gpu, tfjs-node, webgpu, wasm or cpu'],
  [
    '--baselines <NAME>',
    'none or all: also each client (at most 10) alone, all data in one place, the run with privacy, and what it is compared with',
  ],
  ['--out <DIR>', 'the run directory (default: starling-runs/…)'],
];

function boundOf(text: string): number | 'adaptive' {
  return text === 'adaptive' ? text : number(text);
}

export function simulateCommand(): Command {
  const example = 'starling simulate --workload cnn --clients 10 --rounds 12 --partition shards:2 --baselines all';
  const made = command('simulate', 'run a whole federation on this machine', example).argument('[CONFIG]');
  for (const [flags, description, read] of CONFIG_OPTIONS) {
    const option = new Option(flags, description);
    made.addOption(read === undefined ? option : option.argParser(read));
  }
  return made
    .option('--hyper <KEY=VALUE>', "one of the workload's own settings; repeatable", keyValue)
    .option('--json <FILE>', 'also write report.json there; - for standard output')
    .action(simulateAction);
}

async function simulateAction(file: string | undefined, given: Record<string, unknown>): Promise<void> {
  const { json, ...options } = given as { json?: string };
  const fromFile = file === undefined ? {} : await readYaml(file);
  const { checkConfig, resolve } = await import('../../simulations/config/resolve.js');
  const config = checkConfig({ ...fromFile, ...kebab(options) }, file ?? 'options');
  const { loadWorkload, isWorkloadPath } = await import('../../client/workloads/index.js');
  const { createTrainerPool } = await import('../../client/training/pool.js');
  const { loadData } = await import('../../client/training/task.js');
  const { simulate } = await import('../../simulations/simulate.js');
  const { federationsOf } = await import('../../simulations/baselines/federations.js');
  const { showRun } = await import('../terminal/show.js');
  const workload = await loadWorkload(config.workload).catch(asWrongUse);
  const settings = { 'min-clients': config.clients ?? workload.manifest.scales[config.scale].clients, ...config };
  const resolved = resolve(settings, workload);
  // Data that is not here ends the run before it begins, and not on every client of it.
  await loadData(workload, resolved.spec.work).catch(asWrongUse);
  const workers = config.workers ?? Math.min(availableParallelism(), resolved.spec.engine.cohort);
  const trainer = await createTrainerPool({
    workers,
    ...(config.backend !== undefined && { backend: config.backend }),
    workloadModules: isWorkloadPath(config.workload) ? { [workload.manifest.name]: config.workload } : {},
  });
  const show = showRun({
    rounds: resolved.spec.engine.rounds,
    headline: workload.manifest.headline,
    quiet: json === '-',
  });
  show.line(`back end ${trainer.backend.name}: ${trainer.backend.why}`);
  const beside = config.baselines === 'all' ? federationsOf(settings, workload) : { federations: [], missing: [] };
  for (const why of beside.missing) show.line(why);
  const abort = new AbortController();
  const release = onInterrupt(() => abort.abort());
  try {
    const { report, html } = await simulate({
      ...resolved,
      ...{ workload, trainer, backend: trainer.backend.name, workers, signal: abort.signal },
      ...{ transport: config.transport, dropout: config.dropout, baselines: config.baselines },
      federations: beside.federations,
      directory: config.out ?? newRunDirectory(workload.manifest.name, Date.now()),
      command: `starling ${process.argv.slice(2).join(' ')}`,
      onEvent: show.event,
      onBaseline: (who) => show.line(`baseline trained: ${who}`),
    });
    show.result(report, html);
    if (json === '-') print(JSON.stringify(report, null, 2));
    else if (json !== undefined) await writeFile(json, `${JSON.stringify(report, null, 2)}\n`);
    checkEnded(report.status, report.reason);
  } finally {
    release();
    show.close();
    await trainer.close();
  }
}

/** Commander's camelCase back to the keys of the configuration. */
function kebab(options: object): Record<string, unknown> {
  const entries = Object.entries(options).map(([key, value]) => [
    key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`),
    value,
  ]);
  return Object.fromEntries(entries) as Record<string, unknown>;
}
