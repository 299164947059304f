/**
 * Short words for tests of the round engine: events of a run `r` with clients a, b, c, states in each stage, and what is
 * in a list of effects.
 */

import { type Effect, type EffectOf, initialState, type RoundEvent, type RunState } from '../../server/round/state.js';
import { step } from '../../server/round/step.js';
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { TaskKind } from '../../shared/run/plan.js';
import type { EngineSpec } from '../../shared/run/spec.js';

export type Untimed<Event> = Event extends RoundEvent ? Omit<Event, 'atMs'> & { atMs?: number } : never;

export const SPEC: EngineSpec = {
  rounds: 2,
  cohort: 3,
  minClients: 3,
  minSurvivors: 2,
  overSelection: 0,
  deadlineMs: 1000,
  maxAttempts: 2,
  evaluateEvery: 0,
  evaluateClients: 0,
  strategy: 'fedavg',
  seed: 7,
};

export function start(overrides: Partial<EngineSpec> = {}): RunState {
  return initialState('r', { ...SPEC, ...overrides }, 'm0');
}

/** Takes the events one after another; the effects are those of all of them. */
export function play(state: RunState, ...events: Untimed<RoundEvent>[]): [RunState, Effect[]] {
  const out: Effect[] = [];
  for (const event of events) {
    const [next, effects] = step(state, { atMs: 0, ...event } as RoundEvent);
    state = next;
    out.push(...effects);
  }
  return [state, out];
}

export function stateAfter(state: RunState, ...events: Untimed<RoundEvent>[]): RunState {
  return play(state, ...events)[0];
}

export const online = (...clients: string[]) => clients.map((client) => ({ kind: 'online', client }) as const);
export const arrived = (
  client: string,
  at: { round?: number; attempt?: number; sha?: string; metrics?: SumMetrics } = {},
) => {
  const { round = 1, attempt = 1, sha = `${client}-sha`, metrics = {} } = at;
  return { kind: 'arrived', client, round, attempt, updateSha256: sha, metrics } as const;
};
export const task = (kind: TaskKind, round = 1, attempt = 1) => ({ run: 'r', kind, round, attempt });
export const declined = (client: string, reason: 'refused' | 'failed' | 'dropout', of = task('train')) => {
  return { kind: 'declined', client, task: of, reason, detail: 'why' } as const;
};
export const evaluated = (client: string, of = task('evaluate'), metrics: SumMetrics = {}) => {
  return { kind: 'evaluated', client, task: of, metrics } as const;
};
export const stored = (round = 1, attempt = 1, modelSha256 = `m${round}`) => {
  return { kind: 'stored', round, attempt, modelSha256 } as const;
};
export const timer = (id: string) => ({ kind: 'timer', id }) as const;
export const stop = { kind: 'stop', status: 'stopped', reason: 'lunch' } as const;
export const resume = { kind: 'resume' } as const;

export function of<Kind extends Effect['kind']>(effects: readonly Effect[], kind: Kind): EffectOf<Kind>[] {
  return effects.filter((effect): effect is EffectOf<Kind> => effect.kind === kind);
}
export const plansTo = (effects: readonly Effect[]) =>
  of(effects, 'plan').map(({ client, task }) => `${client} ${task}`);
export const recordsOf = (effects: readonly Effect[]) => of(effects, 'record').map(({ record }) => record);
export const receipts = (effects: readonly Effect[]) => {
  return of(effects, 'receipt').map(({ receipt: { client, outcome, reason } }) => `${client} ${reason ?? outcome}`);
};
export const dropped = (effects: readonly Effect[]) => {
  return of(effects, 'emit').flatMap(({ event }) =>
    event.kind === 'dropped' ? `${event.client} ${event.reason}` : [],
  );
};

export const training = (overrides: Partial<EngineSpec> = {}) => stateAfter(start(overrides), ...online('a', 'b', 'c'));
export const committing = (overrides: Partial<EngineSpec> = {}) => {
  return stateAfter(training(overrides), arrived('a'), arrived('b'), arrived('c'));
};
/** Committed in an evaluation round, with too few clients here to evaluate. */
export const committed = () => {
  const away = ['b', 'c'].map((client) => ({ kind: 'offline', client }) as const);
  return stateAfter(committing({ evaluateEvery: 1 }), ...away, stored());
};
export const evaluating = () => stateAfter(committing({ evaluateEvery: 1 }), stored());
