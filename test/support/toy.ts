/**
 * A federation without a tensor library: a model of a few numbers and a trainer whose update is exact arithmetic, so that
 * a test can say what the global model must be.
 *
 * Client ci, with i examples, answers the model m with the update (target_i − m) / 2, target_i = i in every element.
 * All are exact in float32 for the few rounds of a test. The example-weighted mean over c1..cn is known in closed form.
 */

import type { EvaluateResult, Task, TaskOptions, TaskRunner, TrainResult } from '../../client/training/task.js';
import type { Workload } from '../../client/workload.js';
import type { RunSpec } from '../../shared/run/spec.js';
import { contributionLayout, phaseOfRound, updateChannel } from '../../shared/tensors/channels.js';
import { type Params, packTensors, sizeOf } from '../../shared/tensors/params.js';

export const TOY_SIZE = 6;

export function toyModel(): Params {
  return packTensors({
    w: { shape: [2, 2], data: new Float32Array(4) },
    b: { shape: [2], data: new Float32Array(2) },
  });
}

export function toySpec(
  { rounds = 3, ...overrides }: Partial<RunSpec['engine']> & { readonly rounds?: number } = {},
  seed = 1,
): RunSpec {
  const tensors = toyModel().layout.map(({ name, shape }) => ({ name, shape }));
  return {
    work: {
      workload: 'toy',
      scale: 'smoke',
      hyper: {},
      training: {
        localSteps: 1,
        batchSize: 1,
        clientLr: 0.5,
        momentum: 0,
        weightDecay: 0,
        gradientClipNorm: 0,
        lrSchedule: 'constant',
        proximalMu: 0,
      },
      partition: 'iid',
      seed,
      rounds,
      phases: [{ name: 'train', channels: [updateChannel(tensors)] }],
      model: tensors,
    },
    engine: {
      cohort: 4,
      minClients: 4,
      minSurvivors: 2,
      overSelection: 0,
      deadlineMs: 60_000,
      maxAttempts: 3,
      evaluateEvery: 1,
      evaluateClients: 0,
      strategy: 'fedavg',
      ...overrides,
    },
  };
}

/** The number in the name: c3 -> 3. */
export function toyExamples(client: string): number {
  return Number(/\d+$/.exec(client)?.[0] ?? 1);
}

/** @param hook is called before each task and may wait or throw */
export function toyTrainer(hook: (task: Task, options: TaskOptions) => Promise<void> | void = () => {}): TaskRunner {
  async function run(task: Task, options: TaskOptions = {}): Promise<TrainResult | EvaluateResult> {
    await hook(task, options);
    const examples = toyExamples(task.client);
    if (task.kind === 'evaluate') {
      const loss = task.model.reduce((sum, value) => sum + (value - examples) ** 2, 0);
      return { kind: 'evaluate', metrics: { loss: { sum: [loss * examples], count: examples } } };
    }
    const layout = contributionLayout(phaseOfRound(task.work.phases, task.round));
    const values = new Float32Array(sizeOf(layout)).map((_, i) => (examples - task.model[i]) / 2);
    const metrics = { loss: { sum: [values[0] * examples], count: examples } };
    return { kind: 'train', contribution: { values, weights: layout.map(() => examples), metrics } };
  }
  return { run: run as TaskRunner['run'] };
}

/** The model after `rounds` rounds over these clients: m <- m + (Σ i·(i − m)/2) / Σ i. */
export function toyExpected(clients: readonly string[], rounds: number): number {
  const weights = clients.map(toyExamples);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let model = 0;
  for (let round = 0; round < rounds; round++) {
    const mean = weights.reduce((sum, i) => sum + (i * (i - model)) / 2, 0) / total;
    model = Math.fround(model + Math.fround(mean));
  }
  return model;
}

export const toyWorkload: Workload = {
  manifest: {
    name: 'toy',
    topic: 'test',
    paper: 'none',
    data: 'none',
    scales: {} as Workload['manifest']['scales'],
    privacyUnits: ['client'],
    headline: { metric: 'test.loss', better: 'lower' },
  },
  init: () => ({ shared: {} }),
  load: async () => undefined,
  examples: () => ({ train: { count: 10 }, test: { count: 10 } }),
  batch: () => ({}),
  metrics: () => ({}),
};
