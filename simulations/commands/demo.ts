/** `starling demo`: the main job on real data, with real processes over real gRPC on this machine. */
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { checkEnded, command, integer, newRunDirectory, onInterrupt, print } from './options.js';

/** The demo scale with twice its images: two cores without GPU pass 90 % within half a minute. */
const DEMO = { workload: 'cnn', scale: 'demo', hyper: { 'train-examples': 6000 } } as const;
const DEMO_ROUNDS = 8;

export function demoCommand(): Command {
  return command('demo', 'ten labs train on real MNIST under a real coordinator, on this machine', 'starling demo')
    .option('--clients <N>', 'client processes', integer, 10)
    .option('--rounds <N>', 'rounds', integer, DEMO_ROUNDS)
    .option('--seed <N>', 'of everything that is drawn', integer, 1)
    .option('--out <DIR>', 'where all of it is kept (default: starling-runs/…)')
    .action(async (given: { clients: number; rounds: number; seed: number; out?: string }) => {
      const { checkConfig, resolve } = await import('../config.js');
      const { runFederation } = await import('../federation.js');
      const { showRun } = await import('../terminal/show.js');
      const { loadWorkload } = await import('../../client/workloads/index.js');
      const { clients } = given;
      const secure = { 'secure-aggregation': true, 'min-survivors': Math.max(2, Math.ceil(0.7 * clients)) };
      const config = checkConfig({ ...DEMO, ...given, ...secure, cohort: clients, 'min-clients': clients }, 'demo');
      const workload = await loadWorkload(config.workload);
      const { spec, model } = resolve(config, workload);
      const show = showRun({ rounds: given.rounds, headline: workload.manifest.headline, quiet: false });
      const abort = new AbortController();
      const release = onInterrupt(() => abort.abort());
      print(`a coordinator and ${clients} client processes over gRPC on ${availableParallelism()} cores`);
      print('secure aggregation is on: the coordinator learns sums over the labs and nothing of one lab');
      try {
        const { report, html } = await runFederation({
          ...{ spec, model, workload, clients: given.clients, signal: abort.signal },
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
    });
}
