/**
 * Reports to draw: made up, by arithmetic alone, so that every run of the tests sees the same ones.
 */
import type { Report, RoundReport } from '../../../shared/run/report.js';

export interface SampleOptions {
  readonly rounds: number;
  readonly clients: number;
  readonly nameOf?: (index: number) => string;
  readonly metric?: string;
}

/** Round r of R reaches accuracy r / (R + 1); every third round drops its first client. */
export function sampleReport({
  rounds,
  clients,
  nameOf = (i) => `c${i + 1}`,
  metric = 'test.accuracy',
}: SampleOptions): Report {
  const names = Array.from({ length: clients }, (_, i) => nameOf(i));
  const perClient = (shift: number) =>
    Object.fromEntries(names.map((name, i) => [name, { [metric]: ((i * 7 + shift) % 100) / 100 }]));
  return {
    schema: 'starling.report/1',
    run: 'run-1',
    workload: 'cnn',
    scale: 'demo',
    seed: 1,
    backend: 'wasm',
    status: 'completed',
    reason: null,
    rounds: Array.from({ length: rounds }, (_, i) => sampleRound(i + 1, rounds, names, metric)),
    final: { metrics: { [metric]: 0.924 }, perClient: perClient(3) },
    baselines: {
      local: { metrics: { [metric]: 0.213 }, perClient: perClient(50) },
      centralised: { metrics: { [metric]: 0.953 }, perClient: {} },
    },
    privacy: { mode: 'distributed', epsilon: 4.2, delta: 1e-5, accountant: 'pld', budget: 8 },
    modelSha256: 'ab'.repeat(32),
    artefacts: [],
  };
}

function sampleRound(round: number, rounds: number, names: readonly string[], metric: string): RoundReport {
  const cohort = Math.min(10, names.length);
  const dropped =
    round % 3 === 0 ? [{ client: names[0], reason: 'deadline' as const, detail: `${names[0]} was late` }] : [];
  return {
    round,
    cohort,
    survivors: cohort - dropped.length,
    dropped,
    metrics: { [metric]: round / (rounds + 1), 'train.loss': 1 / round },
    epsilon: Math.sqrt(round),
    durationMs: 900 + round,
    overheadMs: 20,
    bytesUp: 1_000_000,
    bytesDown: 2_000_000,
  };
}
