/**
 * One simulated round with secure aggregation: 1,000 virtual clients in one process, each with its own keys, shares, masks
 * and signatures, and training that costs nothing. What is left is the price of secure aggregation to a simulation.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Task, TaskRunner, TrainResult } from '../../client/training/task.js';
import { defineWorkload } from '../../client/workload.js';
import { FlError } from '../../shared/errors.js';
import type { RunSpec, SecureSpec } from '../../shared/run/spec.js';
import { updateChannel } from '../../shared/tensors/channels.js';
import { packTensors } from '../../shared/tensors/params.js';
import { simulate } from '../simulate.js';
import { cpuMs } from './rows.js';
import { tinySpec } from './tiny.js';

/** One round to be measured. */
export interface SecureSimulationCase {
  readonly clients: number;
  /** Numbers in the model. */
  readonly values: number;
  /** Absent: one sum over all. */
  readonly groupSize?: number;
}

const CASES: readonly SecureSimulationCase[] = [
  { clients: 1000, values: 10 },
  { clients: 1000, values: 29_000 },
  { clients: 1000, values: 29_000, groupSize: 50 },
];

const EVALUATORS = 10;

/** One row for each case: wall and CPU time of the round, and the most memory that the process has held so far. */
export async function benchSecureSimulation(cases = CASES): Promise<object[]> {
  const rows: object[] = [];
  for (const one of cases) rows.push(await measure(one));
  return rows;
}

async function measure(one: SecureSimulationCase) {
  const { clients, values, groupSize = 0 } = one;
  const directory = await mkdtemp(join(tmpdir(), 'starling-bench-'));
  const before = cpuMs();
  try {
    const { report } = await simulate({
      spec: specOf(one),
      model: packTensors({ w: { shape: [values], data: new Float32Array(values) } }),
      clients,
      workload,
      trainer: trainerOf(values),
      backend: 'none',
      workers: 2,
      transport: 'memory',
      dropout: 0,
      baselines: 'none',
      directory: join(directory, 'run'),
    });
    const [round] = report.rounds;
    if (round?.survivors !== clients) throw new FlError('internal', `bench: ${report.reason ?? 'a client is missing'}`);
    const peakMiB = process.resourceUsage().maxRSS / 1024;
    return { clients, d: values, groups: groupSize, 'round ms': round.durationMs, 'cpu ms': cpuMs() - before, peakMiB };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function specOf({ clients, values, groupSize }: SecureSimulationCase): RunSpec {
  const { work, engine } = tinySpec({ clients, rounds: 1 });
  const model = [{ name: 'w', shape: [values] }];
  const secure: SecureSpec = {
    valueRange: 4,
    weightCap: 1,
    adversaryFraction: 0.05,
    dropFraction: 0.05,
    survivorsMin: Math.min(EVALUATORS, clients),
    phaseDeadlineMs: 600_000,
    trainMetrics: [],
    testMetrics: [],
    ...(groupSize !== undefined && { groupSize }),
  };
  const phases = [{ name: 'train', channels: [updateChannel(model)] }];
  return {
    work: { ...work, model, phases, secure },
    engine: { ...engine, deadlineMs: 600_000, evaluateClients: Math.min(EVALUATORS, clients) },
  };
}

const trainerOf = (values: number): TaskRunner => ({
  run: (async (task: Task) => {
    if (task.kind === 'evaluate') return { kind: 'evaluate', metrics: {} };
    return {
      kind: 'train',
      contribution: { values: new Float32Array(values).fill(1), weights: [1], metrics: {} },
    } satisfies TrainResult;
  }) as TaskRunner['run'],
});

const workload = defineWorkload({
  manifest: {
    name: 'tiny',
    topic: 'bench',
    paper: 'none',
    data: 'none',
    privacyUnits: ['client'],
    scales: {} as never,
    headline: { metric: 'test.loss', better: 'lower' },
  },
  init: () => ({ shared: {} }),
  load: async () => undefined,
  examples: () => ({ train: { count: 1 }, test: { count: 1 } }),
  batch: () => ({}),
  metrics: () => ({}),
});
