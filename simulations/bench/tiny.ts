/**
 * A federation in which training costs nothing: ten numbers, one step, an update that is known beforehand.
 */
import type { Task, TaskRunner, TrainResult } from '../../client/training/task.js';
import { rngFromSeed } from '../../shared/rng.js';
import type { RunSpec } from '../../shared/run/spec.js';
import { identityFromSeed } from '../../shared/signing/identity.js';
import { updateChannel } from '../../shared/tensors/channels.js';
import { packTensors } from '../../shared/tensors/params.js';

const SIZE = 10;

/** Ten zeros under the name `w`. */
export function tinyModel() {
  return packTensors({ w: { shape: [SIZE], data: new Float32Array(SIZE) } });
}

/** Every client is drawn and none may be missing; no evaluation but the last. */
export function tinySpec({ clients, rounds }: { clients: number; rounds: number }): RunSpec {
  const model = [{ name: 'w', shape: [SIZE] }];
  return {
    work: {
      workload: 'tiny',
      scale: 'smoke',
      hyper: {},
      partition: 'iid',
      seed: 1,
      rounds,
      model,
      training: {
        localSteps: 1,
        batchSize: 1,
        clientLr: 1,
        momentum: 0,
        weightDecay: 0,
        gradientClipNorm: 0,
        lrSchedule: 'constant',
        proximalMu: 0,
      },
      phases: [{ name: 'train', channels: [updateChannel(model)] }],
    },
    engine: {
      cohort: clients,
      minClients: clients,
      minSurvivors: clients,
      overSelection: 0,
      deadlineMs: 60_000,
      maxAttempts: 1,
      evaluateEvery: 0,
      evaluateClients: 1,
      strategy: 'fedavg',
    },
  };
}

/** Answers at once: an update of ones, no metrics. */
export const tinyTrainer: TaskRunner = {
  run: (async (task: Task) => {
    if (task.kind === 'evaluate') return { kind: 'evaluate', metrics: {} };
    const contribution = { values: new Float32Array(SIZE).fill(1), weights: [1], metrics: {} };
    return { kind: 'train', contribution } satisfies TrainResult;
  }) as TaskRunner['run'],
};

/** Both processes of a benchmark derive the same keys; nothing secret hangs on them. */
export function benchIdentity(name: string) {
  return identityFromSeed(benchSeed(name));
}

/** The seed of that identity. */
export function benchSeed(name: string): Uint8Array {
  return rngFromSeed(1).split(`bench/${name}`).bytes(32);
}

/** Names the identity that the benchmark's coordinator signs with, for both processes. */
export const COORDINATOR = 'coordinator';

/** c1, c2 ... */
export function clientNames(clients: number): string[] {
  return Array.from({ length: clients }, (_, i) => `c${i + 1}`);
}
