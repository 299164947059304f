/**
 * What a round costs when training costs nothing: 100 clients over real gRPC on loopback, a model of ten numbers, no
 * evaluation. The reference of the same run is what the disk takes: a round makes three records and one model durable,
 * one after the other.
 */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Task, TaskRunner, TrainResult } from '../../client/training/task.js';
import type { Workload } from '../../client/workload.js';
import { updateChannel } from '../../shared/channels.js';
import { packTensors } from '../../shared/params.js';
import type { RunSpec } from '../../shared/round.js';
import { simulate } from '../simulate.js';

export interface OverheadRow {
  readonly clients: number;
  readonly rounds: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly maxMs: number;
  /** Median of one durable write of 300 bytes. */
  readonly diskMs: number;
  /** p50Ms in such writes. */
  readonly ratioToDisk: number;
}

export async function benchRoundOverhead({ clients = 100, rounds = 50 } = {}): Promise<OverheadRow[]> {
  const directory = await mkdtemp(join(tmpdir(), 'starling-bench-'));
  try {
    const { report } = await simulate({
      ...{
        spec: tinySpec(clients, rounds),
        model: tinyModel(),
        clients,
        workload: tinyWorkload,
        trainer: instantTrainer,
      },
      ...{ backend: 'none', workers: clients, transport: 'grpc', dropout: 0, baselines: 'none' },
      directory: join(directory, 'run'),
    });
    const warm = report.rounds.slice(5).map(({ durationMs }) => durationMs);
    const diskMs = await durableWriteMs(join(directory, 'probe'));
    const p50Ms = quantile(warm, 0.5);
    const [p90Ms, maxMs] = [quantile(warm, 0.9), quantile(warm, 1)];
    return [{ clients, rounds: warm.length, p50Ms, p90Ms, maxMs, diskMs, ratioToDisk: p50Ms / diskMs }];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function tinyModel() {
  return packTensors({ w: { shape: [10], data: new Float32Array(10) } });
}

function tinySpec(clients: number, rounds: number): RunSpec {
  const model = [{ name: 'w', shape: [10] }];
  return {
    work: {
      ...{ workload: 'tiny', scale: 'smoke', hyper: {}, partition: 'iid', seed: 1, rounds, model },
      training: {
        ...{ localSteps: 1, batchSize: 1, clientLr: 1, momentum: 0, weightDecay: 0, gradientClipNorm: 0 },
        ...{ lrSchedule: 'constant', proximalMu: 0 },
      },
      phases: [{ name: 'train', channels: [updateChannel(model)] }],
    },
    engine: {
      ...{ rounds, cohort: clients, minClients: clients, minSurvivors: clients, overSelection: 0, deadlineMs: 60_000 },
      ...{ maxAttempts: 1, evaluateEvery: 0, evaluateClients: 1, strategy: 'fedavg', seed: 1 },
    },
  };
}

const instantTrainer: TaskRunner = {
  run: (async (task: Task) => {
    if (task.kind === 'evaluate') return { kind: 'evaluate', metrics: {} };
    const contribution = { values: new Float32Array(10).fill(1), weights: [1], metrics: {} };
    return { kind: 'train', contribution } satisfies TrainResult;
  }) as TaskRunner['run'],
};

const tinyWorkload: Workload = {
  manifest: {
    ...{ name: 'tiny', topic: '', paper: '', data: '', privacyUnits: [] },
    scales: {} as Workload['manifest']['scales'],
    headline: { metric: 'train.loss', better: 'lower' },
  },
  init: () => ({ shared: {} }),
  load: async () => undefined,
  examples: () => ({ train: { count: 0 }, test: { count: 0 } }),
  batch: () => ({}),
  metrics: () => ({}),
};

async function durableWriteMs(path: string): Promise<number> {
  const file = await open(path, 'w');
  const times: number[] = [];
  for (let i = 0; i < 50; i++) {
    const startMs = performance.now();
    await file.write(Buffer.alloc(300));
    await file.datasync();
    times.push(performance.now() - startMs);
  }
  await file.close();
  return quantile(times, 0.5);
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}
