/**
 * The phases of a run in which a process can be killed, and which of its acts (test/support/last-act.ts) lie in each: a
 * schedule deals a number of kills evenly over the phases, and within each over its acts. Pure.
 */
import { rngFromSeed } from '../../shared/rng.js';

/** In the order in which a run comes through them; of the coordinator where nothing else is said. */
export const PHASES = [
  'creation',
  'start',
  'first round',
  'start again',
  'later round',
  'evaluation',
  'end',
  'client, first round',
  'client, later',
  'backup',
  'restore',
  'archive',
  'delete',
] as const;
/** A stretch of a run's life; `start again` is the coordinator's, on what a kill has left. */
export type Phase = (typeof PHASES)[number];

/** It comes when the run is over, and an operator asks for it. */
export function isDoneWithRun(phase: Phase): boolean {
  return ['backup', 'restore', 'archive', 'delete'].includes(phase);
}

/** One kill: after the part `at`, in [0, 1), of the acts of a phase. */
export interface Slot {
  readonly phase: Phase;
  readonly at: number;
  /** A client's number from 1, where the phase is a client's. */
  readonly client: number;
  /** In [0, 1): which round, where the phase may be in several. */
  readonly round: number;
}

/** The kills of each run: as many runs as are needed for no run to have a phase twice, and at least `least`. */
export function schedule(kills: number, { least, clients }: { least: number; clients: number }): Slot[][] {
  let runs = Math.max(least, Math.ceil(kills / PHASES.length));
  if (runs % PHASES.length === 0) runs++; // coprime, so that (run, phase) does not repeat
  const inPhase = Math.ceil(kills / PHASES.length);
  const all = Array.from({ length: runs }, (): Slot[] => []);
  for (let kill = 0; kill < kills; kill++) {
    const rng = rngFromSeed(kill).split('kill');
    const part = Math.floor(kill / PHASES.length);
    all[kill % runs].push({
      phase: PHASES[kill % PHASES.length],
      at: (part + rng.uniform()) / inPhase,
      client: 1 + rng.below(clients),
      round: rng.uniform(),
    });
  }
  const order = ({ phase }: Slot) => PHASES.indexOf(phase);
  return all.map((slots) => slots.toSorted((a, b) => order(a) - order(b)));
}

const BOUNDARY = /^rename \.new-|round-started \d+|committed \d+|round-ended \d+|\bended$/;

/** After which act a phase begins in a run of so many rounds; '': with the first. */
export function markOf({ phase, round }: Pick<Slot, 'phase' | 'round'>, rounds: number): string {
  switch (phase) {
    case 'start':
      return 'rename .new-';
    case 'first round':
      return 'round-started 1';
    case 'later round':
      return `round-started ${Math.min(rounds, 2 + Math.floor(round * (rounds - 1)))}`;
    case 'evaluation':
      return `committed ${1 + Math.floor(round * rounds)}`;
    case 'end':
      return `round-ended ${rounds}`;
    case 'client, later':
      return HEAD;
    default:
      return '';
  }
}

/** A client has been told that a round is committed. */
const HEAD = 'write ledger-heads.jsonl';

/** How many acts there are from a mark to the next phase, the one that begins it included. */
export function actsIn(phase: Phase, mark: string, acts: readonly string[]): number {
  const after = mark === '' ? acts : acts.slice(acts.findIndex((act) => act.includes(mark)) + 1);
  const isNext = (act: string) => (phase.startsWith('client') ? act.includes(HEAD) : BOUNDARY.test(act));
  const isLast = phase === 'end' || phase === 'client, later';
  const next = isLast ? -1 : after.findIndex(isNext);
  return next < 0 ? after.length : next + 1;
}

/** Where a coordinator was killed that has done these acts since `phase`, in a run of so many rounds. */
export function phaseAfter(phase: Phase, acts: readonly string[], rounds: number): Phase {
  let now: Phase = phase;
  for (const act of acts) {
    const [mark] = BOUNDARY.exec(act) ?? [];
    if (mark === undefined) continue;
    const round = Number(mark.split(' ')[1]);
    if (mark.startsWith('rename')) now = 'start';
    else if (mark.startsWith('round-started')) now = round === 1 ? 'first round' : 'later round';
    else if (mark.startsWith('committed')) now = 'evaluation';
    else now = mark === 'ended' || round === rounds ? 'end' : 'later round';
  }
  return now;
}
