/** `starling simulate CONFIG.yaml` or `starling simulate --workload NAME [options]`: a federation on this machine. */
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import type { Workload } from '../../client/workload.js';
import type { Resolved } from '../../simulations/config/resolve.js';
import { readYaml } from '../../simulations/config/yaml.js';
import type { Shown } from '../terminal/show.js';
import { asWrongUse, checkEnded, command, newRunDirectory, onInterrupt, print } from './options.js';
import { configOf, SETTING_KEYS, settingOption } from './settings.js';

/** Its options are the settings of a run; those that are given go before the file. */
export function simulateCommand(): Command {
  const example = 'starling simulate --workload cnn --clients 10 --rounds 12 --partition shards:2 --baselines all';
  const made = command('simulate', 'run a whole federation on this machine', example).argument('[CONFIG]');
  for (const key of SETTING_KEYS) made.addOption(settingOption(key));
  return made.option('--json <FILE>', 'also write report.json there; - for standard output').action(simulateAction);
}

async function simulateAction(file: string | undefined, given: Record<string, unknown>): Promise<void> {
  const { json, ...options } = given as { json?: string };
  const fromFile = file === undefined ? {} : await readYaml(file);
  const { checkConfig, resolve } = await import('../../simulations/config/resolve.js');
  const config = checkConfig({ ...fromFile, ...configOf(options) }, file ?? 'options');
  const { loadWorkload, isWorkloadPath } = await import('../../client/workloads/index.js');
  const { createTrainerPool } = await import('../../client/training/pool.js');
  const { loadData } = await import('../../client/training/task.js');
  const { simulate } = await import('../../simulations/simulate.js');
  const { federationsOf } = await import('../../simulations/baselines/federations.js');
  const { createCauses } = await import('../terminal/causes.js');
  const { showRun } = await import('../terminal/show.js');
  const workload = await loadWorkload(config.workload).catch(asWrongUse);
  const settings = { 'min-clients': config.clients ?? workload.manifest.scales[config.scale].clients, ...config };
  const { readInitialModel } = await import('../../simulations/config/initial-model.js');
  const initialModel = await readInitialModel(config);
  const resolved = resolve(settings, workload, { initialModel });
  // Data that is not here ends the run before it begins, and not on every client of it.
  await loadData(workload, resolved.spec.work).catch(asWrongUse);
  const workers = config.workers ?? Math.min(availableParallelism(), resolved.spec.engine.cohort);
  const trainer = await createTrainerPool({
    workers,
    backend: config.backend,
    workloadModules: isWorkloadPath(config.workload) ? { [workload.manifest.name]: config.workload } : {},
  });
  const show = showRun({
    rounds: resolved.spec.work.rounds,
    headline: workload.manifest.headline,
    quiet: json === '-',
  });
  const wrong = await saidFirst(workload, resolved, show);
  show.line(`back end ${trainer.backend.name}: ${trainer.backend.why}`);
  const beside =
    config.baselines === 'all' ? federationsOf(settings, workload, initialModel) : { federations: [], missing: [] };
  for (const why of beside.missing) show.line(why);
  const causes = createCauses();
  const abort = new AbortController();
  const release = onInterrupt(() => abort.abort());
  try {
    const { report, html } = await simulate({
      ...resolved,
      workload,
      trainer,
      backend: trainer.backend.name,
      workers,
      signal: abort.signal,
      transport: config.transport,
      dropout: config.dropout,
      secretNoise: config['secret-noise'] ?? false,
      baselines: config.baselines,
      federations: beside.federations,
      directory: config.out ?? newRunDirectory(workload.manifest.name, Date.now()),
      command: `starling ${process.argv.slice(2).join(' ')}`,
      onEvent: show.event,
      onNotice: (client, _, fields) => causes.add(client, fields),
      onBaseline: (who) => show.line(`baseline trained: ${who}`),
    });
    for (const why of [...causes.lines(), ...wrong]) show.line(why);
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

/** What is wrong with the figures of a workload, said before it runs, and given back to be said again at the end. */
async function saidFirst(workload: Workload, { spec }: Resolved, show: Shown): Promise<string[]> {
  const { figuresOfWorkload, twiceWords } = await import('../../simulations/config/figures.js');
  const words = twiceWords(workload, figuresOfWorkload(workload, spec.work.hyper));
  for (const line of words) show.line(line);
  return words;
}
