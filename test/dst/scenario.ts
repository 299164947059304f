/**
 * What a simulated run is made of: the engine's settings, the clients, and the faults with their times. All of it comes
 * from one seed; the list of faults can be shortened, which is how a failing schedule is made small.
 */
import type { EngineSpec } from '../../shared/run/spec.js';
import { Dice } from './world.js';

/** No fault happens after this. */
export const FAULTS_END_MS = 10_000;
/** By then everything must be over: a generous multiple of what the deadlines allow. */
export const LIVENESS_MS = 100_000;
export const DEADLINE_MS = 4_000;

export type Fault =
  /** The control stream breaks; the client comes back. */
  | { readonly kind: 'cut'; readonly atMs: number; readonly client: string }
  /** The process dies; what its store holds stays. */
  | { readonly kind: 'crash-client'; readonly atMs: number; readonly client: string; readonly downMs: number }
  /** The coordinator dies before the n-th effect from then on. */
  | { readonly kind: 'crash-coordinator'; readonly atMs: number; readonly effects: number; readonly downMs: number }
  /** The operator stops the run and resumes it later. */
  | { readonly kind: 'stop'; readonly atMs: number; readonly forMs: number }
  /** Says that it goes, and never comes back. */
  | { readonly kind: 'leave'; readonly atMs: number; readonly client: string }
  /** The next one of these that the client does goes wrong. */
  | { readonly kind: Mishap; readonly atMs: number; readonly client: string };

export type Mishap =
  | 'lose-request'
  | 'lose-reply'
  /** The upload reaches the coordinator twice. */
  | 'twice'
  /** The client sends a second, different update for the same task. */
  | 'second-update'
  /** The update has a number that is not finite. */
  | 'bad-update'
  | 'fail-training'
  /** Training takes longer than the deadline. */
  | 'slow'
  /** Leaves the next round only. */
  | 'drop-out';

const MISHAPS: readonly Mishap[] = [
  'lose-request',
  'lose-reply',
  'twice',
  'second-update',
  'bad-update',
  'fail-training',
  'slow',
  'drop-out',
];

export interface ClientPlan {
  readonly name: string;
  readonly joinsAtMs: number;
  /** Its policy forbids training. */
  readonly refuses: boolean;
}

export interface Scenario {
  readonly seed: number;
  readonly spec: EngineSpec;
  readonly clients: readonly ClientPlan[];
  readonly faults: readonly Fault[];
}

/** The schedule of a seed. At least `minClients` of its clients stay and train, so that it can end well. */
export function scenarioOf(seed: number): Scenario {
  const dice = new Dice(seed, 1);
  const solid = dice.between(2, 5);
  const fickle = dice.between(0, 2);
  const names = Array.from({ length: solid + fickle }, (_, i) => `c${i + 1}`);
  const clients = names.map((name, i) => ({
    name,
    joinsAtMs: dice.chance(0.7) ? dice.between(0, 300) : dice.between(0, 8000),
    refuses: i >= solid && dice.chance(0.5),
  }));
  const cohort = dice.between(1, Math.min(4, solid));
  const minSurvivors = dice.between(1, cohort);
  const rounds = dice.between(2, 5);
  const spec: EngineSpec = {
    rounds,
    cohort,
    minClients: dice.between(minSurvivors, solid),
    minSurvivors,
    overSelection: dice.pick([0, 0, 0.5, 1]),
    deadlineMs: DEADLINE_MS,
    offlineWaitMs: DEADLINE_MS / 4,
    maxAttempts: dice.between(2, 4),
    evaluateEvery: dice.between(0, 2),
    evaluateClients: dice.pick([0, 0, 2]),
    strategy: 'fedavg',
    seed,
  };
  const count = dice.between(0, 14);
  const faults = Array.from({ length: count }, () => drawFault(dice, names, names.slice(solid)));
  return { seed, spec, clients, faults };
}

function drawFault(dice: Dice, names: readonly string[], fickle: readonly string[]): Fault {
  const atMs = dice.between(0, FAULTS_END_MS);
  const client = dice.pick(names);
  const roll = dice.between(0, 99);
  if (roll < 20) return { kind: 'cut', atMs, client };
  if (roll < 32) return { kind: 'crash-client', atMs, client, downMs: dice.between(10, 5000) };
  if (roll < 48)
    return { kind: 'crash-coordinator', atMs, effects: dice.between(0, 12), downMs: dice.between(10, 3000) };
  if (roll < 55) return { kind: 'stop', atMs, forMs: dice.between(10, 3000) };
  if (roll < 59 && fickle.length > 0) return { kind: 'leave', atMs, client: dice.pick(fickle) };
  return { kind: dice.pick(MISHAPS), atMs, client };
}
