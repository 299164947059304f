/** `starling demo`: the main job on real data, with real processes over real gRPC on this machine. */
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { checkEnded, command, newRunDirectory, onInterrupt, print } from './options.js';
import { settingOption } from './settings.js';

/** Ten labs protect their patients: no image of any lab can be told from the model, up to epsilon 8 (docs/privacy.md). */
const PRIVATE = {
  privacy: 'example',
  'noise-multiplier': 0.9,
  'clipping-bound': 1,
  delta: 1e-5,
  'epsilon-budget': 8,
  'sampling-rate': 0.1,
  'local-steps': 10,
  'batch-size': 64,
  'client-lr': 3,
  momentum: 0,
  hyper: { 'train-examples': 20_000, filters: 8 },
} as const;
/** Without noise a third of the images is enough. */
const PLAIN = { privacy: 'none', hyper: { 'train-examples': 6000 } } as const;
const DEMO_ROUNDS = 8;

const DEMO = { workload: 'cnn', scale: 'demo' } as const;

interface Given {
  readonly clients: number;
  readonly rounds: number;
  readonly seed: number;
  readonly privacy: 'example' | 'none';
  readonly out?: string;
}

/** Ten labs, or as many as are asked for. */
export function demoCommand(): Command {
  return command('demo', 'ten labs train on real MNIST under a real coordinator, on this machine', 'starling demo')
    .addOption(settingOption('clients', 'client processes').default(10))
    .addOption(settingOption('rounds').default(DEMO_ROUNDS))
    .addOption(settingOption('seed').default(1))
    .addOption(
      settingOption('privacy', 'noise on each training step of a lab, or none')
        .choices(['example', 'none'])
        .default('example'),
    )
    .addOption(settingOption('out', 'where all of it is kept (default: starling-runs/…)'))
    .action(demoAction);
}

async function demoAction({ privacy, ...given }: Given): Promise<void> {
  const { checkConfig, resolve } = await import('../../simulations/config/resolve.js');
  const { runFederation } = await import('../../simulations/local-deployment.js');
  const { showRun } = await import('../terminal/show.js');
  const { loadWorkload } = await import('../../client/workloads/index.js');
  const { clients } = given;
  const secure = { 'secure-aggregation': true, 'min-survivors': Math.max(2, Math.ceil(0.7 * clients)) };
  const config = checkConfig(
    {
      ...DEMO,
      ...(privacy === 'none' ? PLAIN : PRIVATE),
      ...given,
      ...secure,
      cohort: clients,
      'min-clients': clients,
    },
    'demo',
  );
  const workload = await loadWorkload(config.workload);
  const { spec, model } = resolve(config, workload);
  const show = showRun({ rounds: given.rounds, headline: workload.manifest.headline, quiet: false });
  const abort = new AbortController();
  const release = onInterrupt(() => abort.abort());
  print(`a coordinator and ${clients} client processes over gRPC on ${availableParallelism()} cores`);
  print('secure aggregation is on: the coordinator learns sums over the labs and nothing of one lab');
  if (privacy !== 'none')
    print('example-level differential privacy is on: every lab adds noise that hides each single image');
  try {
    const { report, html } = await runFederation({
      spec,
      model,
      workload,
      clients: given.clients,
      signal: abort.signal,
      directory: given.out ?? newRunDirectory('demo', Date.now()),
      command: `starling ${process.argv.slice(2).join(' ')}`,
      onEvent: show.event,
      say: show.line,
    });
    show.result(report, html);
    checkEnded(report.status, report.reason);
  } finally {
    release();
    show.close();
  }
}
