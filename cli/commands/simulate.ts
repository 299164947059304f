/** `starling simulate CONFIG.yaml` or `starling simulate --workload NAME [options]`: a federation on this machine. */
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import type { Workload } from '../../client/workload.js';
import { invalidArgument } from '../../shared/errors.js';
import type { Report } from '../../shared/run/report.js';
import type { Config } from '../../shared/run/settings.js';
import type { StartFile } from '../../shared/tensors/start-model.js';
import type { Central } from '../../simulations/central.js';
import type { Resolved } from '../../simulations/config/resolve.js';
import { readYaml } from '../../simulations/config/yaml.js';
import type { Place } from '../../simulations/place.js';
import type { Shown } from '../terminal/show.js';
import { asWrongUse, checkEnded, command, newRunDirectory, onInterrupt, print } from './options.js';
import { configOf, SETTING_KEYS, settingOption } from './settings.js';

/** Its options are the settings of a run; those that are given go before the file. */
export function simulateCommand(): Command {
  const example = 'starling simulate --workload cnn --clients 10 --rounds 12 --partition shards:2 --baselines all';
  const made = command('simulate', 'run a whole federation on this machine', example).argument('[CONFIG]');
  for (const key of SETTING_KEYS) made.addOption(settingOption(key));
  return made
    .option('--resume <DIR>', 'go on with the simulation that was interrupted in this run directory')
    .option('--json <FILE>', 'also write report.json there; - for standard output')
    .action(simulateAction);
}

/** Names are for labs. @throws FlError invalid-argument */
function virtualClients({ clients, scale }: Config, { manifest }: Workload): number {
  if (typeof clients !== 'object') return clients ?? manifest.scales[scale].clients;
  throw invalidArgument('clients', 'a number: names are for labs, `starling run start`', 'a list');
}

async function simulateAction(file: string | undefined, given: Record<string, unknown>): Promise<void> {
  const { json, ...options } = given as { json?: string };
  const { config, workload, settings, initialModel, resolved } = await readSimulation(file, options);
  const { openPlace } = await import('../../simulations/place.js');
  const directory = config.out ?? newRunDirectory(workload.manifest.name, Date.now());
  const place = await openPlace(directory, config);
  try {
    if (place.done === undefined) {
      await carryOut({ config, settings, workload, initialModel, resolved, directory, place, json });
    } else {
      const { status, modelSha256 } = place.done;
      if (json !== '-') print(`${directory} is complete: ${status}, model ${modelSha256}; nothing is left to do`);
      await writeJson(place.done, json);
    }
  } finally {
    await place.release();
  }
}

/** Of `--resume`, what the simulation was begun with; how many threads train may be another number. */
async function askedFor(file: string | undefined, options: object): Promise<Record<string, unknown>> {
  const { resume, workers, ...others } = configOf(options) as { resume?: string; workers?: number };
  if (resume === undefined) return { ...(file === undefined ? {} : await readYaml(file)), ...configOf(options) };
  const [beside] = file === undefined ? Object.keys(others).map((key) => `--${key}`) : [file];
  if (beside !== undefined) throw invalidArgument('--resume', 'nothing beside it but --workers and --json', beside);
  const { settingsIn } = await import('../../simulations/place.js');
  return { ...(await settingsIn(resume)), ...(workers !== undefined && { workers }) };
}

interface Simulation {
  readonly config: Config;
  /** With what follows from the workload. */
  readonly settings: Config;
  readonly workload: Workload;
  readonly initialModel: StartFile | undefined;
  readonly resolved: Resolved;
  readonly directory: string;
  readonly place: Place;
  readonly json: string | undefined;
}

async function carryOut(simulation: Simulation): Promise<void> {
  const { config, settings, workload, initialModel, resolved, directory, place, json } = simulation;
  const { isWorkloadPath } = await import('../../client/workloads/index.js');
  const { createTrainerPool } = await import('../../client/training/pool.js');
  const { checkShares } = await import('../../simulations/config/shares.js');
  const { simulate } = await import('../../simulations/simulate.js');
  const { notesOn } = await import('../../simulations/config/notes.js');
  const { federationsOf } = await import('../../simulations/baselines/federations.js');
  const { createCauses } = await import('../terminal/causes.js');
  const { showRun } = await import('../terminal/show.js');
  // Data that is not here ends the run before it begins, and not on every client of it.
  const ofShares = await checkShares(workload, resolved).catch(asWrongUse);
  const workers = config.workers ?? Math.min(availableParallelism(), resolved.spec.engine.cohort);
  const trainer = await createTrainerPool({
    workers,
    backend: config.backend ?? place.backend,
    workloadModules: isWorkloadPath(config.workload) ? { [workload.manifest.name]: config.workload } : {},
  });
  const show = showRun({
    rounds: resolved.spec.work.rounds,
    headline: workload.manifest.headline,
    quiet: json === '-',
  });
  const central = await centralOf(config, workload, trainer.backend.name);
  const causes = createCauses();
  const abort = new AbortController();
  const release = onInterrupt(() => abort.abort());
  try {
    await central?.judge(resolved.spec, resolved.model, 1); // what cannot be judged is found out before anything runs
    await place.keep(resolved.spec, trainer.backend.name);
    const wrong = await saidFirst(workload, resolved, show);
    show.line(`back end ${trainer.backend.name}: ${trainer.backend.why}`);
    const beside =
      config.baselines !== 'none' ? federationsOf(settings, workload, initialModel) : { federations: [], missing: [] };
    for (const why of [...beside.missing, ...ofShares, ...notesOn(resolved)]) show.line(why);
    const { report, html } = await simulate({
      ...resolved,
      ...{ workload, trainer, backend: trainer.backend.name, workers, directory, resume: true },
      signal: abort.signal,
      transport: config.transport,
      dropout: config.dropout,
      secretNoise: config['secret-noise'] ?? false,
      baselines: config.baselines,
      federations: beside.federations,
      ...(central && { judge: (model, round) => central.judge(resolved.spec, model, round) }),
      onCentral: ({ round, metrics }) => show.line(`round ${round} on ${config['evaluate-on']}: ${figuresIn(metrics)}`),
      command: `starling ${process.argv.slice(2).join(' ')}`,
      onEvent: (event) => show.event(causes.told(event)),
      onNotice: (client, _, fields) => causes.add(client, fields),
      onBaseline: (who) => show.line(`baseline trained: ${who}`),
    });
    for (const why of causes.lines()) show.line(why);
    show.result(report, html);
    for (const why of wrong) show.line(why); // nothing is said after it
    if (report.status === 'stopped') show.line(`to go on: starling simulate --resume ${directory}`);
    await writeJson(report, json);
    checkEnded(report.status, report.reason);
  } finally {
    release();
    show.close();
    await trainer.close();
    await central?.close();
  }
}

/** Computed as the clients' figures are: on the same back end. */
async function centralOf(config: Config, workload: Workload, backend: string): Promise<Central | undefined> {
  const { 'evaluate-on': directory } = config;
  if (directory === undefined) return undefined;
  const { checkFolder, openCentral } = await import('../../simulations/central.js');
  await checkFolder('evaluate-on', directory).catch(asWrongUse);
  const { isWorkloadPath } = await import('../../client/workloads/index.js');
  const file = isWorkloadPath(config.workload) ? config.workload : undefined;
  return openCentral({ workload, file, directory, backend });
}

function figuresIn(metrics: Readonly<Record<string, number>>): string {
  return Object.entries(metrics)
    .map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`)
    .join(', ');
}

async function writeJson(report: Report, json: string | undefined): Promise<void> {
  if (json === '-') print(JSON.stringify(report, null, 2));
  else if (json !== undefined) await writeFile(json, `${JSON.stringify(report, null, 2)}\n`);
}

/** What was asked for, complete. @throws FlError invalid-argument: it cannot work */
async function readSimulation(file: string | undefined, options: object) {
  const { checkConfig, resolve } = await import('../../simulations/config/resolve.js');
  const { checkGivenSimulation } = await import('../../simulations/config/given.js');
  const { readInitialModel } = await import('../../simulations/config/initial-model.js');
  const { loadWorkload } = await import('../../client/workloads/index.js');
  const asked = await askedFor(file, options);
  const config = checkConfig(asked, file ?? 'options');
  const workload = await loadWorkload(config.workload).catch(asWrongUse);
  const settings = { 'min-clients': virtualClients(config, workload), ...config };
  const initialModel = await readInitialModel(config);
  const resolved = resolve(settings, workload, { initialModel });
  checkGivenSimulation(asked, resolved);
  return { config, workload, settings, initialModel, resolved };
}

/** What is wrong with the figures of a workload, said before it runs, and given back to be said again at the end. */
async function saidFirst(workload: Workload, { spec }: Resolved, show: Shown): Promise<string[]> {
  const { figuresOfWorkload, twiceWords } = await import('../../simulations/config/figures.js');
  const words = twiceWords(workload, figuresOfWorkload(workload, spec.work.hyper));
  for (const line of words) show.line(line);
  return words;
}
