/**
 * How many client updates a simulation makes in a second, and how much of its time is not the model's: the same steps are
 * also taken by a bare loop, with no engine, no client and no coordinator around it, before and after, in the same run.
 *
 * CPU time is compared, since a busy machine changes it least: all threads of the process count, so what the coordinator
 * does beside the training is in it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { selectBackend } from '../../client/backends/index.js';
import { createTrainerPool, type TrainerPool } from '../../client/training/pool.js';
import type { Shard, TensorMap, Workload } from '../../client/workload.js';
import { rngFromSeed } from '../../shared/rng.js';
import type { RunEvent } from '../../shared/run/events.js';
import { checkConfig, type Resolved, resolve } from '../config/resolve.js';
import { simulate } from '../simulate.js';
import { cpuMs } from './rows.js';

/** What a simulation makes in a second, beside a bare loop over the same steps. */
export interface SimulationRow {
  readonly task: string;
  readonly workers: number;
  readonly updates: number;
  readonly wallS: number;
  readonly updatesPerS: number;
  readonly cpuMsPerUpdate: number;
  /** Of the bare loop, for the steps of one update: the mean of before and after. */
  readonly bareCpuMsPerUpdate: number;
  /** Part of the CPU time that the bare loop does without. */
  readonly outsideModelPercent: number;
  /** Largest resident set of the process so far, the bare loop's model in it. */
  readonly peakRssMB: number;
}

const BACKEND = 'wasm';
const TASKS = ['mnist-logistic', 'cifar-cnn'] as const;

/** Takes about a minute; `rounds`, of either task, makes it shorter. */
export async function benchSimulation({ rounds }: { rounds?: number } = {}): Promise<SimulationRow[]> {
  const rows: SimulationRow[] = [];
  for (const task of TASKS) {
    const url = new URL(`./workloads/${task}.js`, import.meta.url);
    const { default: workload } = (await import(url.href)) as { default: Workload };
    const resolved = resolveTask(workload, rounds);
    let before = await bareLoop(workload, resolved);
    for (const workers of [1, 2]) {
      const measured = await simulated(workload, { ...resolved, workers, file: fileURLToPath(url) });
      const after = await bareLoop(workload, resolved);
      const bareCpuMsPerUpdate = (before + after) / 2;
      const outsideModelPercent = 100 * (1 - bareCpuMsPerUpdate / measured.cpuMsPerUpdate);
      const peakRssMB = process.resourceUsage().maxRSS / 1000;
      rows.push({ task, workers, ...measured, bareCpuMsPerUpdate, outsideModelPercent, peakRssMB });
      before = after;
    }
  }
  return rows;
}

function resolveTask(workload: Workload, rounds: number | undefined): Resolved {
  const { clients } = workload.manifest.scales.demo;
  const config = {
    workload: workload.manifest.name,
    'min-clients': clients,
    'evaluate-every': 0,
    'evaluate-clients': 1,
    rounds,
  };
  return resolve(checkConfig(config, 'benchmark'), workload);
}

type Measured = Pick<SimulationRow, 'updates' | 'wallS' | 'updatesPerS' | 'cpuMsPerUpdate'>;

/** From the first plan to the last update; threads, data and kernels are warm by then. */
async function simulated(workload: Workload, options: Resolved & { workers: number; file: string }): Promise<Measured> {
  const { workers, file, ...resolved } = options;
  const directory = await mkdtemp(join(tmpdir(), 'starling-bench-'));
  const workloadModules = { [workload.manifest.name]: file };
  const trainer = await createTrainerPool({ workers, backend: BACKEND, workloadModules });
  try {
    await warmUp(trainer, options);
    let start = { ms: 0, cpuMs: 0 };
    let end = start;
    let updates = 0;
    const onEvent = (event: RunEvent) => {
      if (event.kind === 'round-started' && event.round === 1) start = { ms: performance.now(), cpuMs: cpuMs() };
      if (event.kind !== 'arrived') return;
      updates++;
      end = { ms: performance.now(), cpuMs: cpuMs() };
    };
    await simulate({
      ...resolved,
      workload,
      trainer,
      backend: BACKEND,
      workers,
      onEvent,
      transport: 'memory',
      dropout: 0,
      baselines: 'none',
      directory: join(directory, 'run'),
    });
    const wallS = (end.ms - start.ms) / 1000;
    return { updates, wallS, updatesPerS: updates / wallS, cpuMsPerUpdate: (end.cpuMs - start.cpuMs) / updates };
  } finally {
    await trainer.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Two tasks on every thread. */
async function warmUp(trainer: TrainerPool, { spec, model, clients, workers }: Resolved & { workers: number }) {
  const tasks = Array.from({ length: 2 * workers }, (_, index) => {
    const slice = { index, count: clients };
    return trainer.run({ kind: 'train', work: spec.work, client: `w${index}`, slice, round: 1, model: model.values });
  });
  await Promise.all(tasks);
}

/** CPU time of one update's steps in this thread: batches, gradients, w - lr · g, and the model's values out again. */
async function bareLoop(workload: Workload, { spec, model }: Resolved): Promise<number> {
  const { tf } = await selectBackend(BACKEND);
  const { hyper, training } = spec.work;
  const data = await workload.load({ hyper, rng: rngFromSeed(1) });
  const perClient = workload.examples(data, hyper).train.count / workload.manifest.scales.demo.clients;
  const shard: Shard = { train: new Int32Array(0), test: new Int32Array(0), index: 0, count: 1 };
  const step = async (params: ReturnType<typeof tf.tensor>[], indices: Int32Array) => {
    const [loss, next] = tf.tidy(() => {
      const batch = workload.batch(data, indices, { hyper, shard, split: 'train' });
      const named = Object.fromEntries(model.layout.map(({ name }, i) => [name, params[i]])) as TensorMap;
      const { value, grads } = tf.engine().gradients(() => workload.loss!(named, batch, rngFromSeed(1)), params);
      return [value, params.map((w, i) => tf.sub(w, tf.mul(grads[i], training.clientLr)))] as const;
    });
    tf.dispose(params);
    await loss.data();
    loss.dispose();
    return next;
  };
  const update = async (first: number) => {
    let params = model.layout.map(({ shape, offset, size }) =>
      tf.tensor(model.values.slice(offset, offset + size), [...shape]),
    );
    for (let at = 0; at < perClient; at += training.batchSize) {
      const length = Math.min(training.batchSize, perClient - at);
      params = await step(
        params,
        Int32Array.from({ length }, (_, i) => first + at + i),
      );
    }
    for (const tensor of params) await tensor.data();
    tf.dispose(params);
  };
  for (let i = 0; i < 3; i++) await update(i);
  const startMs = cpuMs();
  let updates = 0;
  while (updates < 10 || (cpuMs() - startMs < 2000 && updates < 1000)) await update(updates++ * perClient);
  return (cpuMs() - startMs) / updates;
}
