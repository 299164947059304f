/**
 * A run of made-up events: rounds of 1.8 s with a cohort of `clients`, accuracy 0.1 more with every round.
 */
import type { RunEvent } from '../../../shared/run/events.js';
import type { RoundSummary } from '../../../shared/run/summary.js';

export const HEADLINE = { metric: 'test.accuracy', better: 'higher' } as const;

export function cohort(clients: number): string[] {
  return Array.from({ length: clients }, (_, i) => `c${i + 1}`);
}

export function summary(round: number, more: Partial<RoundSummary> = {}): RoundSummary {
  return {
    round,
    attempt: 1,
    cohort: 10,
    survivors: 10,
    dropped: [],
    modelSha256: 'ab'.repeat(32),
    metrics: { 'test.accuracy': 0.571 + round / 10 },
    durationMs: 1800,
    overheadMs: 20,
    bytesUp: 900_000,
    bytesDown: 900_000,
    ...more,
  };
}

/** Round `round` begins at (round − 1) · 1.8 s. */
export function started(round: number, clients = 10): RunEvent {
  return { kind: 'round-started', atMs: (round - 1) * 1800, round, attempt: 1, cohort: cohort(clients) };
}

export function ended(round: number, more: Partial<RoundSummary> = {}): RunEvent {
  return { kind: 'round-ended', atMs: round * 1800, summary: summary(round, more) };
}

export function wholeRounds(rounds: number): RunEvent[] {
  return Array.from({ length: rounds }, (_, i) => [started(i + 1), ended(i + 1)]).flat();
}
